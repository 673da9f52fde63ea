package stage1

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/kit/bundle"
)

// running is what runs in an app's environment at the moment.
type running struct {
	process *bundle.Process
	last    bool // the post-stop handler: it is there for the end, and a stop does not end it
}

func handlers(a *app, list []types.EventHandler) {
	for _, h := range list {
		switch h.Name {
		case "pre-start":
			a.pre = h.Exec
		case "post-stop":
			a.post = h.Exec
		}
	}
}

// preStart runs the app's pre-start handler. Its failure is the app's.
func (s *supervisor) preStart(a *app) (int, error) {
	if len(a.pre) == 0 {
		return 0, nil
	}
	status, err := s.runOnce(a, a.pre, "", false)
	if err != nil {
		status = 1
	}
	return status, wrap("pre-start of app "+a.name, err)
}

// postStop runs the app's post-stop handler, whatever ended the app. When the pod
// is being stopped it has as long as the apps had, from its own start on.
func (s *supervisor) postStop(a *app) (int, error) {
	if len(a.post) == 0 || s.box.stopped.Load() {
		return 0, nil
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-s.stop:
		case <-ended:
			return
		}
		for !exists(a.postPidFile()) {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ended:
				return
			}
		}
		select {
		case <-time.After(s.stopWithin()):
			killCgroup(a)
		case <-ended:
		}
	}()
	return s.runOnce(a, a.post, a.postPidFile(), true)
}

// postPidFile is there when the post-stop handler runs.
func (a *app) postPidFile() string { return filepath.Join(a.dir, "post-stop.pid") }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (s *supervisor) stopWithin() time.Duration {
	if s.options.StopWithin > 0 {
		return s.options.StopWithin
	}
	return DefaultStop
}

// signalAll sends a signal to what runs of the apps: to the apps alone when it is to end them.
func (s *supervisor) signalAll(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.procs {
		if !r.last || sig == syscall.SIGWINCH {
			r.process.Signal(sig)
		}
	}
}

// killApps kills every process of every app, but not those that clean up after one.
func (s *supervisor) killApps(apps []*app) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range apps {
		if !s.procs[a.name].last {
			killCgroup(a)
		}
	}
}

// killCgroup kills every process of an app.
func killCgroup(a *app) {
	os.WriteFile(filepath.Join("/sys/fs/cgroup", a.container.CgroupsPath, "cgroup.kill"), []byte("1"), 0)
}

// warn tells whoever started the pod, and the journal.
func (s *supervisor) warn(format string, args ...any) {
	text := "rkt: warning: " + fmt.Sprintf(format, args...)
	fmt.Fprintln(s.stdio[2], text)
	fmt.Fprintln(os.Stderr, text)
}
