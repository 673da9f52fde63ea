package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// Bounds of a process stream.
const (
	maxMessage    = 8 << 20
	lateAttach    = 30 * time.Second // stdout and stderr may still be asked for after the end
	controlWrites = 30 * time.Second
)

// stream is one attachment to a process: a control connection with JSON messages, and two sinks
// that connections of their own empty.
type stream struct {
	id, handle string
	process    Process
	out, err   *sink
	conn       net.Conn
	closeOnce  sync.Once
}

func (t *stream) close() {
	t.closeOnce.Do(func() {
		_ = t.process.Close()
		_ = t.conn.Close()
		t.out.close()
		t.err.close()
	})
}

// streams knows the streams that are open, by their ids.
type streams struct {
	next   atomic.Uint64
	mu     sync.Mutex
	byID   map[string]*stream
	closed bool
}

func newStreams() *streams { return &streams{byID: map[string]*stream{}} }

func (l *streams) add(t *stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return &api.Error{Type: api.TypeServiceUnavailable, Message: "the server is stopping"}
	}
	l.byID[t.id] = t
	return nil
}

func (l *streams) get(handle, pid, id string) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.byID[id]
	if t == nil || t.handle != handle || t.process.ID() != pid {
		return nil
	}
	return t
}

func (l *streams) remove(t *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byID, t.id)
}

func (l *streams) closeAll() {
	l.mu.Lock()
	l.closed = true
	all := make([]*stream, 0, len(l.byID))
	for _, t := range l.byID {
		all = append(all, t)
	}
	l.mu.Unlock()
	for _, t := range all {
		t.close()
	}
}

func (s *Server) run(w http.ResponseWriter, r *http.Request) (any, error) {
	var spec api.ProcessSpec
	if err := readJSON(w, r, &spec, false); err != nil {
		return nil, err
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	handle := r.PathValue("handle")
	process, err := s.backend.Run(r.Context(), handle, spec)
	if err != nil {
		return nil, err
	}
	return nil, s.converse(w, http.StatusCreated, handle, process)
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) (any, error) {
	handle := r.PathValue("handle")
	process, err := s.backend.Attach(r.Context(), handle, r.PathValue("pid"))
	if err != nil {
		return nil, err
	}
	return nil, s.converse(w, http.StatusOK, handle, process)
}

// hijack answers and takes the connection over. The header is that of net/http, chunked and
// without an end of the connection, which Garden's client (httputil.ClientConn) demands; what
// follows has no chunks all the same and ends when the connection does.
func hijack(w http.ResponseWriter, status int, contentType string) (net.Conn, *bufio.Reader, error) {
	h, ok := w.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("this connection cannot carry a stream: use HTTP/1.1")
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	conn, rw, err := h.Hijack()
	if err != nil { // the client is gone
		return nil, nil, errAnswered
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, rw.Reader, nil
}

// converse serves the control connection of a process until the process ends or the client is
// gone. The process goes on without the client.
func (s *Server) converse(w http.ResponseWriter, status int, handle string, process Process) error {
	conn, reader, err := hijack(w, status, "application/json")
	if err != nil {
		_ = process.Close()
		return err
	}
	t := &stream{id: strconv.FormatUint(s.streams.next.Add(1), 10), handle: handle,
		process: process, out: newSink(), err: newSink(), conn: conn}
	if err := s.streams.add(t); err != nil {
		t.close()
		return errAnswered
	}
	if err := t.send(api.ProcessPayload{StreamID: t.id}); err != nil {
		s.streams.remove(t)
		t.close()
		return errAnswered
	}
	go t.listen(reader)
	finished := t.pump()
	t.close()
	if finished {
		time.AfterFunc(lateAttach, func() { s.streams.remove(t) })
	} else {
		s.streams.remove(t)
	}
	return errAnswered
}

// pump passes output to the sinks and tells the client of the end. It reports whether the
// process ended, rather than the stream alone.
func (t *stream) pump() bool {
	for {
		ev, err := t.process.Next()
		switch {
		case err != nil:
			message := err.Error()
			_ = t.send(api.ProcessPayload{Error: &message})
			return false
		case ev.Exited:
			t.out.close()
			t.err.close()
			p := api.ProcessPayload{ExitStatus: &ev.Status}
			if ev.Err != "" {
				p = api.ProcessPayload{Error: &ev.Err}
			}
			if t.send(p) == nil {
				t.process.Delivered()
			}
			return true
		case ev.Source == api.Stderr:
			t.err.put(ev.Data)
		default:
			t.out.put(ev.Data)
		}
	}
}

func (t *stream) send(p api.ProcessPayload) error {
	p.ProcessID = t.process.ID()
	_ = t.conn.SetWriteDeadline(time.Now().Add(controlWrites))
	return json.NewEncoder(t.conn).Encode(p)
}

// listen obeys the client's messages. A message that is not understood ends the stream; the end
// of the client's side does so only when the client is gone altogether.
func (t *stream) listen(r io.Reader) {
	limited := &perMessage{r: r}
	decoder := json.NewDecoder(limited)
	for {
		limited.left = maxMessage
		var p api.ProcessPayload
		err := decoder.Decode(&p)
		if err == nil {
			err = t.obey(p)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			waitGone(t.conn)
			t.close()
			return
		default:
			message := "message not understood: " + err.Error()
			_ = t.send(api.ProcessPayload{Error: &message})
			t.close()
			return
		}
	}
}

// obey carries out one message. Failures of the process to take it are the process's business.
func (t *stream) obey(p api.ProcessPayload) error {
	switch {
	case p.Signal != nil:
		if *p.Signal != api.SignalTerminate && *p.Signal != api.SignalKill {
			return fmt.Errorf("signal %d is neither 0 (terminate) nor 1 (kill)", *p.Signal)
		}
		_ = t.process.Signal(*p.Signal)
	case p.TTY != nil:
		if p.TTY.WindowSize != nil {
			_ = t.process.Resize(*p.TTY.WindowSize)
		}
	case p.Source != nil:
		if *p.Source != api.Stdin {
			return fmt.Errorf("source %d is not 0 (stdin)", *p.Source)
		}
		if p.Data == nil {
			_ = t.process.CloseStdin()
		} else {
			_ = t.process.Stdin([]byte(*p.Data))
		}
	}
	return nil
}

// perMessage bounds what one message may take.
type perMessage struct {
	r    io.Reader
	left int
}

func (p *perMessage) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, fmt.Errorf("a message is larger than %d bytes", maxMessage)
	}
	if len(b) > p.left {
		b = b[:p.left]
	}
	n, err := p.r.Read(b)
	p.left -= n
	return n, err
}

