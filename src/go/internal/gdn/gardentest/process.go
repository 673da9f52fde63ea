package gardentest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// IO is what a process reads and writes; what is nil is not asked for.
type IO struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Process is a process that a client is attached to.
type Process struct {
	ID      string
	conn    net.Conn
	writing sync.Mutex
	done    chan struct{}
	status  int
	err     error
}

// Run starts a process.
func (c *Container) Run(spec api.ProcessSpec, streams IO) (*Process, error) {
	conn, r, err := c.client.Hijack("POST", spec, "containers", c.Handle, "processes")
	if err != nil {
		return nil, err
	}
	return c.converse(conn, r, streams)
}

// Attach attaches to one.
func (c *Container) Attach(id string, streams IO) (*Process, error) {
	conn, r, err := c.client.Hijack("GET", nil, "containers", c.Handle, "processes", id)
	if err != nil {
		return nil, err
	}
	return c.converse(conn, r, streams)
}

func (c *Container) converse(conn net.Conn, r *bufio.Reader, streams IO) (*Process, error) {
	messages := json.NewDecoder(r)
	var first api.ProcessPayload
	if err := messages.Decode(&first); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("first message of a process: %w", err)
	}
	p := &Process{ID: first.ProcessID, conn: conn, done: make(chan struct{})}
	if streams.Stdin != nil {
		go p.feed(streams.Stdin)
	}
	var copies sync.WaitGroup
	closers := []io.Closer{conn}
	for name, w := range map[string]io.Writer{"stdout": streams.Stdout, "stderr": streams.Stderr} {
		if w == nil {
			continue
		}
		out, from, err := c.client.Hijack("GET", nil, "containers", c.Handle, "processes", p.ID, "attaches", first.StreamID, name)
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("%s of process %s: %w", name, p.ID, err)
		}
		closers = append(closers, out)
		copies.Go(func() { _, _ = io.Copy(w, from) })
	}
	go func() {
		p.status, p.err = ending(messages)
		copies.Wait()
		for _, closer := range closers {
			_ = closer.Close()
		}
		close(p.done)
	}()
	return p, nil
}

// ending waits for the message of the end.
func ending(messages *json.Decoder) (int, error) {
	for {
		var p api.ProcessPayload
		switch err := messages.Decode(&p); {
		case err != nil:
			return 0, fmt.Errorf("the connection of a process broke: %w", err)
		case p.Error != nil:
			return 0, fmt.Errorf("process error: %s", *p.Error)
		case p.ExitStatus != nil:
			return *p.ExitStatus, nil
		}
	}
}

// feed sends input as it comes, and its end.
func (p *Process) feed(r io.Reader) {
	source := api.Stdin
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			data := string(buf[:n])
			if p.send(api.ProcessPayload{Source: &source, Data: &data}) != nil {
				return
			}
		}
		if err == io.EOF {
			_ = p.send(api.ProcessPayload{Source: &source})
		}
		if err != nil {
			return
		}
	}
}

func (p *Process) send(m api.ProcessPayload) error {
	m.ProcessID = p.ID
	p.writing.Lock()
	defer p.writing.Unlock()
	return json.NewEncoder(p.conn).Encode(m)
}

// Signal sends api.SignalTerminate or api.SignalKill.
func (p *Process) Signal(signal int) error { return p.send(api.ProcessPayload{Signal: &signal}) }

// SetTTY changes the terminal's size.
func (p *Process) SetTTY(tty api.TTYSpec) error { return p.send(api.ProcessPayload{TTY: &tty}) }

// Wait waits for the end and all output, as often as it is called.
func (p *Process) Wait() (int, error) {
	<-p.done
	return p.status, p.err
}

// Leave breaks the connection; the process goes on.
func (p *Process) Leave() { _ = p.conn.Close() }
