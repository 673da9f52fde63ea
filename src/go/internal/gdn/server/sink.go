package server

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Bounds of a sink.
const (
	sinkSize     = 1 << 20
	writeTimeout = time.Minute
)

var errBusy = errors.New("another connection is attached to this stream")

// sink carries one output stream of a process from the backend to the connection that asks for
// it, which may come late, or never. Before one came, the last sinkSize bytes are kept; while
// one is there, a full sink makes the writer wait; after it broke, everything is thrown away.
type sink struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	closed   bool // no more writes
	attached bool
	broken   bool
}

func newSink() *sink {
	s := &sink{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// put adds output.
func (s *sink) put(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.attached && !s.closed && !s.broken && len(s.data) > 0 && len(s.data)+len(p) > sinkSize {
		s.changed.Wait()
	}
	if s.closed || s.broken {
		return
	}
	s.data = append(s.data, p...)
	if over := len(s.data) - sinkSize; over > 0 && !s.attached {
		s.data = append(s.data[:0], s.data[over:]...)
	}
	s.changed.Broadcast()
}

// close ends the stream; what is in it is still given out.
func (s *sink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

// attach reserves the sink for one connection.
func (s *sink) attach() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attached {
		return errBusy
	}
	s.attached, s.broken = true, false
	return nil
}

// copyTo writes the stream to an attached connection until its end. The caller detaches.
func (s *sink) copyTo(w io.Writer, deadline func(time.Time) error) error {
	for {
		chunk, ok := s.take()
		if !ok {
			return nil
		}
		_ = deadline(time.Now().Add(writeTimeout))
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
}

// detach throws away what nobody reads, until the next connection attaches.
func (s *sink) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached, s.broken, s.data = false, true, nil
	s.changed.Broadcast()
}

func (s *sink) take() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 && !s.closed && !s.broken {
		s.changed.Wait()
	}
	if len(s.data) == 0 {
		return nil, false
	}
	chunk := s.data
	s.data = nil
	s.changed.Broadcast()
	return chunk, true
}
