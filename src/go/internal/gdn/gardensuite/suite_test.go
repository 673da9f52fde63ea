//go:build garden

package gardensuite

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/gardentest"
)

// What the suite is told of its machine.
var (
	socket  = os.Getenv("GARDEN_SOCKET")
	busybox = os.Getenv("GARDEN_BUSYBOX") // a static program
	folder  = os.Getenv("GARDEN_FOLDER")  // for root file systems, made and removed
)

var (
	client = gardentest.New("unix", socket)
	rootfs string // of every container that names no other
	pea    string // of processes with one of their own
)

const mib = 1 << 20

func TestMain(m *testing.M) {
	code, err := 1, error(nil)
	rootfs, pea = filepath.Join(folder, "rootfs"), filepath.Join(folder, "pea")
	if err = errors.Join(makeRoot(rootfs, "box"), makeRoot(pea, "pea")); err == nil {
		code = m.Run()
	}
	if err = errors.Join(err, os.RemoveAll(folder)); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

// makeRoot makes a root file system of one static program, with the users alice and bob.
func makeRoot(root, name string) error {
	for path, mode := range map[string]os.FileMode{"bin": 0o755, "sbin": 0o755, "etc": 0o755, "proc": 0o755, "sys": 0o755, "dev": 0o755,
		"usr": 0o755, "root": 0o700, "tmp": 0o1777, "var": 0o755, "home/alice": 0o755, "home/bob": 0o755} {
		dir := filepath.Join(root, path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode.Perm()|map[bool]os.FileMode{true: os.ModeSticky}[mode&0o1000 != 0]); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	for path, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\nbob:x:1002:1002::/home/bob:/bin/sh\nlarge:x:700000:700000::/:/bin/sh\n",
		"etc/group":  "root:x:0:\nalice:x:1001:\nbob:x:1002:\npets:x:1010:alice,root\n",
		"etc/name":   name + "\n", ".foo": "a file with a dot\n", "bin/busybox": string(program)} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "bin/busybox"), 0o755|os.ModeSetuid); err != nil {
		return err
	}
	list, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return err
	}
	for applet := range strings.FieldsSeq(string(list)) {
		dir := map[bool]string{true: "sbin", false: "bin"}[applet == "ifconfig"]
		if err := os.Symlink("/bin/busybox", filepath.Join(root, dir, applet)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return errors.Join(os.Chown(filepath.Join(root, "home/alice"), 1001, 1001), os.Chown(filepath.Join(root, "home/bob"), 1002, 1002))
}

// create makes a container that goes with the test.
func create(t *testing.T, spec api.ContainerSpec) *gardentest.Container {
	t.Helper()
	if spec.Image.URI == "" {
		spec.Image.URI = rootfs
	}
	c, err := client.Create(spec)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Destroy(); err != nil && gardentest.TypeOf(err) != api.TypeContainerNotFound {
			t.Errorf("destroy: %v", err)
		}
	})
	return c
}

func program(path string, args ...string) api.ProcessSpec {
	return api.ProcessSpec{Path: path, Args: args}
}

func sh(script string) api.ProcessSpec { return program("sh", "-c", script) }

func as(user string, spec api.ProcessSpec) api.ProcessSpec { spec.User = user; return spec }

func inPea(spec api.ProcessSpec) api.ProcessSpec { spec.Image.URI = pea; return spec }

// result is a process that ended.
type result struct {
	code        int
	out, errors string
}

// ran runs a process to its end.
func ran(t *testing.T, c *gardentest.Container, spec api.ProcessSpec) result {
	t.Helper()
	var out, errs buffer
	p, err := c.Run(spec, gardentest.IO{Stdout: &out, Stderr: &errs})
	if err != nil {
		t.Fatalf("run %s %q: %v", spec.Path, spec.Args, err)
	}
	return result{wait(t, p), out.String(), errs.String()}
}

func wait(t *testing.T, p *gardentest.Process) int {
	t.Helper()
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() { code, err := p.Wait(); ended <- end{code, err} }()
	select {
	case e := <-ended:
		if e.err != nil {
			t.Fatalf("wait: %v", e.err)
		}
		return e.code
	case <-time.After(2 * time.Minute):
		t.Fatal("the process does not end")
		return 0
	}
}

// out is what a process that has to succeed prints.
func out(t *testing.T, c *gardentest.Container, spec api.ProcessSpec) string {
	t.Helper()
	r := ran(t, c, spec)
	if r.code != 0 {
		t.Fatalf("%s %q: %+v", spec.Path, spec.Args, r)
	}
	return r.out
}

// says demands a pattern.
func says(t *testing.T, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
		t.Errorf("%q does not match %q", text, pattern)
	}
}

func saysNot(t *testing.T, text, pattern string) {
	t.Helper()
	if regexp.MustCompile("(?m)" + pattern).MatchString(text) {
		t.Errorf("%q matches %q", text, pattern)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// fails demands an error with a text.
func fails(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want …%s…", err, text)
	}
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) has(text string) func() bool {
	return func() bool { return strings.Contains(b.String(), text) }
}

// started runs a process and waits until it says a word.
func started(t *testing.T, c *gardentest.Container, spec api.ProcessSpec, word string) (*gardentest.Process, *buffer) {
	t.Helper()
	var both buffer
	p, err := c.Run(spec, gardentest.IO{Stdout: &both, Stderr: &both})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	eventually(t, "it says "+word, both.has(word))
	return p, &both
}

func signal(t *testing.T, p *gardentest.Process, number int) {
	t.Helper()
	if err := p.Signal(number); err != nil {
		t.Errorf("signal: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

var _ io.Reader = endless{}
