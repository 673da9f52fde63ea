package depot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/server"
	"photonbuild.invalid/compat/internal/gdn/shim"
)

// process is a connection to a shim as the server wants it.
type process struct {
	*shim.Conn
	id      string
	release func()
	once    sync.Once
}

func (p *process) ID() string { return p.id }

func (p *process) Next() (server.Event, error) {
	m, err := p.Conn.Next()
	switch {
	case err != nil:
		return server.Event{}, err
	case m.Exit != nil:
		return server.Event{Exited: true, Status: m.Exit.Status, Err: m.Exit.Error}, nil
	case m.Stderr:
		return server.Event{Source: api.Stderr, Data: m.Data}, nil
	}
	return server.Event{Source: api.Stdout, Data: m.Data}, nil
}

func (p *process) Signal(signal int) error {
	if signal == api.SignalKill {
		return p.Conn.Signal(syscall.SIGKILL)
	}
	return p.Conn.Signal(syscall.SIGTERM)
}

func (p *process) Resize(w api.WindowSize) error { return p.Conn.Resize(w.Columns, w.Rows) }
func (p *process) Delivered()                    { _ = p.Conn.Delivered() }

func (p *process) Close() error {
	p.once.Do(p.release)
	return p.Conn.Close()
}

// ended is a process of which only the exit status is left.
type ended struct {
	id, dir string
	exit    shim.Exit
}

var errEnded = errors.New("the process has ended")

func (e *ended) ID() string { return e.id }
func (e *ended) Next() (server.Event, error) {
	return server.Event{Exited: true, Status: e.exit.Status, Err: e.exit.Error}, nil
}
func (e *ended) Stdin([]byte) error          { return errEnded }
func (e *ended) CloseStdin() error           { return errEnded }
func (e *ended) Signal(int) error            { return errEnded }
func (e *ended) Resize(api.WindowSize) error { return errEnded }
func (e *ended) Delivered()                  { _ = os.RemoveAll(e.dir) }
func (e *ended) Close() error                { return nil }

// running lists the ids of a container's processes that run, sorted.
func (d *Depot) running(id string) []string {
	out := []string{}
	dirs, _ := filepath.Glob(filepath.Join(d.processes(id), "*"))
	for _, dir := range dirs {
		if r, _, running, err := shim.Read(dir); err == nil && running {
			out = append(out, r.ProcessID)
		}
	}
	slices.Sort(out)
	return out
}
