package depot

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/network"
	"photonbuild.invalid/compat/internal/gdn/proc"
	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

func TestReference(t *testing.T) {
	for _, c := range []struct {
		uri, registry, ref string
		image              bool
	}{
		{"/some/path", "", "/some/path", false},
		{"/some/path#part", "", "/some/path", false},
		{"file:///some/path", "", "/some/path", false},
		{"docker:///onsi/grace-busybox", "", "docker://onsi/grace-busybox", true},
		{"docker:///busybox#1.36", "", "docker://busybox:1.36", true},
		{"docker:///busybox#1.36", "10.0.0.1:5000", "docker://10.0.0.1:5000/busybox:1.36", true},
		{"docker://registry.example/busybox", "other", "docker://registry.example/busybox", true},
		{"docker://r/b#sha256:abc", "", "docker://r/b@sha256:abc", true},
		{"oci:///dir#v1", "", "oci:/dir:v1", true},
		{"oci:/dir", "", "oci:/dir", true},
		{"docker-archive:///a.tar", "", "docker-archive:/a.tar", true},
	} {
		ref, image, err := reference(c.uri, c.registry)
		if err != nil || ref != c.ref || image != c.image {
			t.Errorf("%s: %s %v %v, want %s %v", c.uri, ref, image, err, c.ref, c.image)
		}
	}
	for _, uri := range []string{"docker://", "docker:///", "oci://relative", "http://x/y", "C:\\rootfs"} {
		if ref, _, err := reference(uri, ""); err == nil {
			t.Errorf("%s became %s", uri, ref)
		}
	}
}

