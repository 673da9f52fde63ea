package bundle

import (
	"path"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// maskedPaths and readonlyPaths are the parts of /proc and /sys that tell about
// or change the host and that a container has no business with.
var maskedPaths = []string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	"/sys/devices/virtual/powercap", "/sys/firmware",
}

var readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

// mounts returns the default mounts, as the runtime specification's chapter on
// Linux filesystems asks for, then the container's own in their order.
func (c Container) mounts() []specs.Mount {
	replaced := map[string]bool{}
	for _, m := range c.Mounts {
		replaced[path.Clean(m.Destination)] = true
	}
	var list []specs.Mount
	for _, m := range c.defaultMounts() {
		if !replaced[m.Destination] {
			list = append(list, m)
		}
	}
	return append(list, c.Mounts...)
}

func (c Container) defaultMounts() []specs.Mount {
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: c.devptsOptions()},
		c.sysMount(),
		c.cgroupMount(),
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
	}
	if m, ok := c.mqueueMount(); ok {
		list = append(list, m)
	}
	return list
}

// devptsOptions gives terminals to the tty group where that group is mapped.
func (c Container) devptsOptions() []string {
	o := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if !c.userNamespace() || maps(c.GIDMappings, ttyGID) {
		o = append(o, "gid="+strconv.Itoa(ttyGID))
	}
	return o
}

const ttyGID = 5

func maps(list []specs.LinuxIDMapping, id uint32) bool {
	for _, m := range list {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return true
		}
	}
	return false
}

// sysMount: a new sysfs may be mounted only by the owner of the network
// namespace, so a user namespace over another's network gets the host's, bound.
func (c Container) sysMount() specs.Mount {
	netPath, ownNet := c.Namespaces[specs.NetworkNamespace]
	if c.userNamespace() && (!ownNet || netPath != "") {
		return specs.Mount{Destination: "/sys", Type: "none", Source: "/sys",
			Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"}}
	}
	return specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}}
}

func (c Container) cgroupMount() specs.Mount {
	return specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}}
}

// mqueueMount: like sysfs, mqueue belongs to its IPC namespace's owner.
func (c Container) mqueueMount() (specs.Mount, bool) {
	ipcPath, ownIPC := c.Namespaces[specs.IPCNamespace]
	if c.userNamespace() && (!ownIPC || ipcPath != "") {
		return specs.Mount{}, false
	}
	return specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}}, true
}
