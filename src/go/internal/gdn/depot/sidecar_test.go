package depot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/sidecar"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

const someID = "0123456789abcdef"

func someDepot(t *testing.T) (*Depot, State) {
	t.Helper()
	d := &Depot{c: Config{Depot: t.TempDir(), UIDStart: 1 << 20, UIDSize: 65536}}
	if err := os.MkdirAll(filepath.Join(d.dir(someID), "bundle"), 0o700); err != nil {
		t.Fatal(err)
	}
	return d, State{ID: someID, Handle: "h", InitPID: os.Getpid()}
}

func TestSidecarLimits(t *testing.T) {
	for _, c := range []struct {
		own         *api.ProcessLimits
		memory, cpu uint64
	}{
		{nil, 0, 0},
		{&api.ProcessLimits{}, 0, 0},
		{&api.ProcessLimits{Memory: api.MemoryLimits{LimitInBytes: 5}}, 5, 0},
		{&api.ProcessLimits{CPU: api.CPULimits{LimitInShares: 4}}, 0, 4},
	} {
		l, err := sidecarLimits(api.ProcessSpec{OverrideContainerLimits: c.own})
		if err != nil || l.Memory.LimitInBytes != c.memory || l.CPU.Shares() != c.cpu || l.Pid.Max != 0 || l.Disk.ByteHard != 0 {
			t.Errorf("%+v: %+v %v", c.own, l, err)
		}
	}
	if _, err := sidecarLimits(api.ProcessSpec{OverrideContainerLimits: &api.ProcessLimits{CPU: api.CPULimits{Weight: 1}}}); err == nil {
		t.Error("a share that is none is accepted")
	}
}

// TestJoin: the namespaces are the container's, but for mounts and, with limits of its own, the cgroup.
func TestJoin(t *testing.T) {
	d, s := someDepot(t)
	for _, privileged := range []bool{false, true} {
		for _, shared := range []string{"/sys/fs/cgroup/x", ""} {
			s.Privileged = privileged
			plan, err := d.plan(s, "/r", nil, api.Limits{})
			if err != nil {
				t.Skipf("no plan of a container on this machine: %v", err)
			}
			process := &specs.Process{Args: []string{"x"}}
			join(plan, s, sidecar.Sidecar{ID: someID + "-1", Cgroup: shared}, process)
			if plan.Process != process || plan.Hostname != "" || plan.Linux.UIDMappings != nil || plan.Linux.CgroupsPath != "gdn.slice:gdn:"+someID+"-1" {
				t.Errorf("%+v", plan)
			}
			var got []string
			for _, n := range plan.Linux.Namespaces {
				if n.Path != "" {
					if _, err := os.Stat(n.Path); err != nil {
						t.Error(err)
					}
					got = append(got, filepath.Base(n.Path))
				}
			}
			want := []string{"ipc", "net", "pid", "uts"}
			if shared != "" {
				want = append(want, "cgroup")
			}
			if !privileged {
				want = append(want, "user")
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("privileged %v, shared %q: joins %q, want %q", privileged, shared, got, want)
			}
		}
	}
}

func TestContainerMounts(t *testing.T) {
	d, _ := someDepot(t)
	if _, err := d.containerMounts(someID); err == nil {
		t.Error("no configuration is one")
	}
	config := &specs.Spec{Mounts: []specs.Mount{{Destination: "/proc"}, {Destination: initPath}, {Destination: "/mine"}}}
	if err := bundle.Write(filepath.Join(d.dir(someID), "bundle"), config); err != nil {
		t.Fatal(err)
	}
	if got, err := d.containerMounts(someID); err != nil || len(got) != 2 || got[1].Destination != "/mine" {
		t.Errorf("%+v %v", got, err)
	}
}

// TestPin: a link that the container makes of a source does not lead out of it.
func TestPin(t *testing.T) {
	d, s := someDepot(t)
	root := d.rootfs(someID)
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/file"), []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(root, "x")); err != nil {
		t.Fatal(err)
	}
	p := sidecar.Sidecar{Dir: t.TempDir()}
	if held, err := d.pin(s, p, []specs.Mount{{Source: root + "/none"}}); err == nil {
		held.release()
		t.Error("a source that is gone is accepted")
	}
	p.Dir = t.TempDir()
	mounts := []specs.Mount{{Source: "/elsewhere"}, {Source: filepath.Join(root, "x")}, {Source: filepath.Join(root, "x/file")}}
	held, err := d.pin(s, p, mounts)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skipf("nothing can be mounted: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{p.Source(1) + "/file", p.Source(2)} {
		if got, err := os.ReadFile(path); err != nil || string(got) != "inside" {
			t.Errorf("%s: %q %v", path, got, err)
		}
	}
	if mounts[0].Source != "/elsewhere" || mounts[1].Source != p.Source(1) || mounts[2].Source != p.Source(2) {
		t.Errorf("%+v", mounts)
	}
	held.release()
	if err := os.RemoveAll(p.Dir); err != nil {
		t.Errorf("it is still mounted: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "etc/file")); err != nil {
		t.Error(err)
	}
}

func TestNewSidecar(t *testing.T) {
	d, s := someDepot(t)
	limits := &api.ProcessLimits{Memory: api.MemoryLimits{LimitInBytes: 5}}
	own := api.ProcessSpec{Image: api.ImageRef{URI: "/r"}, OverrideContainerLimits: limits}
	p, err := d.newSidecar(s, own, "image")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("folders cannot be given to the container's root: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if p.Own != p.Dir || p.Cgroup != "" || p.Image != "image" || sidecar.Container(p.ID) != someID {
		t.Errorf("%+v", p)
	}
	s.Limits.Disk.ByteHard = 1 // what it writes then lies on the container's disk
	if p, err = d.newSidecar(s, own, ""); err != nil || filepath.Dir(filepath.Dir(p.Own)) != d.diskDir(someID) {
		t.Errorf("%+v %v", p, err)
	}
	if p, err = d.newSidecar(s, api.ProcessSpec{OverrideContainerLimits: limits}, ""); err != nil || p.Own != "" {
		t.Errorf("%+v %v", p, err)
	}
	if got := sidecar.List(someID, d.sidecars(someID)); len(got) != 3 {
		t.Errorf("%+v", got)
	}
	d.dropStale(s) // none of them has a process
	if got := sidecar.List(someID, d.sidecars(someID)); len(got) != 0 {
		t.Errorf("stale: %+v", got)
	}
}
