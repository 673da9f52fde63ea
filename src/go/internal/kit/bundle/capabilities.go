package bundle

import (
	"fmt"
	"slices"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// allCapabilities is capabilities(7), in the order of their numbers.
var allCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// defaultCapabilities are the fourteen that the App Container specification
// (ace.md, os/linux/capabilities-remove-set) and Docker give alike.
var defaultCapabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// DefaultCapabilities returns the capabilities of a container that says nothing about them.
func DefaultCapabilities() []string { return slices.Clone(defaultCapabilities) }

// AllCapabilities returns every capability known here, by number.
func AllCapabilities() []string { return slices.Clone(allCapabilities) }

func knownCapability(name string) bool { return slices.Contains(allCapabilities, name) }

func (c Container) capabilities() []string {
	if c.Capabilities == nil {
		return DefaultCapabilities()
	}
	return c.Capabilities
}

// capabilitySets gives the process its capabilities; none are inheritable or
// ambient, so a process that is not root starts with the bounding set alone.
func capabilitySets(caps []string) *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
}

// DefaultSeccomp returns the profile that Docker applies by default, as it is
// for a process with these capabilities (nil: the default ones) on this machine.
func DefaultSeccomp(caps []string) (*specs.LinuxSeccomp, error) {
	if caps == nil {
		caps = defaultCapabilities
	}
	s := &specs.Spec{Process: &specs.Process{Capabilities: capabilitySets(caps)}}
	profile, err := seccomp.GetDefaultProfile(s)
	if err != nil {
		return nil, fmt.Errorf("default seccomp profile: %w", err)
	}
	return profile, nil
}
