package shim

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/proc"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

const (
	linger    = 15 * time.Minute // an end that nobody asked for is kept so long
	flushTime = time.Second      // who holds the output open after the end of the process and is silent so long is not waited for
	drainTime = 10 * time.Minute // so long a listener may take for what is left
)

// keeper is the state of a shim.
type keeper struct {
	c        Config
	hub      *hub
	in       *stdin
	terminal *os.File // nil without one
	outputs  map[byte]*os.File
	pid      int
	mounts   *os.File   // mount namespace of a sidecar
	program  string     // runc, "" for the usual one
	mu       sync.Mutex // held while pid may be signalled or is reaped
	reaped   bool
}

// Main is `gdn shim`: it reads a Config from in, starts the process, answers Started on out, and
// stays until the end of the process has been told to a client.
func Main(in io.Reader, out io.Writer) error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	k := &keeper{outputs: map[byte]*os.File{}}
	if err := json.NewDecoder(in).Decode(&k.c); err != nil {
		return fmt.Errorf("the shim's configuration: %w", err)
	}
	listener, err := k.start()
	var answer Started
	if err != nil {
		answer.Error = message(err)
		_ = os.RemoveAll(k.c.Dir)
		_ = os.Remove(k.c.Socket)
	}
	if werr := json.NewEncoder(out).Encode(answer); werr != nil && err == nil {
		// The server is gone; the process is there and can be attached to.
		_ = werr
	}
	if err != nil {
		return err
	}
	detach()
	k.stay(listener)
	return nil
}

// message is the cause that runc named, or the error itself.
func message(err error) string {
	var r *bundle.RuncError
	if errors.As(err, &r) && r.Msg != "" {
		return r.Msg
	}
	return err.Error()
}

// detach gives up the server's pipes.
func detach() {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	for fd := range 2 {
		_ = unix.Dup2(int(null.Fd()), fd)
	}
}

// start makes the process and its socket.
func (k *keeper) start() (net.Listener, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	unix.Umask(0o022) // the process's; whatever the shim makes lies in folders of root alone
	k.hub = newHub(k.obey)
	_ = os.Remove(k.c.Socket)
	listener, err := net.Listen("unix", k.c.Socket)
	if err != nil {
		return nil, fmt.Errorf("listen for the server: %w", err)
	}
	if err := k.exec(); err != nil {
		if k.pid > 0 { // created, and not released
			_ = syscall.Kill(k.pid, syscall.SIGKILL)
		}
		_ = listener.Close()
		return nil, err
	}
	if err := k.record(); err != nil {
		_ = syscall.Kill(k.pid, syscall.SIGKILL)
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

func (k *keeper) record() error {
	r := Record{ProcessID: k.c.ProcessID, Socket: k.c.Socket, PID: k.pid, ShimPID: os.Getpid()}
	r.Start, _ = proc.StartTime(k.pid) // it may have ended already
	if k.c.Sidecar != nil {
		r.Sidecar = k.c.Sidecar.Dir
	}
	var err error
	if r.ShimStart, err = proc.StartTime(r.ShimPID); err != nil {
		return fmt.Errorf("find the shim's start time: %w", err)
	}
	return proc.WriteJSON(filepath.Join(k.c.Dir, RecordFile), r)
}

// exec lets runc start the process with our pipes or terminal.
func (k *keeper) exec() error {
	o := bundle.ExecOptions{Process: k.c.Process, Detach: true}
	o.PidFile = filepath.Join(k.c.Dir, "pid")
	var finish func(started bool) error
	var err error
	if k.c.Process.Terminal {
		finish, err = k.console(&o)
	} else {
		finish, err = k.pipes(&o)
	}
	if err != nil {
		return err
	}
	if k.c.Sidecar != nil {
		err = k.runc().Create(context.Background(), k.c.Sidecar.ID, k.c.Sidecar.Bundle(), o.StartOptions)
	} else {
		err = k.runcExec(o)
	}
	if ferr := finish(err == nil); err == nil {
		err = ferr
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(o.PidFile)
	if err != nil {
		return fmt.Errorf("the process's id: %w", err)
	}
	_ = os.Remove(o.PidFile)
	if k.pid, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
		return fmt.Errorf("the process's id: %w", err)
	}
	if k.c.Sidecar != nil {
		return k.release()
	}
	return nil
}

func (k *keeper) runc() bundle.Runc {
	return bundle.Runc{Root: k.c.RuncRoot, SystemdCgroup: true, Log: k.c.Dir, Path: k.program}
}

// runcExec starts the process in the container.
func (k *keeper) runcExec(o bundle.ExecOptions) error {
	restore, err := oomScore(0) // runc exec leaves the process what the shim has, which is the server's
	if err != nil {
		return err
	}
	defer restore()
	p, err := k.runc().Exec(context.Background(), k.c.Container, o)
	if err != nil {
		return err
	}
	status, err := p.Wait()
	if err == nil && status != 0 {
		err = fmt.Errorf("runc exec ended with status %d", status)
	}
	return err
}

// oomScore sets the shim's own oom_score_adj (proc(5)), and what it starts has it, until restore.
func oomScore(score int) (restore func(), err error) {
	const file = "/proc/self/oom_score_adj"
	old, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strconv.Itoa(score)), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("the process's share of being killed for memory: %w", err)
	}
	return func() { _ = os.WriteFile(file, old, 0) }, nil
}

