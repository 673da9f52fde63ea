package depot

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

// TestAPrivilegedContainerHasNoDisks: it has root's rights and none of the machine's devices, and
// cannot change limits.
func TestAPrivilegedContainerHasNoDisks(t *testing.T) {
	d, s := someDepot(t)
	s.Privileged = true
	plan, err := d.plan(s, "/r", nil, api.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Linux.Devices) != 1 || plan.Linux.Devices[0].Path != "/dev/fuse" {
		t.Errorf("devices %+v", plan.Linux.Devices)
	}
	for _, rule := range plan.Linux.Resources.Devices {
		if rule.Allow && (rule.Type != "c" || *rule.Major != 10 || *rule.Minor != 229) {
			t.Errorf("device rule %+v", rule)
		}
	}
	for _, m := range plan.Mounts {
		if m.Type == "cgroup" || m.Destination == "/sys" && !slices.Contains(m.Options, "ro") {
			t.Errorf("mount %+v", m)
		}
	}
	if len(plan.Linux.MaskedPaths) != 0 || len(plan.Linux.ReadonlyPaths) != 0 || plan.Linux.Seccomp != nil {
		t.Error("it is confined as others are")
	}
}

func TestCapabilitiesAreGuardians(t *testing.T) {
	for _, c := range []struct {
		privileged bool
		uid        uint32
		want       uint64
	}{
		{false, 0, 0xa80425fb},
		{false, 1000, 0xa80425fb},
		{true, 0, 0x3fffffffff},
		{true, 1000, 0xa82425fb},
	} {
		var got uint64
		for _, name := range capabilities(c.privileged, c.uid) {
			got |= 1 << slices.Index(bundle.AllCapabilities(), name)
		}
		if got != c.want {
			t.Errorf("privileged %v, user %d: %x, want %x", c.privileged, c.uid, got, c.want)
		}
	}
}

// TestDevShmHasTheSizeOfTheMemory: and nothing else of the default mounts is lost.
func TestDevShmHasTheSizeOfTheMemory(t *testing.T) {
	d, s := someDepot(t)
	s.Privileged = true
	plan, err := d.plan(s, "/r", []specs.Mount{{Destination: "/x"}}, api.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var shm []specs.Mount
	for _, m := range plan.Mounts {
		if m.Destination == "/dev/shm" {
			shm = append(shm, m)
		}
	}
	if len(shm) != 1 || shm[0].Type != "tmpfs" || !slices.Equal(shm[0].Options, []string{"nodev", "relatime", "mode=1777"}) {
		t.Errorf("%+v", shm)
	}
}
