// Package pod keeps pods on disk: a directory per pod whose place and lock tell
// its state, as rkt's Documentation/devel/pod-lifecycle.md describes it.
package pod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Phase is the folder that a pod's directory lies in.
type Phase string

// The phases, in the order of a pod's life.
const (
	Embryo        Phase = "embryo"
	Prepare       Phase = "prepare"
	Prepared      Phase = "prepared"
	Run           Phase = "run"
	ExitedGarbage Phase = "exited-garbage"
	Garbage       Phase = "garbage"
)

// phases is the order of a search: a pod that moves on is met again later.
var phases = []Phase{Embryo, Prepare, Prepared, Run, ExitedGarbage, Garbage}

// State is what `rkt list` calls it.
type State string

// The states.
const (
	StateEmbryo        State = "embryo"
	StatePreparing     State = "preparing"
	StateAbortedPrep   State = "aborted prepare"
	StatePrepared      State = "prepared"
	StateRunning       State = "running"
	StateExited        State = "exited"
	StateExitedGarbage State = "exited garbage"
	StateDeleting      State = "deleting"
	StateGarbage       State = "garbage"
)

// Store is the folder of all pods.
type Store struct{ Dir string }

// Open returns the store below the data directory; its folders are made when
// the first pod is.
func Open(dataDir string) Store { return Store{Dir: filepath.Join(dataDir, "pods")} }

// Pod is one pod at the moment it was looked up.
type Pod struct {
	UUID  string
	Phase Phase
	store Store
	lock  *os.File
}

// ErrNotFound says that no pod has the UUID.
var ErrNotFound = errors.New("no such pod")

// Path returns the pod's directory.
func (p *Pod) Path() string { return p.store.path(p.Phase, p.UUID) }

// File returns the path of a file in the pod's directory.
func (p *Pod) File(elem ...string) string {
	return filepath.Join(append([]string{p.Path()}, elem...)...)
}

func (s Store) path(phase Phase, id string) string { return filepath.Join(s.Dir, string(phase), id) }

// New makes a pod: an embryo that is locked and then in preparation.
func (s Store) New() (*Pod, error) {
	for _, phase := range phases {
		if err := os.MkdirAll(s.path(phase, ""), 0o750); err != nil {
			return nil, fmt.Errorf("pods: %w", err)
		}
	}
	p := &Pod{UUID: uuid.NewString(), Phase: Embryo, store: s}
	if err := os.Mkdir(p.Path(), 0o750); err != nil {
		return nil, fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	if _, err := p.TryLock(); err != nil {
		return nil, err
	}
	return p, p.Move(Prepare)
}

// Move changes the phase. Only one of several that try succeeds.
func (p *Pod) Move(to Phase) error {
	if err := os.Rename(p.Path(), p.store.path(to, p.UUID)); err != nil {
		return fmt.Errorf("pod %s cannot go from %s to %s: %w", p.UUID, p.Phase, to, err)
	}
	p.Phase = to
	return nil
}

// TryLock takes the exclusive lock; false when another process has it.
func (p *Pod) TryLock() (bool, error) {
	f, err := os.Open(p.Path())
	if err != nil {
		return false, fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return false, fmt.Errorf("pod %s: lock: %w", p.UUID, err)
	}
	p.lock = f
	return true, nil
}

// LockFile returns the open, locked directory; nil when this process has no lock.
func (p *Pod) LockFile() *os.File { return p.lock }

// Unlock gives the lock up. A lock that was handed to another process stays with it.
func (p *Pod) Unlock() {
	if p.lock != nil {
		p.lock.Close()
		p.lock = nil
	}
}

// Locked says whether any process has the exclusive lock.
func (p *Pod) Locked() (bool, error) {
	f, err := os.Open(p.Path())
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// State tells the state by folder and lock.
func (p *Pod) State() (State, error) {
	switch p.Phase {
	case Embryo:
		return StateEmbryo, nil
	case Prepared:
		return StatePrepared, nil
	}
	locked, err := p.Locked()
	if err != nil {
		return "", fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	pair := map[Phase][2]State{ // unlocked, locked
		Prepare:       {StateAbortedPrep, StatePreparing},
		Run:           {StateExited, StateRunning},
		ExitedGarbage: {StateExitedGarbage, StateDeleting},
		Garbage:       {StateGarbage, StateDeleting},
	}[p.Phase]
	if locked {
		return pair[1], nil
	}
	return pair[0], nil
}

// Wait waits until the pod does not run, or until the deadline (zero: for ever).
// It says whether the pod ended. Locks have no deadline, so it looks again and again.
func (p *Pod) Wait(deadline time.Time) (bool, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		now, err := p.store.Get(p.UUID)
		if errors.Is(err, ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		state, err := now.State()
		if errors.Is(err, os.ErrNotExist) {
			continue // moved on meanwhile
		}
		if err != nil {
			return false, err
		}
		if state != StateRunning && state != StatePreparing && state != StatePrepared && state != StateEmbryo {
			p.Phase = now.Phase
			return true, nil
		}
		if !deadline.IsZero() && time.Now().Add(pause).After(deadline) {
			return false, nil
		}
		time.Sleep(pause)
	}
}

// Get finds a pod by its UUID or by the beginning of one, which must be unique.
func (s Store) Get(id string) (*Pod, error) {
	id = strings.ToLower(strings.TrimSpace(id))
	if len(id) < 2 || strings.Trim(id, "0123456789abcdef-") != "" {
		return nil, fmt.Errorf("%q is no UUID and no beginning of one (two or more hexadecimal digits)", id)
	}
	pods, err := s.List()
	if err != nil {
		return nil, err
	}
	var found *Pod
	for _, p := range pods {
		switch {
		case !strings.HasPrefix(p.UUID, id):
		case found != nil && found.UUID != p.UUID:
			return nil, fmt.Errorf("%q is the beginning of more than one pod: %s and %s", id, found.UUID, p.UUID)
		default:
			found = p
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return found, nil
}

// List returns all pods, by phase and UUID.
func (s Store) List() ([]*Pod, error) {
	var list []*Pod
	for _, phase := range phases {
		entries, err := os.ReadDir(s.path(phase, ""))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("pods: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && uuid.Validate(e.Name()) == nil {
				list = append(list, &Pod{UUID: e.Name(), Phase: phase, store: s})
			}
		}
	}
	return list, nil
}
