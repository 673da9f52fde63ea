package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const paxXattr = "SCHILY.xattr."

// regular writes a file; it must not exist.
func (x *extractor) regular(parent int, base string, h *tar.Header, data io.Reader) error {
	if err := x.spend(h.Size); err != nil {
		return err
	}
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	if err := x.copy(f, data, h.Size); err != nil {
		return err
	}
	if err := x.owner(fd, "", h); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, modeBits(h)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	if err := x.setXattrs(h, func(k string, v []byte) error { return unix.Fsetxattr(fd, k, v, 0) }); err != nil {
		return err
	}
	if err := setTimes(fd, "", h.ModTime); err != nil {
		return err
	}
	return f.Close()
}

// copy copies exactly size bytes.
func (x *extractor) copy(w io.Writer, r io.Reader, size int64) error {
	var done int64
	for done < size {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(x.buf)
		if n > 0 {
			if _, err := w.Write(x.buf[:n]); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			done += int64(n)
		}
		if err == io.EOF && done < size {
			return fmt.Errorf("truncated: %d of %d bytes", done, size)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("read the archive: %w", truncated(err))
		}
	}
	return nil
}

func (x *extractor) directory(parent int, base, name string, h *tar.Header, keep, opaque bool) error {
	if !keep {
		if err := unix.Mkdirat(parent, base, 0o700); err != nil {
			return fmt.Errorf("mkdir: %w", err)
		}
	}
	fd, err := unix.Openat(parent, base, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if opaque {
		if err := setOpaque(fd); err != nil {
			return err
		}
	}
	return x.finishDir(fd, name, h)
}

func (x *extractor) finishDir(fd int, name string, h *tar.Header) error {
	if err := x.owner(fd, "", h); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, modeBits(h)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	x.dirs = append(x.dirs, dirTime{name, h.ModTime})
	return x.setXattrs(h, func(k string, v []byte) error { return unix.Fsetxattr(fd, k, v, 0) })
}

func (x *extractor) symlink(parent int, base string, h *tar.Header) error {
	if h.Linkname == "" {
		return errors.New("symbolic link without a target")
	}
	if err := unix.Symlinkat(h.Linkname, parent, base); err != nil {
		return fmt.Errorf("symlink: %w", err)
	}
	if err := x.owner(parent, base, h); err != nil {
		return err
	}
	set := func(k string, v []byte) error {
		if strings.HasPrefix(k, "user.") {
			return nil // xattr(7): not on symbolic links
		}
		return unix.Lsetxattr(procPath(parent, base), k, v, 0)
	}
	if err := x.setXattrs(h, set); err != nil {
		return err
	}
	return setTimes(parent, base, h.ModTime)
}

func (x *extractor) hardLink(parent int, base string, h *tar.Header) error {
	target, err := CleanName(h.Linkname)
	if err != nil {
		return fmt.Errorf("hard link target %q: %w", h.Linkname, err)
	}
	if target == "." {
		return errors.New("hard link to the top folder")
	}
	dir, tbase := split(target)
	fd, err := x.root.openDir(dir, nil)
	if err == nil {
		defer unix.Close(fd)
		err = unix.Linkat(fd, tbase, parent, base, 0)
	}
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("hard link to %q, which is not in the archive before it", h.Linkname)
	case err != nil:
		return fmt.Errorf("hard link to %q: %w", h.Linkname, err)
	}
	return nil
}

func (x *extractor) node(parent int, base string, h *tar.Header) error {
	kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[h.Typeflag]
	dev := 0
	if h.Typeflag != tar.TypeFifo {
		if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > 1<<12 || h.Devminor > 1<<20 {
			return fmt.Errorf("device number %d:%d out of range", h.Devmajor, h.Devminor)
		}
		dev = int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
	}
	if err := unix.Mknodat(parent, base, kind|0o600, dev); err != nil {
		return fmt.Errorf("make a device node or fifo: %w", err)
	}
	if err := x.owner(parent, base, h); err != nil {
		return err
	}
	if err := chmodAt(parent, base, modeBits(h)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	set := func(k string, v []byte) error {
		if strings.HasPrefix(k, "user.") {
			return nil
		}
		return unix.Lsetxattr(procPath(parent, base), k, v, 0)
	}
	if err := x.setXattrs(h, set); err != nil {
		return err
	}
	return setTimes(parent, base, h.ModTime)
}

// chmodAt sets the mode of parent/base and never follows a link: what was made
// there may have been replaced by one.
func chmodAt(parent int, base string, mode uint32) error {
	fd, err := unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

// owner sets the owner of fd, or of fd/base without following a link.
func (x *extractor) owner(fd int, base string, h *tar.Header) error {
	uid, gid := h.Uid, h.Gid
	if x.o.ChownTo != nil {
		uid, gid = x.o.ChownTo.UID, x.o.ChownTo.GID
	}
	if uid < 0 || gid < 0 {
		return fmt.Errorf("owner %d:%d out of range", uid, gid)
	}
	if err := unix.Fchownat(fd, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", uid, gid, err)
	}
	return nil
}

// modeBits are the permissions with setuid, setgid and sticky.
func modeBits(h *tar.Header) uint32 { return uint32(h.Mode) & 0o7777 }

func setTimes(fd int, base string, at time.Time) error {
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	ts, err := unix.TimeToTimespec(at)
	if err != nil {
		return fmt.Errorf("time %s: %w", at, err)
	}
	if err := unix.UtimesNanoAt(fd, base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("set the time: %w", err)
	}
	return nil
}

// keepXattr says whether an attribute is the image's to set.
func keepXattr(name string) bool {
	switch {
	case strings.HasPrefix(name, "user.overlay."):
		return false
	case strings.HasPrefix(name, "user."), strings.HasPrefix(name, "security."):
		return true
	}
	return name == "system.posix_acl_access" || name == "system.posix_acl_default"
}

// setXattrs sets the attributes in the pax records of h, in order of their
// names. A file system without such attributes is not an error.
func (x *extractor) setXattrs(h *tar.Header, set func(name string, value []byte) error) error {
	var names []string
	for k := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, paxXattr); ok && keepXattr(name) &&
			!(x.o.NoSecurityXattrs && strings.HasPrefix(name, "security.")) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		err := set(name, []byte(h.PAXRecords[paxXattr+name]))
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return nil
}
