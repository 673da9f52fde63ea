// Package overlay mounts overlayfs by the new mount API of Linux (fsopen(2),
// fsconfig(2), fsmount(2), move_mount(2)), which takes each lower layer by
// itself ("lowerdir+", Linux 6.5) and so knows no limit of a page for all
// options. See the kernel's Documentation/filesystems/overlayfs.rst.
package overlay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// IDMap maps the ids of files on disk to those that a user namespace with
// these mappings sees as its own: a file of uid N belongs to N inside.
type IDMap struct{ UID, GID []specs.LinuxIDMapping }

// Mount puts lowers (lowest first) under upper onto target. Without an upper
// the mount is read-only and needs no work folder. With m each lower becomes an
// id-mapped mount (mount_setattr(2), MOUNT_ATTR_IDMAP), so that one unpacked
// layer serves every container; upper and work lie unmapped and belong, as the
// files made in them, to the host ids that m maps to.
func Mount(target string, lowers []string, upper, work string, m *IDMap) error {
	if len(lowers) == 0 {
		return fmt.Errorf("overlay at %s: no lower layer", target)
	}
	if upper != "" && work == "" {
		return fmt.Errorf("overlay at %s: an upper folder needs a work folder", target)
	}
	if err := mount(target, lowers, upper, work, m); err != nil {
		return fmt.Errorf("overlay at %s: %w", target, err)
	}
	return nil
}

func mount(target string, lowers []string, upper, work string, m *IDMap) error {
	var mnt int
	var err error
	if m == nil {
		mnt, err = detached(lowers, upper, work)
	} else {
		mnt, err = idmapped(target, lowers, upper, work, *m)
	}
	if err != nil {
		return err
	}
	defer unix.Close(mnt)
	return os.NewSyscallError("move_mount", unix.MoveMount(mnt, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// detached returns the mount, not yet attached to any place.
func detached(lowers []string, upper, work string) (int, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	attr := unix.MOUNT_ATTR_RDONLY
	options := make([][2]string, 0, len(lowers)+2)
	for i := len(lowers) - 1; i >= 0; i-- { // the top layer comes first
		options = append(options, [2]string{"lowerdir+", lowers[i]})
	}
	if upper != "" {
		attr = 0
		options = append(options, [2]string{"upperdir", upper}, [2]string{"workdir", work})
	}
	for _, o := range options {
		if err := setPath(fs, o[0], o[1]); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, explain(fs, "create", err)
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return -1, explain(fs, "mount", err)
	}
	return mnt, nil
}

// longest is what fsconfig(2) takes for a string, without the final NUL.
const longest = 255

// setPath gives a folder by its path, or a long one through its descriptor.
func setPath(fs int, key, path string) error {
	value := path
	if len(path) > longest {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s %s: %w", key, path, err)
		}
		defer unix.Close(fd)
		value = fmt.Sprintf("/proc/self/fd/%d", fd)
	}
	if err := unix.FsconfigSetString(fs, key, value); err != nil {
		return explain(fs, key+" "+path, err)
	}
	return nil
}

// explain adds what the kernel says about a failure of the mount API.
func explain(fs int, what string, err error) error {
	buf := make([]byte, 4096)
	var notes []string
	for len(notes) < 8 {
		n, e := unix.Read(fs, buf)
		if e != nil || n <= 2 {
			break
		}
		notes = append(notes, strings.TrimSpace(string(buf[2:n])))
	}
	if len(notes) == 0 {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w (%s)", what, err, strings.Join(notes, "; "))
}

// userNamespace returns a user namespace that maps as m says. It lives as long
// as the file is open: the process that made it is gone when this returns.
func userNamespace(m IDMap) (*os.File, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: sysMappings(m.UID),
		GidMappings: sysMappings(m.GID),
		Ptrace:      true, // stopped before it runs a single instruction
		Pdeathsig:   syscall.SIGKILL,
	}
	return tracedNamespace(cmd)
}

func sysMappings(list []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	var out []syscall.SysProcIDMap
	for _, m := range list {
		out = append(out, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	return out
}

// Unmount takes the mount away, lazily when it is busy; nil when there is none.
func Unmount(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}