// waitGone waits until the peer has closed both directions, and not only its own side.
func waitGone(conn net.Conn) {
	for !hungUp(conn) {
		time.Sleep(time.Second)
	}
}

// hungUp asks the kernel whether the connection is closed on the other side. A connection that
// cannot be asked counts as closed.
func hungUp(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := true
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		_, perr := unix.Poll(fds, 0)
		gone = perr == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
	})
	return gone || err != nil
}

func (s *Server) stdout(w http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.output(w, r, func(t *stream) *sink { return t.out })
}

func (s *Server) stderr(w http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.output(w, r, func(t *stream) *sink { return t.err })
}

// output serves the connection of stdout or stderr: raw bytes until the process ends.
func (s *Server) output(w http.ResponseWriter, r *http.Request, pick func(*stream) *sink) error {
	handle, pid, id := r.PathValue("handle"), r.PathValue("pid"), r.PathValue("stream")
	if _, err := s.backend.GraceTime(handle); err != nil {
		return err
	}
	t := s.streams.get(handle, pid, id)
	if t == nil {
		e := api.ProcessNotFound(pid)
		e.Message = fmt.Sprintf("unknown stream %s of process %s: attach to the process for a new one", id, pid)
		return e
	}
	k := pick(t)
	if err := k.attach(); err != nil {
		return err
	}
	conn, reader, err := hijack(w, http.StatusOK, "application/octet-stream")
	if err != nil {
		k.detach()
		return err
	}
	defer conn.Close()
	detach := sync.OnceFunc(k.detach)
	go func() { // a client that goes away frees the sink
		_, _ = io.Copy(io.Discard, reader)
		waitGone(conn)
		detach()
	}()
	_ = k.copyTo(conn, conn.SetWriteDeadline)
	detach()
	return errAnswered
}
