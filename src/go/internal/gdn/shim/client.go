package shim

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"photonbuild.invalid/compat/internal/gdn/proc"
)

// Conn is a server's connection to a shim.
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
	mu   sync.Mutex
}

// Dial connects to the shim that listens on socket.
func Dial(socket string) (*Conn, error) {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to the process's shim: %w", err)
	}
	c := &Conn{conn: conn, r: bufio.NewReader(conn)}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	f, err := readFrame(c.r)
	if err != nil || f.kind != kindHello {
		_ = conn.Close()
		return nil, fmt.Errorf("the process's shim does not answer: %v", err)
	}
	return c, conn.SetReadDeadline(time.Time{})
}

// Message is output (Stderr says of which kind), or the end.
type Message struct {
	Data   []byte
	Stderr bool
	Exit   *Exit
}

// Next waits for the next message.
func (c *Conn) Next() (Message, error) {
	for {
		f, err := readFrame(c.r)
		if err != nil {
			return Message{}, fmt.Errorf("the connection to the process's shim broke: %w", err)
		}
		switch f.kind {
		case kindStdout, kindStderr:
			return Message{Data: f.data, Stderr: f.kind == kindStderr}, nil
		case kindExit:
			var e Exit
			if err := json.Unmarshal(f.data, &e); err != nil {
				return Message{}, fmt.Errorf("exit status from the process's shim: %w", err)
			}
			return Message{Exit: &e}, nil
		}
	}
}

func (c *Conn) send(kind byte, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(data) > maxFrame {
		if err := writeFrame(c.conn, frame{kind, data[:maxFrame]}); err != nil {
			return err
		}
		data = data[maxFrame:]
	}
	return writeFrame(c.conn, frame{kind, data})
}

// Stdin gives the process input.
func (c *Conn) Stdin(data []byte) error { return c.send(kindStdin, data) }

// CloseStdin ends its input.
func (c *Conn) CloseStdin() error { return c.send(kindCloseStdin, nil) }

// Signal sends it a signal.
func (c *Conn) Signal(sig syscall.Signal) error { return c.send(kindSignal, []byte{byte(sig)}) }

// Resize sets the size of its terminal.
func (c *Conn) Resize(columns, rows uint16) error {
	return c.send(kindResize, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, columns), rows))
}

// Delivered lets the shim go: a client knows of the end.
func (c *Conn) Delivered() error { return c.send(kindDelivered, nil) }

// Close ends a waiting Next.
func (c *Conn) Close() error { return c.conn.Close() }

// ErrGone says that a directory holds no process.
var ErrGone = errors.New("no such process")

// Read returns what is known of the process in dir: its record, and its end if it ended.
// running says that the process is there.
func Read(dir string) (r Record, exit *Exit, running bool, err error) {
	if err = readJSON(filepath.Join(dir, RecordFile), &r); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = ErrGone
		}
		return r, nil, false, err
	}
	var e Exit
	if readJSON(filepath.Join(dir, ExitFile), &e) == nil {
		return r, &e, false, nil
	}
	return r, nil, proc.Alive(r.PID, r.Start), nil
}

// ShimAlive says whether the record's shim is there.
func (r Record) ShimAlive() bool { return proc.Alive(r.ShimPID, r.ShimStart) }

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
