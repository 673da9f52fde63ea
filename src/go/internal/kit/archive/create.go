package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// CreateOptions of Create. The zero value suits a copy of one file or folder.
type CreateOptions struct {
	// ContentsOnly: a folder's entries are named from inside it ("./",
	// "./a"), not by its own name ("b/", "b/a").
	ContentsOnly bool
	// Name, when set, takes the place of the last part of path in the names.
	Name string
	// Owner translates owners into those of the archive (for user
	// namespaces); nil keeps them.
	Owner func(Owner) Owner
}

// Create writes a tar of root/path to w. path is resolved inside root as a
// process would that has root as its root folder, the last part too when it is
// a symbolic link and path ends with "/". Entries are sorted by name within
// each folder; a file with several names is stored once and linked; sockets
// are left out. Extended attributes that Extract sets are kept.
func Create(ctx context.Context, w io.Writer, root, name string, o CreateOptions) error {
	r, err := openRoot(root)
	if err != nil {
		return err
	}
	defer r.Close()
	c := &creator{ctx: ctx, tw: tar.NewWriter(w), o: o, seen: map[inode]string{}}
	if err := c.top(r, name); err != nil {
		return fmt.Errorf("archive %q: %w", name, err)
	}
	return c.tw.Close()
}

type inode struct{ dev, ino uint64 }

type creator struct {
	ctx  context.Context
	tw   *tar.Writer
	o    CreateOptions
	seen map[inode]string
}

// top opens the folder that holds the entry and writes the entry.
func (c *creator) top(r *rootDir, name string) error {
	clean := path.Clean("/" + name)
	if clean == "/" || strings.HasSuffix(name, "/") || strings.HasSuffix(name, "/.") {
		fd, err := r.open("."+clean, unix.O_DIRECTORY|unix.O_RDONLY)
		if err != nil {
			return &os.PathError{Op: "open", Path: clean, Err: err}
		}
		defer unix.Close(fd)
		return c.entry(fd, ".", c.topName(clean))
	}
	fd, err := r.open("."+path.Dir(clean), unix.O_DIRECTORY|unix.O_RDONLY)
	if err != nil {
		return &os.PathError{Op: "open", Path: path.Dir(clean), Err: err}
	}
	defer unix.Close(fd)
	return c.entry(fd, path.Base(clean), c.topName(clean))
}

func (c *creator) topName(clean string) string {
	switch {
	case c.o.ContentsOnly, clean == "/" && c.o.Name == "":
		return "."
	case c.o.Name != "":
		return c.o.Name
	}
	return path.Base(clean)
}

// entry writes what is at parent/base under the given name, and what is in it.
func (c *creator) entry(parent int, base, name string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	st, err := lstatAt(parent, base)
	if err != nil {
		return &os.PathError{Op: "lstat", Path: name, Err: err}
	}
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: mtime(&st), Format: tar.FormatPAX,
	}
	if c.o.Owner != nil {
		owner := c.o.Owner(Owner{h.Uid, h.Gid})
		h.Uid, h.Gid = owner.UID, owner.GID
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.file(parent, base, h, &st)
	case unix.S_IFDIR:
		return c.folder(parent, base, h)
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = readlinkAt(parent, base); err != nil {
			return &os.PathError{Op: "readlink", Path: name, Err: err}
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return nil // a socket: POSIX.1 pax has no such entry
	}
	return c.tw.WriteHeader(h)
}

func (c *creator) folder(parent int, base string, h *tar.Header) error {
	fd, err := unix.Openat(parent, base, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: h.Name, Err: err}
	}
	f := os.NewFile(uintptr(fd), h.Name)
	defer f.Close()
	prefix := h.Name + "/"
	h.Typeflag, h.Name = tar.TypeDir, prefix
	if err := addXattrs(h, fd); err != nil {
		return err
	}
	if err := c.tw.WriteHeader(h); err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, n := range names {
		err := c.entry(fd, n, prefix+n)
		if err != nil && !errors.Is(err, unix.ENOENT) { // removed meanwhile
			return err
		}
	}
	return nil
}

func (c *creator) file(parent int, base string, h *tar.Header, st *unix.Stat_t) error {
	id := inode{uint64(st.Dev), st.Ino}
	if first, ok := c.seen[id]; ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return c.tw.WriteHeader(h)
	}
	if st.Nlink > 1 {
		c.seen[id] = h.Name
	}
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: h.Name, Err: err}
	}
	f := os.NewFile(uintptr(fd), h.Name)
	defer f.Close()
	if err := unix.Fstat(fd, st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(err, fmt.Errorf("%q was replaced while it was read", h.Name))
	}
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	if err := addXattrs(h, fd); err != nil {
		return err
	}
	if err := c.tw.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(c.tw, io.LimitReader(ctxReader{c.ctx, f}, h.Size))
	if err != nil {
		return fmt.Errorf("read %q: %w", h.Name, err)
	}
	if n < h.Size {
		return fmt.Errorf("%q became shorter while it was read (%d of %d bytes)", h.Name, n, h.Size)
	}
	return nil
}

// ctxReader ends with the context's error.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// addXattrs stores the attributes of fd that Extract would set.
func addXattrs(h *tar.Header, fd int) error {
	size, err := unix.Flistxattr(fd, nil)
	if err == unix.ENOTSUP || (err == nil && size == 0) {
		return nil
	}
	buf := make([]byte, size)
	if err == nil {
		size, err = unix.Flistxattr(fd, buf)
	}
	if err != nil {
		return fmt.Errorf("list attributes of %q: %w", h.Name, err)
	}
	for name := range strings.SplitSeq(string(buf[:size]), "\x00") {
		if !keepXattr(name) || name == "security.selinux" || strings.Contains(name, "=") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(fd, name, value)
		if err == unix.ENODATA {
			continue
		}
		if err != nil {
			return fmt.Errorf("read attribute %s of %q: %w", name, h.Name, err)
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+name] = string(value[:n])
	}
	return nil
}
