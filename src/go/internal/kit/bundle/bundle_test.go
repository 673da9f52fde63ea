package bundle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func simple() Container { return Container{ID: "x", RootFS: "/r", Args: []string{"/bin/true"}} }

func mustSpec(t *testing.T, c Container) *specs.Spec {
	t.Helper()
	s, err := c.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mountAt(s *specs.Spec, dest string) (specs.Mount, int) {
	var found specs.Mount
	n := 0
	for _, m := range s.Mounts {
		if m.Destination == dest {
			found, n = m, n+1
		}
	}
	return found, n
}

func TestASilentContainerIsConfined(t *testing.T) {
	s := mustSpec(t, simple())
	if s.Process.Cwd != "/" || len(s.Process.Capabilities.Bounding) != 14 || s.Process.Capabilities.Ambient != nil {
		t.Errorf("process %+v", s.Process)
	}
	if m, _ := mountAt(s, "/sys"); m.Type != "sysfs" || !slices.Contains(m.Options, "ro") {
		t.Errorf("/sys %+v", m)
	}
	if !slices.Contains(s.Linux.MaskedPaths, "/proc/kcore") || !slices.Contains(s.Linux.ReadonlyPaths, "/proc/sys") {
		t.Error("host's parts of /proc are open")
	}
	if d := s.Linux.Resources.Devices[0]; d.Allow || d.Access != "rwm" {
		t.Errorf("first device rule %+v, want: deny all", d)
	}
	if want := []specs.LinuxNamespace{{Type: specs.MountNamespace}}; !reflect.DeepEqual(s.Linux.Namespaces, want) {
		t.Errorf("namespaces %v", s.Linux.Namespaces)
	}
}

func TestMasksCanBeTakenAway(t *testing.T) {
	c := simple()
	c.MaskedPaths, c.ReadonlyPaths = []string{}, []string{}
	if s := mustSpec(t, c); len(s.Linux.MaskedPaths) != 0 || len(s.Linux.ReadonlyPaths) != 0 {
		t.Error("still masked")
	}
}

func TestNoCapabilitiesIsNotTheDefault(t *testing.T) {
	c := simple()
	c.Capabilities = []string{}
	if s := mustSpec(t, c); len(s.Process.Capabilities.Bounding) != 0 {
		t.Errorf("capabilities %v", s.Process.Capabilities.Bounding)
	}
}

func TestAUserNamespaceOverAnothersNetwork(t *testing.T) {
	c := simple()
	c.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 5}}
	c.GIDMappings = c.UIDMappings
	c.Namespaces = map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "/run/netns/x", specs.PIDNamespace: "", specs.IPCNamespace: ""}
	s := mustSpec(t, c)
	if m, _ := mountAt(s, "/sys"); !slices.Contains(m.Options, "rbind") {
		t.Errorf("/sys %+v, want a bind", m)
	}
	if m, _ := mountAt(s, "/dev/pts"); slices.Contains(m.Options, "gid=5") {
		t.Error("group 5 is not mapped")
	}
	if _, n := mountAt(s, "/dev/mqueue"); n != 1 {
		t.Error("mqueue of an own IPC namespace is missing")
	}
	var kinds []string
	for _, n := range s.Linux.Namespaces {
		kinds = append(kinds, string(n.Type)+n.Path)
	}
	if want := []string{"ipc", "mount", "network/run/netns/x", "pid", "user"}; !slices.Equal(kinds, want) {
		t.Errorf("namespaces %v, want %v", kinds, want)
	}
}

func TestAnOwnMountReplacesADefaultOne(t *testing.T) {
	c := simple()
	c.Mounts = []specs.Mount{{Destination: "/dev/shm/", Type: "bind", Source: "/x"}}
	s := mustSpec(t, c)
	if _, n := mountAt(s, "/dev/shm"); n != 0 {
		t.Error("default /dev/shm is still there")
	}
	if last := s.Mounts[len(s.Mounts)-1]; last.Source != "/x" {
		t.Errorf("last mount %+v", last)
	}
}

func TestBadContainersAreNamed(t *testing.T) {
	for want, change := range map[string]func(*Container){
		"root filesystem":   func(c *Container) { c.RootFS = "" },
		"command":           func(c *Container) { c.Args = nil },
		"working directory": func(c *Container) { c.Cwd = "tmp" },
		"CAP_PONIES":        func(c *Container) { c.Capabilities = []string{"CAP_PONIES"} },
		"NUL":               func(c *Container) { c.Env = []string{"a=\x00"} },
		"destination":       func(c *Container) { c.Mounts = []specs.Mount{{Destination: "x"}} },
		"user namespace":    func(c *Container) { c.UIDMappings = []specs.LinuxIDMapping{{Size: 1}} },
	} {
		c := simple()
		change(&c)
		if _, err := c.Spec(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %q", err, want)
		}
	}
}

func TestTheCallersLimitsAreNotChanged(t *testing.T) {
	c := simple()
	c.Resources = &specs.LinuxResources{}
	mustSpec(t, c)
	if c.Resources.Devices != nil {
		t.Error("device rules were added to the caller's value")
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, mustSpec(t, simple())); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dir, "config.json"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st, err)
	}
	data, _ := os.ReadFile(filepath.Join(dir, "config.json"))
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil || s.Root.Path != "/r" {
		t.Errorf("read back %v: %v", s.Root, err)
	}
	if err := Write("/no/such/folder", &s); err == nil {
		t.Error("no error for a missing folder")
	}
}

func TestDefaultSeccompFollowsTheCapabilities(t *testing.T) {
	names := func(caps []string) []string {
		p, err := DefaultSeccomp(caps)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, s := range p.Syscalls {
			if s.Action == specs.ActAllow && len(s.Args) == 0 {
				list = append(list, s.Names...)
			}
		}
		return list
	}
	if slices.Contains(names(nil), "mount") {
		t.Error("mount is allowed by default")
	}
	if !slices.Contains(names([]string{"CAP_SYS_ADMIN"}), "mount") {
		t.Error("mount is not allowed with CAP_SYS_ADMIN")
	}
}
