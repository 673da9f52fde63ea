package stage1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/podspec"
)

// volumes resolves the app's mounts (ace.md, volume setup): a host volume must
// be there and must not be reached by a symbolic link; an empty one is made, and
// gets the files of an image of Docker's that are at its place.
func volumes(p *pod.Pod, m *schema.PodManifest, a *schema.RuntimeApp, rootfs string) ([]mounted, error) {
	var list []mounted
	for i, mt := range a.Mounts {
		v, readOnly, err := podspec.MountVolume(m, a, mt)
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", a.Name, err)
		}
		one := mounted{target: path.Clean(mt.Path), readOnly: readOnly, recursive: v.Recursive == nil || *v.Recursive}
		if v.Kind == "empty" {
			one.recursive, one.directory = false, true
			var image string
			if image, err = initial(p, a, v, mt, rootfs); err == nil {
				one.source, err = emptyVolume(p, v, image, one.target)
			}
		} else {
			one.source = p.File("stage1", "volumes", a.Name.String(), strconv.Itoa(i))
			one.directory, err = pin(v.Source, one.source, one.recursive)
		}
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.Name, err)
		}
		list = append(list, one)
	}
	return list, nil
}

// initial returns the root file system whose files an empty volume begins with:
// the app's, where the image was made of Docker's and nobody named the volume.
// That is what rkt does, and Docker; "" is none.
func initial(p *pod.Pod, a *schema.RuntimeApp, v types.Volume, mt schema.Mount, rootfs string) (string, error) {
	image, _, err := p.Image(a.Name.String())
	if err != nil || !podspec.Implicit(a, v.Name, mt.Path) {
		return "", err
	}
	for _, annotation := range image.Annotations {
		if strings.HasPrefix(annotation.Name.String(), "appc.io/docker/") {
			return rootfs, nil
		}
	}
	return "", nil
}

// emptyVolume makes a volume of the pod, with the files that are at target in
// rootfs and the owner and mode of that folder, when there is one.
func emptyVolume(p *pod.Pod, v types.Volume, rootfs, target string) (string, error) {
	dir := p.File("sharedVolumes", v.Name.String())
	mode, err := strconv.ParseUint(*v.Mode, 8, 12)
	if err != nil {
		return "", fmt.Errorf("mode %q is not an octal number up to 7777", *v.Mode)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return dir, nil // another app of the pod came first
		}
		return "", err
	}
	uid, gid := *v.UID, *v.GID
	if rootfs != "" {
		st, err := folderIn(rootfs, target)
		if err != nil {
			return "", err
		}
		if st != nil {
			uid, gid, mode = int(st.Uid), int(st.Gid), uint64(st.Mode&0o7777)
			if err := copyFiles(rootfs, target, dir); err != nil {
				return "", fmt.Errorf("files of the image in %s: %w", target, err)
			}
		}
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return "", err
	}
	return dir, os.NewSyscallError("chmod", unix.Chmod(dir, uint32(mode)))
}

// folderIn looks at a folder as root in the app would see it; nil when there is none.
func folderIn(rootfs, name string) (*unix.Stat_t, error) {
	root, err := os.OpenFile(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, nil //nolint:nilerr // the image has no folder there
	}
	defer f.Close()
	var st unix.Stat_t
	return &st, os.NewSyscallError("fstat", unix.Fstat(int(f.Fd()), &st))
}

// copyFiles copies what is in a folder of an image; no link leads out of either.
func copyFiles(rootfs, folder, to string) error {
	pr, pw := io.Pipe()
	go func() {
		err := archive.Create(context.Background(), pw, rootfs, folder+"/", archive.CreateOptions{ContentsOnly: true})
		pw.CloseWithError(err)
	}()
	err := archive.Extract(context.Background(), pr, to, archive.Options{})
	pr.CloseWithError(err)
	return err
}

// pin binds what is at a path of the host, which no symbolic link may be part of,
// to target, for runc to take it from there: who may write in a folder above the
// path can put a link there at any time.
func pin(source, target string, recursive bool) (directory bool, err error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, source, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	switch {
	case errors.Is(err, unix.ELOOP):
		return false, fmt.Errorf("%s is or passes a symbolic link; give the path that it leads to", source)
	case err != nil:
		return false, &os.PathError{Op: "open", Path: source, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	directory = st.Mode&unix.S_IFMT == unix.S_IFDIR
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return directory, err
	}
	if directory {
		err = os.Mkdir(target, 0o700)
	} else {
		err = os.WriteFile(target, nil, 0o600)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return directory, err
	}
	flags := uint(unix.AT_EMPTY_PATH | unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(fd, "", flags)
	if err != nil {
		return directory, os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	return directory, os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH))
}
