package pod

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Mark moves every pod that has ended to the garbage: exited ones, aborted
// preparations and prepared pods older than expire. moved is told of each.
func (s Store) Mark(expire time.Duration, moved func(*Pod)) error {
	pods, err := s.List()
	if err != nil {
		return err
	}
	for _, p := range pods {
		to, ok := p.garbagePhase(expire)
		if !ok {
			continue
		}
		if free, err := p.TryLock(); err != nil || !free {
			continue // it runs, or it is gone
		}
		err := p.Move(to)
		p.Unlock()
		if errors.Is(err, os.ErrNotExist) {
			continue // another collector was faster
		}
		if err != nil {
			return err
		}
		moved(p)
	}
	return nil
}

func (p *Pod) garbagePhase(expire time.Duration) (Phase, bool) {
	switch p.Phase {
	case Run:
		return ExitedGarbage, true
	case Prepare:
		return Garbage, true
	case Embryo, Prepared:
		return Garbage, p.age() >= expire
	}
	return "", false
}

// age is the time since the directory was last changed or moved.
func (p *Pod) age() time.Duration {
	var st unix.Stat_t
	if err := unix.Stat(p.Path(), &st); err != nil {
		return 0
	}
	return time.Since(time.Unix(st.Ctim.Unix()))
}

// Sweep deletes the pods that have been garbage for longer than grace; exited
// ones are cleaned up outside of their directory first.
func (s Store) Sweep(grace time.Duration, cleanup func(*Pod) error) error {
	pods, err := s.List()
	if err != nil {
		return err
	}
	var failed error
	for _, p := range pods {
		if p.Phase != ExitedGarbage && p.Phase != Garbage || p.Phase == ExitedGarbage && p.age() < grace {
			continue
		}
		if free, err := p.TryLock(); err != nil || !free {
			continue
		}
		err := cleanup(p)
		if err == nil {
			err = p.Delete()
		}
		p.Unlock()
		failed = errors.Join(failed, err)
	}
	return failed
}