func TestEnvironment(t *testing.T) {
	root := bundle.User{Name: "root", Home: "/root"}
	alice := bundle.User{UID: 1000, Name: "alice", Home: "/home/alice"}
	for _, c := range []struct {
		container, process []string
		user               bundle.User
		want               string
	}{
		{nil, nil, root, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin USER=root HOME=/root"},
		{[]string{"A=1", "PATH=/x"}, []string{"A=2"}, alice, "PATH=/x A=2 USER=alice HOME=/home/alice"},
		{[]string{"USER=image"}, []string{"PATH=/p"}, alice, "USER=image PATH=/p HOME=/home/alice"},
	} {
		if got := strings.Join(environment(c.container, c.process, c.user), " "); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestReachable(t *testing.T) {
	got := reachable("# comment\nsearch a b\nnameserver 127.0.0.53\nnameserver   10.0.2.3\noptions edns0\n")
	if got != "search a b\nnameserver 10.0.2.3\noptions edns0\n" {
		t.Errorf("%q", got)
	}
}

func TestHostname(t *testing.T) {
	for handle, want := range map[string]string{"web-1": "web-1", "a b/ü": "a-b", "-._": "garden", "x1-" + strings.Repeat("x", 97) + "yz": strings.Repeat("x", 47) + "yz"} {
		if got := hostname(handle); got != want {
			t.Errorf("%q: %q, want %q", handle, got, want)
		}
	}
}

func TestStartError(t *testing.T) {
	for message, kind := range map[string]string{
		`exec failed: unable to start container process: exec: "nope": executable file not found in $PATH`:          api.TypeExecutableNotFound,
		`exec failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory`:      api.TypeExecutableNotFound,
		`exec failed: unable to start container process: exec: "/etc/passwd": permission denied`:                    "",
		`exec failed: unable to start container process: chdir to cwd ("/x") set in config.json: no such directory`: "",
	} {
		if got := api.Wrap(startError("p", message)); got.Type != kind {
			t.Errorf("%s: type %q, want %q", message, got.Type, kind)
		}
	}
}

func TestIDs(t *testing.T) {
	c := Config{UIDStart: 1 << 20, UIDSize: 65536}
	for id, want := range map[uint32]int{0: 1 << 20, 7: 1<<20 + 7, 65536: 65536, 1<<20 - 1: 1<<20 - 1, 1 << 20: 1<<20 + 65534,
		1<<20 + 65536: 1<<20 + 65536, 1_000_000_000: 1_000_000_000, 1<<32 - 2: 1<<20 + 65534} {
		if got := c.hostID(false, id); got != want {
			t.Errorf("%d is %d on the host, want %d", id, got, want)
		}
	}
	if c.hostID(true, 7) != 7 {
		t.Error("wrong ids of a privileged container on the host")
	}
	var mapped uint64
	for _, m := range c.mapping() {
		if m.HostID < 65536 || m.HostID+m.Size > 1<<32-2 {
			t.Errorf("a container has the machine's own users: %+v", m)
		}
		mapped += uint64(m.Size)
	}
	if want := uint64(1<<32 - 2 - 65536); mapped != want {
		t.Errorf("%d ids are mapped, want %d", mapped, want)
	}
	if id := newID(); !isID(id) || isID("0123456789abcdeg") || isID("0123") {
		t.Error("wrong ids of containers")
	}
}

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	d := &Depot{c: Config{Depot: dir}}
	s := State{Version: stateVersion, ID: "0123456789abcdef", Handle: "h", Status: active, Lease: someLease(), Properties: map[string]string{"a": "b"}}
	if err := os.Mkdir(d.dir(s.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.save(s); err != nil {
		t.Fatal(err)
	}
	got, err := load(d.stateFile(s.ID))
	if err != nil || got.Handle != "h" || got.Properties["a"] != "b" {
		t.Errorf("%+v %v", got, err)
	}
	if st, _ := os.Stat(d.stateFile(s.ID)); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", st.Mode().Perm())
	}
	for _, bad := range []string{"", "{", `{"version":99,"handle":"h"}`, `{"version":1}`} {
		path := filepath.Join(dir, "bad")
		_ = os.WriteFile(path, []byte(bad), 0o600)
		if _, err := load(path); err == nil {
			t.Errorf("%q is a state", bad)
		}
	}
}

func someLease() network.Lease {
	subnet := netip.MustParsePrefix("10.0.0.0/30")
	return network.Lease{Subnet: subnet, IP: netip.MustParseAddr("10.0.0.1"), Gateway: netip.MustParseAddr("10.0.0.2")}
}

func TestUpdate(t *testing.T) {
	d := &Depot{c: Config{Depot: t.TempDir()}, containers: map[string]*container{}}
	c := &container{state: State{Version: stateVersion, ID: "0123456789abcdef", Handle: "h"}, ready: true}
	d.containers["h"] = c
	if err := d.SetProperty("h", "k", "v"); err == nil { // no directory: it cannot be saved
		t.Error("what cannot be saved is accepted")
	}
	if len(c.get().Properties) != 0 {
		t.Error("what cannot be saved is kept")
	}
	_ = os.Mkdir(d.dir("0123456789abcdef"), 0o700)
	if err := d.SetProperty("h", "k", "v"); err != nil {
		t.Fatal(err)
	}
	if v, err := d.Property("h", "k"); err != nil || v != "v" {
		t.Errorf("%s %v", v, err)
	}
	if got, _ := d.Handles(map[string]string{"k": "v"}); !slices.Equal(got, []string{"h"}) {
		t.Errorf("%q", got)
	}
	if err := d.RemoveProperty("h", "k"); err != nil {
		t.Error(err)
	}
	if err := d.RemoveProperty("h", "k"); err == nil {
		t.Error("a property is removed twice")
	}
	c.gone = true
	if err := api.Wrap(d.SetProperty("h", "k", "v")); err.Type != api.TypeContainerNotFound {
		t.Errorf("%v", err)
	}
}

// TestOpenIn: no link leads out of a container's root.
func TestOpenIn(t *testing.T) {
	root := t.TempDir()
	_ = os.MkdirAll(filepath.Join(root, "etc"), 0o755)
	_ = os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("inside"), 0o644)
	for name, target := range map[string]string{"abs": "/etc/passwd", "up": "../../../../etc/passwd", "self": "/proc/self/root/etc/passwd"} {
		_ = os.Symlink(target, filepath.Join(root, name))
	}
	for _, name := range []string{"abs", "/up", "../../etc/passwd"} {
		f, err := archive.OpenIn(root, name, os.O_RDONLY)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		data := make([]byte, 6)
		_, _ = f.Read(data)
		f.Close()
		if string(data) != "inside" {
			t.Errorf("%s leads to %q", name, data)
		}
	}
	if f, err := archive.OpenIn(root, "self", os.O_RDONLY); err == nil {
		f.Close()
		t.Error("a link through proc was followed")
	}
	if got, err := resolve(root, "/abs"); err != nil || got != filepath.Join(root, "etc/passwd") {
		t.Errorf("resolved to %s %v", got, err)
	}
}

func TestAlive(t *testing.T) {
	start, err := proc.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !proc.Alive(os.Getpid(), start) || proc.Alive(os.Getpid(), start+1) || proc.Alive(0, 0) {
		t.Error("wrong about this process")
	}
}

// TestDestroyWaitsForCreation: a handle that is being made is not unknown to who destroys it.
func TestDestroyWaitsForCreation(t *testing.T) {
	d := &Depot{c: Config{Depot: t.TempDir()}, containers: map[string]*container{}}
	c := &container{over: make(chan struct{}), state: State{Handle: "h"}}
	d.containers["h"] = c
	done := make(chan error, 1)
	go func() { done <- d.Destroy(context.Background(), "h") }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	d.forget(c, "h") // creation failed
	close(c.over)
	if err := <-done; api.Wrap(err).Type != api.TypeContainerNotFound {
		t.Errorf("after a failed creation: %v", err)
	}
}
