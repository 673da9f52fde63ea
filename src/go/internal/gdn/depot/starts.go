package depot

import (
	"context"
	"errors"
	"sync"
	"time"
)

// startLimit is how long a process may take to start.
const startLimit = 10 * time.Minute

var errInterrupted = errors.New("the container is being stopped or destroyed")

// starts are the processes of a container that are being started. A container can hold up runc, by
// stopping what runc runs in it; it must not hold up its own end by that.
type starts struct {
	mu   sync.Mutex
	next int
	all  map[int]context.CancelCauseFunc
}

// begin returns the context of a start; end has to be called.
func (s *starts) begin(ctx context.Context) (_ context.Context, end func()) {
	// A client that goes away does not stop a start half way.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	ctx, stop := context.WithTimeout(ctx, startLimit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[int]context.CancelCauseFunc{}
	}
	s.next++
	id := s.next
	s.all[id] = cancel
	return ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, id)
		stop()
		cancel(nil)
	}
}

// interrupt ends all starts.
func (s *starts) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.all {
		cancel(errInterrupted)
	}
}
