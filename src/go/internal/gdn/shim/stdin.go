package shim

import (
	"io"
	"sync"
)

// maxStdin is how much input may wait for the process before the sender has to wait too.
const maxStdin = 16 << 20

// stdin feeds a process's standard input from a queue, so that a process that does not read
// does not hold up signals.
type stdin struct {
	mu      sync.Mutex
	changed *sync.Cond
	queue   []byte
	closed  bool
	broken  bool
}

// newStdin starts to feed w; end closes it, or on a terminal sends what ends the input.
func newStdin(w io.Writer, end func()) *stdin {
	s := &stdin{}
	s.changed = sync.NewCond(&s.mu)
	go s.feed(w, end)
	return s
}

func (s *stdin) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > maxStdin && !s.broken && !s.closed {
		s.changed.Wait()
	}
	if s.closed || s.broken {
		return
	}
	s.queue = append(s.queue, p...)
	s.changed.Broadcast()
}

func (s *stdin) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

func (s *stdin) feed(w io.Writer, end func()) {
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.closed {
			s.changed.Wait()
		}
		chunk := s.queue
		s.queue = nil
		s.changed.Broadcast()
		s.mu.Unlock()
		if len(chunk) == 0 {
			end()
			return
		}
		if _, err := w.Write(chunk); err != nil {
			s.mu.Lock()
			s.broken = true
			s.changed.Broadcast()
			s.mu.Unlock()
			end()
			return
		}
	}
}
