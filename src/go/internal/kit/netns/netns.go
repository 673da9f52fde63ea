// Package netns makes, enters and removes named network namespaces: bind mounts
// of a namespace's file, as ip-netns(8) keeps them.
package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/thread"
)

const self = "/proc/thread-self/ns/net"

// New makes a network namespace with its loopback interface up and binds it to
// path, which must not be there yet.
func New(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY|unix.O_CLOEXEC, 0o444)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := loopbackUp(); err != nil {
			return err
		}
		return os.NewSyscallError("mount", unix.Mount(self, path, "none", unix.MS_BIND, ""))
	})
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	return nil
}

// Remove takes the name away; the namespace ends with its last process. Nil
// when there is none.
func Remove(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("network namespace: %w", err)
	}
	return nil
}

// Do runs f on a thread of its own inside the namespace at path. What f opens
// (sockets, netlink handles) stays in that namespace; goroutines that f starts
// do not.
func Do(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer ns.Close()
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace %s: %w", path, os.NewSyscallError("setns", err))
		}
		return f()
	})
}

// LoopbackUp brings the loopback interface of the namespace at path up.
func LoopbackUp(path string) error { return Do(path, loopbackUp) }

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	return nil
}

// onThread runs f on a thread that is never used again.
func onThread(f func() error) (err error) {
	thread.Run(func() { err = f() })
	return err
}

// Temporary calls f with the path of a network namespace that lasts as long as
// f does and that setup, which may be nil, has furnished from inside. f itself
// and what it starts stay in the caller's namespace.
func Temporary(setup func() error, f func(path string) error) error {
	type made struct {
		path string
		err  error
	}
	ready, done := make(chan made), make(chan struct{})
	defer close(done)
	go thread.Run(func() {
		err := os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET))
		if err == nil && setup != nil {
			err = setup()
		}
		ready <- made{fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()), err}
		<-done
	})
	m := <-ready
	if m.err != nil {
		return fmt.Errorf("network namespace: %w", m.err)
	}
	return f(m.path)
}