// pipes makes the three pipes; finish closes the process's ends of them.
func (k *keeper) pipes(o *bundle.ExecOptions) (finish func(bool) error, err error) {
	var theirs []*os.File
	finish = func(bool) error {
		for _, f := range theirs {
			_ = f.Close()
		}
		return nil
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	theirs = []*os.File{inR, outW, errW}
	o.Stdin, o.Stdout, o.Stderr = inR, outW, errW
	for _, f := range theirs { // so that /dev/stdout and the like can be opened
		if err := f.Chown(k.c.UID, k.c.GID); err != nil {
			return finish, fmt.Errorf("give the process its standard streams: %w", err)
		}
	}
	k.in = newStdin(inW, func() { _ = inW.Close() })
	k.outputs[kindStdout], k.outputs[kindStderr] = outR, errR
	return finish, nil
}

// obey carries out a message of the server.
func (k *keeper) obey(f frame) {
	switch f.kind {
	case kindStdin:
		k.in.write(f.data)
	case kindCloseStdin:
		k.in.close()
	case kindSignal:
		if len(f.data) == 1 {
			k.kill(syscall.Signal(f.data[0]))
		}
	case kindResize:
		if len(f.data) == 4 && k.terminal != nil {
			resize(k.terminal, binary.BigEndian.Uint16(f.data), binary.BigEndian.Uint16(f.data[2:]))
		}
	}
}

// kill signals the process unless it has been reaped, after which its number may be another's.
func (k *keeper) kill(sig syscall.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.reaped {
		_ = syscall.Kill(k.pid, sig)
	}
}

// stay passes output on, waits for the end, and for somebody to take notice of it.
func (k *keeper) stay(listener net.Listener) {
	var pumps sync.WaitGroup
	for kind, f := range k.outputs {
		pumps.Go(func() { k.hub.pump(kind, f) })
	}
	drained := make(chan struct{})
	go func() { pumps.Wait(); close(drained) }()
	go k.hub.serve(listener)

	exit := k.wait()
	k.endRest()
	k.hub.flush(drained, flushTime)
	_ = proc.WriteJSON(filepath.Join(k.c.Dir, ExitFile), exit)
	k.hub.finish(exit)
	k.clean()
	delivered := false
	select {
	case <-k.hub.delivered:
		delivered = true
	case <-time.After(linger):
	}
	_ = listener.Close()
	_ = os.Remove(k.c.Socket)
	if delivered {
		k.hub.drained(drainTime)
	}
	_ = os.RemoveAll(k.c.Dir) // what nobody asked for in all that time is forgotten, too
	<-drained                 // so that those left behind do not get SIGPIPE
}

// wait reaps the process. Its status is the exit code, or 128 and the signal's number.
func (k *keeper) wait() Exit {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, k.pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Exit{Status: 255, Error: fmt.Sprintf("cannot wait for the process: %v", err)}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reaped = true
	var ws unix.WaitStatus
	if _, err := unix.Wait4(k.pid, &ws, 0, nil); err != nil {
		return Exit{Status: 255, Error: fmt.Sprintf("cannot reap the process: %v", err)}
	}
	if ws.Signaled() {
		return Exit{Status: 128 + int(ws.Signal())}
	}
	return Exit{Status: ws.ExitStatus()}
}
