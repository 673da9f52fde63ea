package stage1

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/kit/bundle"
)

// TestMain: run as runc, this program becomes what the bundle says, without a container.
func TestMain(m *testing.M) {
	if i := slices.Index(os.Args, "--bundle"); i > 0 && slices.Contains(os.Args, "run") {
		fmt.Fprintln(os.Stderr, "not runc:", becomeContainer(os.Args[i+1]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func becomeContainer(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return err
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	if i := slices.Index(os.Args, "--pid-file"); i > 0 {
		if err := os.WriteFile(os.Args[i+1], fmt.Append(nil, os.Getpid()), 0o600); err != nil {
			return err
		}
	}
	return syscall.Exec(spec.Process.Args[0], spec.Process.Args, os.Environ())
}

// world is a supervisor without namespaces, and what its apps write.
type world struct {
	s      *supervisor
	dir    string
	stderr string
}

func newWorld(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(dir + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	return world{dir: dir, stderr: dir + "/stderr", s: &supervisor{
		pod: somePod(t), runc: bundle.Runc{Path: self, Root: dir, Log: dir}, box: &sandbox{}, stdio: [3]*os.File{nil, stderr, stderr},
		stop: make(chan struct{}), kill: make(chan struct{}), procs: map[string]running{},
	}}
}

// script is an app's, or its handler's; $D is the world's folder.
func (w world) script(text string) []string {
	return []string{"/bin/sh", "-c", strings.ReplaceAll(text, "$D", w.dir)}
}

func (w world) app(name, exec string) *app {
	return &app{name: name, dir: filepath.Join(w.dir, name), exec: w.script(exec),
		container: bundle.Container{ID: name, RootFS: w.dir, Cwd: "/", CgroupsPath: "/none", Args: w.script(exec)}}
}

func (w world) has(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(w.dir, name))
	return err == nil
}

// await waits for a file of an app's.
func (w world) await(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !w.has(t, name); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", name)
		}
	}
}

const untilStopped = `trap 'echo > $D/stopped; exit 0' TERM; echo > $D/up; while :; do sleep 0.02; done`

func TestPostStopRunsOnACleanStop(t *testing.T) {
	w := newWorld(t)
	a := w.app("a", untilStopped)
	a.post = w.script(`sleep 0.2; echo > $D/post`)
	go func() {
		w.await(t, "up")
		w.s.beginStop()
	}()
	status, err := w.s.runApps([]*app{a})
	if status != 0 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	if !w.has(t, "stopped") || !w.has(t, "post") {
		t.Errorf("stopped %v, post-stop ran %v", w.has(t, "stopped"), w.has(t, "post"))
	}
}

func TestHandlersAndStatus(t *testing.T) {
	for name, c := range map[string]struct {
		exec, pre, post string
		status          int
		ran             string
	}{
		"all is well":       {"echo > $D/main", "echo > $D/pre", "echo > $D/post", 0, "pre main post"},
		"the app fails":     {"echo > $D/main; exit 7", "", "echo > $D/post; exit 9", 7, "main post"},
		"pre-start fails":   {"echo > $D/main", "exit 5", "echo > $D/post", 5, ""},
		"post-stop fails":   {"echo > $D/main", "", "exit 9", 9, "main"},
		"killed by itself":  {"kill -9 $$", "", "echo > $D/post", -1, "post"},
		"without handlers":  {"echo > $D/main; exit 3", "", "", 3, "main"},
		"post-stop is told": {"exit 0", "", "test ! -e $D/main && echo > $D/post", 0, "post"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.app("a", c.exec)
			if c.pre != "" {
				a.pre = w.script(c.pre)
			}
			if c.post != "" {
				a.post = w.script(c.post)
			}
			status, err := w.s.runApps([]*app{a})
			if c.status >= 0 && (status != c.status || err != nil) {
				t.Errorf("status %d, %v", status, err)
			}
			var ran []string
			for _, f := range []string{"pre", "main", "post"} {
				if w.has(t, f) {
					ran = append(ran, f)
				}
			}
			if got := strings.Join(ran, " "); c.status >= 0 && got != c.ran {
				t.Errorf("ran: %s, want %s", got, c.ran)
			}
		})
	}
}

func TestAFailingAppStopsTheOthers(t *testing.T) {
	w := newWorld(t)
	other := w.app("other", untilStopped)
	other.post = w.script("echo > $D/post")
	failing := w.app("failing", "while ! test -e $D/up; do sleep 0.02; done; exit 4")
	if status, err := w.s.runApps([]*app{other, failing}); status != 4 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	if !w.has(t, "stopped") || !w.has(t, "post") {
		t.Error("the other app was not stopped cleanly")
	}
}

// The apps' status is theirs: that it cannot be written down is a warning.
func TestAStatusThatCannotBeKept(t *testing.T) {
	w := newWorld(t)
	if err := os.RemoveAll(w.s.pod.Path()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.s.pod.Path(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, err := w.s.runApps([]*app{w.app("a", "exit 6")}); status != 6 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	if text, _ := os.ReadFile(w.stderr); !strings.Contains(string(text), "warning: status of app a") {
		t.Errorf("stderr: %s", text)
	}
}
