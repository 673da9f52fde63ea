package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// grace destroys containers that no client has referenced for their grace time. A request on
// a container is a reference, and so is an open process stream.
type grace struct {
	backend Backend
	log     *slog.Logger

	mu      sync.Mutex
	stopped bool
	watched map[string]*watch
}

type watch struct {
	references int
	timer      *time.Timer
}

func newGrace(backend Backend, log *slog.Logger) *grace {
	return &grace{backend: backend, log: log, watched: map[string]*watch{}}
}

// acquire references a container and returns what gives the reference back. Unknown handles
// cost nothing in the end: the last release forgets them.
func (g *grace) acquire(handle string) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.watched[handle]
	if w == nil {
		w = &watch{}
		g.watched[handle] = w
	}
	w.references++
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	return sync.OnceFunc(func() { g.release(handle, w) })
}

func (g *grace) release(handle string, w *watch) {
	limit, err := g.backend.GraceTime(handle)
	g.mu.Lock()
	defer g.mu.Unlock()
	w.references--
	if w.references > 0 || g.stopped || g.watched[handle] != w {
		return
	}
	if err != nil || limit <= 0 {
		delete(g.watched, handle)
		return
	}
	w.timer = time.AfterFunc(limit, func() { g.expire(handle, w) })
}

func (g *grace) expire(handle string, w *watch) {
	g.mu.Lock()
	if g.stopped || w.references > 0 || g.watched[handle] != w {
		g.mu.Unlock()
		return
	}
	delete(g.watched, handle)
	g.mu.Unlock()
	g.log.Info("grace time is over: destroying the container", "handle", handle)
	if err := g.backend.Destroy(context.Background(), handle); err != nil {
		g.log.Error("cannot destroy a container after its grace time", "handle", handle, "error", err)
	}
}

// forget drops a container that was destroyed.
func (g *grace) forget(handle string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.watched[handle]; w != nil && w.timer != nil {
		w.timer.Stop()
	}
	delete(g.watched, handle)
}

// stop ends all timers for good.
func (g *grace) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	for _, w := range g.watched {
		if w.timer != nil {
			w.timer.Stop()
		}
	}
}
