package depot

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/bundle"
)

// as lets f touch files with the rights of a container's user: on a thread of its own with that
// user's ids for file systems (setfsuid(2), which takes the capabilities over files away with
// them) and supplementary groups. The thread ends with it. Root keeps the rights of the server;
// openat2 keeps it inside the container.
func (d *Depot) as(s State, u bundle.User, f func() error) error {
	if u.UID == 0 {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine may run here
		groups := make([]uint32, len(u.Groups))
		for i, g := range u.Groups {
			groups[i] = uint32(d.c.hostID(s.Privileged, g))
		}
		err := assume(uint32(d.c.hostID(s.Privileged, u.UID)), uint32(d.c.hostID(s.Privileged, u.GID)), groups)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// assume changes the ids of this thread alone.
func assume(uid, gid uint32, groups []uint32) error {
	var list unsafe.Pointer
	if len(groups) > 0 {
		list = unsafe.Pointer(&groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(list), 0); errno != 0 {
		return fmt.Errorf("set the groups of user %d: %w", uid, errno)
	}
	const query = ^uintptr(0) // an id that is none changes nothing and returns the present one
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0)
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
	g, _, _ := unix.RawSyscall(unix.SYS_SETFSGID, query, 0, 0)
	u, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, query, 0, 0)
	if uint32(u) != uid || uint32(g) != gid {
		return fmt.Errorf("take the ids %d and %d: not permitted", uid, gid)
	}
	return nil
}
