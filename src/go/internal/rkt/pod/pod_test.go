package pod

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func newPod(t *testing.T) (Store, *Pod) {
	t.Helper()
	s := Open(t.TempDir())
	p, err := s.New()
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func state(t *testing.T, s Store, id string) State {
	t.Helper()
	p, err := s.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	st, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestFolderAndLockTellTheState(t *testing.T) {
	s, p := newPod(t)
	if got := state(t, s, p.UUID); got != StatePreparing {
		t.Errorf("new: %s", got)
	}
	for _, step := range []struct {
		phase            Phase
		locked, unlocked State
	}{
		{Prepare, StatePreparing, StateAbortedPrep},
		{Prepared, StatePrepared, StatePrepared},
		{Run, StateRunning, StateExited},
		{ExitedGarbage, StateDeleting, StateExitedGarbage},
		{Garbage, StateDeleting, StateGarbage},
	} {
		if p.Phase != step.phase {
			if err := p.Move(step.phase); err != nil {
				t.Fatal(err)
			}
		}
		if got := state(t, s, p.UUID); got != step.locked {
			t.Errorf("%s locked: %s, want %s", step.phase, got, step.locked)
		}
		p.Unlock()
		if got := state(t, s, p.UUID); got != step.unlocked {
			t.Errorf("%s unlocked: %s, want %s", step.phase, got, step.unlocked)
		}
		if free, err := p.TryLock(); err != nil || !free {
			t.Fatal(free, err)
		}
	}
}

func TestOnlyOneMoves(t *testing.T) {
	s, p := newPod(t)
	other, err := s.Get(p.UUID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Move(Run); err != nil {
		t.Fatal(err)
	}
	if err := other.Move(Run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second move: %v", err)
	}
}

func TestGetByTheBeginning(t *testing.T) {
	s, p := newPod(t)
	if got, err := s.Get(strings.ToUpper(p.UUID[:8])); err != nil || got.UUID != p.UUID {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "..", "../..", "a"} {
		if _, err := s.Get(bad); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q) = %v", bad, err)
		}
	}
	if _, err := s.Get("ffffffff-ffff-ffff-ffff-ffffffffffff"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestGarbageCollection(t *testing.T) {
	s, running := newPod(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(running.Move(Run))
	exited, err := s.New()
	must(err)
	must(exited.Move(Run))
	exited.Unlock()
	aborted, err := s.New()
	must(err)
	aborted.Unlock()
	waiting, err := s.New()
	must(err)
	must(waiting.Move(Prepared))
	waiting.Unlock()
	var moved []string
	must(s.Mark(time.Hour, func(p *Pod) { moved = append(moved, p.UUID) }))
	if len(moved) != 2 {
		t.Errorf("moved %v", moved)
	}
	want := map[string]State{running.UUID: StateRunning, exited.UUID: StateExitedGarbage, aborted.UUID: StateGarbage, waiting.UUID: StatePrepared}
	for id, st := range want {
		if got := state(t, s, id); got != st {
			t.Errorf("%s is %s, want %s", id, got, st)
		}
	}
	var cleaned []string
	sweep := func(grace time.Duration) {
		must(s.Sweep(grace, func(p *Pod) error { cleaned = append(cleaned, p.UUID); return nil }))
	}
	sweep(time.Hour)
	if len(cleaned) != 1 || cleaned[0] != aborted.UUID {
		t.Errorf("cleaned %v, want the aborted one only", cleaned)
	}
	sweep(0)
	if _, err := s.Get(exited.UUID); !errors.Is(err, ErrNotFound) {
		t.Errorf("exited pod: %v", err)
	}
}

func TestWait(t *testing.T) {
	_, p := newPod(t)
	if err := p.Move(Run); err != nil {
		t.Fatal(err)
	}
	if ended, err := p.Wait(time.Now().Add(20 * time.Millisecond)); ended || err != nil {
		t.Errorf("running: %v, %v", ended, err)
	}
	go func() { time.Sleep(20 * time.Millisecond); p.Unlock() }()
	if ended, err := p.Wait(time.Now().Add(5 * time.Second)); !ended || err != nil {
		t.Errorf("ended: %v, %v", ended, err)
	}
}

func TestStatusAndFiles(t *testing.T) {
	_, p := newPod(t)
	if _, ok := p.Status("app"); ok || p.Pid() != -1 || !p.Created().IsZero() || p.Ready() {
		t.Error("a new pod knows things")
	}
	for _, err := range []error{p.SetStatus("app", 137), p.SetPid(5), p.SetCreated(), p.SetReady(), p.SetNets([]Net{{Name: "default", IPs: []string{"1.2.3.4"}}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if st, ok := p.Status("app"); st != 137 || !ok || p.Pid() != 5 || p.Created().IsZero() || !p.Ready() || p.Nets()[0].IPs[0] != "1.2.3.4" {
		t.Error("something was lost")
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.Path()); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}
