package archive

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxSymlinks is how many symbolic links one name may lead through, as in
// path_resolution(7).
const maxSymlinks = 40

// rootDir is a folder in which names are resolved as they would be for a
// process whose root it is (openat2(2), RESOLVE_IN_ROOT): absolute symbolic
// links and ".." never lead out.
type rootDir struct{ f *os.File }

func openRoot(dir string) (*rootDir, error) {
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_RDONLY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &rootDir{os.NewFile(uintptr(fd), dir)}, nil
}

// OpenIn opens a path as a process would that has root as its root folder
// (openat2(2), RESOLVE_IN_ROOT): no link leads out.
func OpenIn(root, name string, flags int) (*os.File, error) {
	dir, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := (&rootDir{dir}).open(path.Clean("/"+name), uint64(flags))
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (r *rootDir) Close() error { return r.f.Close() }

func (r *rootDir) fd() int { return int(r.f.Fd()) }

// open opens name inside the root with the given flags.
func (r *rootDir) open(name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(r.fd(), name, &how)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err == unix.ENOSYS {
			return -1, fmt.Errorf("openat2: %w (Linux 5.6 or newer is needed)", err)
		}
		return fd, err
	}
}

// openDir opens the folder name; missing folders are made by mkdir, which is
// given the clean name of each.
func (r *rootDir) openDir(name string, mkdir func(parent int, base, name string) error) (int, error) {
	const flags = unix.O_DIRECTORY | unix.O_RDONLY
	fd, err := r.open(name, flags)
	if err != unix.ENOENT || mkdir == nil {
		return fd, err
	}
	if name, err = r.makeDirs(name, mkdir); err != nil {
		return -1, err
	}
	return r.open(name, flags)
}

// makeDirs makes what is missing of the folder name and returns the name with
// its symbolic links, dangling ones too, resolved inside the root.
func (r *rootDir) makeDirs(name string, mkdir func(parent int, base, name string) error) (string, error) {
	todo := strings.Split(name, "/")
	var done []string // existing folders, no symbolic links
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = done[:max(len(done)-1, 0)]
			continue
		}
		parent := strings.Join(append([]string{"."}, done...), "/")
		target, err := r.stepInto(parent, part, strings.Join(append(done[:len(done):len(done)], part), "/"), mkdir)
		if err != nil {
			return "", err
		}
		if target == "" {
			done = append(done, part)
			continue
		}
		if links++; links > maxSymlinks {
			return "", unix.ELOOP
		}
		if strings.HasPrefix(target, "/") {
			done = nil
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return strings.Join(append([]string{"."}, done...), "/"), nil
}

// stepInto makes the folder parent/base unless it is there; the answer is the
// target when it is a symbolic link.
func (r *rootDir) stepInto(parent, base, name string, mkdir func(int, string, string) error) (string, error) {
	fd, err := r.open(parent, unix.O_DIRECTORY|unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	st, err := lstatAt(fd, base)
	switch {
	case errors.Is(err, unix.ENOENT):
		return "", mkdir(fd, base, name)
	case err != nil:
		return "", err
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return readlinkAt(fd, base)
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return "", unix.ENOTDIR
	}
	return "", nil
}

func lstatAt(fd int, base string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

func readlinkAt(fd int, base string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, base, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// procPath names an entry of an open folder for the system calls that have no
// *at form.
func procPath(fd int, base string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", fd, base) }
