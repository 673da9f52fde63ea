package stage1

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mounted is a volume at its place in an app.
type mounted struct {
	source, target string
	readOnly       bool
	recursive      bool
	directory      bool
}

func (m mounted) spec() specs.Mount {
	o := []string{"rbind", "rslave"}
	if !m.recursive {
		o = []string{"bind", "slave"}
	}
	switch {
	case m.readOnly && m.recursive:
		o = append(o, "rro")
	case m.readOnly:
		o = append(o, "ro")
	default:
		o = append(o, "rw")
	}
	return specs.Mount{Destination: m.target, Type: "bind", Source: m.source, Options: o}
}

// prepareTarget makes room for a volume in the rendered tree: a file where a
// folder is to be mounted gives way (ace.md). It returns what to warn about.
func prepareTarget(rootfs string, m mounted) (warning string, err error) {
	if !m.directory {
		return "", nil
	}
	root, err := os.OpenFile(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer root.Close()
	parent, err := openIn(root, path.Dir(m.target), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", nil // not there: runc makes it
	}
	defer parent.Close()
	name := path.Base(m.target)
	var st unix.Stat_t
	if err := unix.Fstatat(int(parent.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		d, err := openIn(root, m.target, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return "", nil
		}
		defer d.Close()
		if names, _ := d.Readdirnames(1); len(names) > 0 {
			return fmt.Sprintf("the files in %s are hidden by a volume", m.target), nil
		}
	case unix.S_IFREG:
		if err := unix.Unlinkat(int(parent.Fd()), name, 0); err != nil {
			return "", &os.PathError{Op: "remove", Path: m.target, Err: err}
		}
		if err := unix.Mkdirat(int(parent.Fd()), name, 0o755); err != nil {
			return "", &os.PathError{Op: "mkdir", Path: m.target, Err: err}
		}
		return fmt.Sprintf("the file %s gives way to a volume", m.target), nil
	}
	return "", nil
}

// openIn opens a path as root in the app would, never leaving its tree.
func openIn(root *os.File, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat2(int(root.Fd()), name, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// existsIn says whether the app will find the path: in its tree, or in a volume.
func existsIn(rootfs string, list []mounted, name string) bool {
	name = path.Clean(name)
	for _, def := range []string{"/proc", "/sys", "/dev"} {
		if name == def || strings.HasPrefix(name, def+"/") {
			return true
		}
	}
	dir, rest := rootfs, name
	for _, m := range list {
		if m.directory && (name == m.target || strings.HasPrefix(name, m.target+"/")) {
			dir, rest = m.source, "/"+strings.TrimPrefix(name, m.target)
		}
	}
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer root.Close()
	f, err := openIn(root, rest, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// findExec looks the program up as execvp(3) would in the app's tree. Where
// volumes are mounted it may lie in one of them, and only runc can tell.
func findExec(rootfs string, list []mounted, name, cwd, path string) error {
	if len(list) > 0 {
		return nil
	}
	root, err := os.OpenFile(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer root.Close()
	dirs := []string{""}
	switch {
	case !strings.Contains(name, "/"):
		dirs = filepath.SplitList(path)
	case !strings.HasPrefix(name, "/"):
		dirs = []string{cwd}
	}
	for _, dir := range dirs {
		f, err := openIn(root, filepath.Join("/", dir, name), unix.O_PATH)
		if err != nil {
			continue
		}
		st, err := f.Stat()
		f.Close()
		if err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return nil
		}
	}
	return fmt.Errorf("there is no executable %s in its filesystem", name)
}
