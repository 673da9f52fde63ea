package overlay

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// scratch returns a folder on a tmpfs of its own, which overlayfs takes as upper.
func scratch(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("no tmpfs may be mounted here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func mkdirs(t *testing.T, base string, names ...string) []string {
	t.Helper()
	var out []string
	for _, n := range names {
		p := filepath.Join(base, n)
		if err := os.MkdirAll(p, 0o755); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLayersLieInOrderAndTheUpperTakesTheWrites(t *testing.T) {
	base := scratch(t)
	d := mkdirs(t, base, "low", "high", "up", "work", "on")
	put(t, d[0]+"/both", "low")
	put(t, d[0]+"/low", "low")
	put(t, d[1]+"/both", "high")
	if err := Mount(d[4], []string{d[0], d[1]}, d[2], d[3], nil); err != nil {
		t.Fatal(err)
	}
	defer Unmount(d[4])
	if got := read(t, d[4]+"/both"); got != "high" {
		t.Errorf("both = %q, want the higher layer's", got)
	}
	put(t, d[4]+"/low", "changed")
	if got := read(t, d[0]+"/low"); got != "low" {
		t.Errorf("the lower layer was changed to %q", got)
	}
	if got := read(t, d[2]+"/low"); got != "changed" {
		t.Errorf("the upper has %q", got)
	}
}

func TestMoreLayersThanAPageOfOptionsHolds(t *testing.T) {
	base := scratch(t)
	var lowers []string
	long := strings.Repeat("x", 200)
	for i := range 60 {
		lowers = append(lowers, mkdirs(t, base, long+string(rune('A'+i)))...)
	}
	put(t, lowers[0]+"/file", "bottom")
	on := mkdirs(t, base, "on")[0]
	if err := Mount(on, lowers, "", "", nil); err != nil {
		t.Fatal(err)
	}
	defer Unmount(on)
	if got := read(t, on+"/file"); got != "bottom" {
		t.Errorf("file = %q", got)
	}
	if err := os.WriteFile(on+"/new", nil, 0o600); err == nil {
		t.Error("a mount without an upper took a write")
	}
}

func TestIDMappedLayersBelongToTheContainer(t *testing.T) {
	base := scratch(t)
	d := mkdirs(t, base, "low", "up", "work", "on")
	put(t, d[0]+"/file", "x")
	m := &IDMap{UID: []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}, GID: []specs.LinuxIDMapping{{HostID: 200000, Size: 65536}}}
	if err := Mount(d[3], []string{d[0]}, d[1], d[2], m); err != nil {
		t.Skipf("no id-mapped layers here: %v", err)
	}
	defer Unmount(d[3])
	st, err := os.Stat(d[3] + "/file")
	if err != nil {
		t.Fatal(err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	if sys.Uid != 100000 || sys.Gid != 200000 {
		t.Errorf("owner %d:%d, want 100000:200000", sys.Uid, sys.Gid)
	}
	entries, err := os.ReadDir(d[3])
	if err != nil || len(entries) != 1 {
		t.Errorf("entries %v, %v: want the one file", entries, err)
	}
}

func TestUnmountOfNothingIsNoError(t *testing.T) {
	for _, p := range []string{t.TempDir(), "/no/such/place"} {
		if err := Unmount(p); err != nil && !strings.Contains(err.Error(), "operation not permitted") {
			t.Errorf("Unmount(%s) = %v", p, err)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	if err := Mount("/on", nil, "", "", nil); err == nil || !strings.Contains(err.Error(), "/on") {
		t.Errorf("no layers: %v", err)
	}
	if err := Mount("/on", []string{"/no/such/layer"}, "", "", nil); err == nil || !strings.Contains(err.Error(), "/no/such/layer") && !strings.Contains(err.Error(), "fsopen") {
		t.Errorf("missing layer: %v", err)
	}
}
