package overlay

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/thread"
)

// idmapped is detached over id-mapped lowers. Until Linux 6.15 overlayfs takes
// only lowers that are attached somewhere, so they are attached in a mount
// namespace of a thread that ends here: nothing of it is ever seen outside.
func idmapped(target string, lowers []string, upper, work string, m IDMap) (int, error) {
	users, err := userNamespace(m)
	if err != nil {
		return -1, err
	}
	defer users.Close()
	mnt := -1
	thread.Run(func() { mnt, err = inPrivate(target, lowers, upper, work, int(users.Fd())) })
	return mnt, err
}

func inPrivate(target string, lowers []string, upper, work string, users int) (int, error) {
	var trees []int
	defer func() {
		for _, fd := range trees {
			unix.Close(fd)
		}
	}()
	for _, dir := range lowers {
		fd, err := mapped(dir, users)
		if err != nil {
			return -1, fmt.Errorf("layer %s: %w", dir, err)
		}
		trees = append(trees, fd)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return -1, os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return -1, os.NewSyscallError("make mounts private", err)
	}
	if err := unix.Mount("tmpfs", target, "tmpfs", 0, "mode=0700"); err != nil {
		return -1, os.NewSyscallError("mount", err)
	}
	var places []string
	for i, fd := range trees {
		place := filepath.Join(target, strconv.Itoa(i))
		if err := os.Mkdir(place, 0o700); err != nil {
			return -1, err
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return -1, fmt.Errorf("layer %s: %w", lowers[i], os.NewSyscallError("move_mount", err))
		}
		places = append(places, place)
	}
	return detached(places, upper, work)
}

// mapped returns a detached bind of dir through the user namespace's mappings.
func mapped(dir string, users int) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("open_tree", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users)}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("mount_setattr", err)
	}
	return fd, nil
}
