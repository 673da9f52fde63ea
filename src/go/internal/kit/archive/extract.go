package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	whPrefix = ".wh."
	whOpaque = ".wh..wh..opq"
	whMeta   = ".wh..wh."
	// overlayOpaque is the attribute of overlayfs for "nothing below shows
	// through" (Linux, Documentation/filesystems/overlayfs.rst).
	overlayOpaque = "trusted.overlay.opaque"
	entryCost     = 512
)

// Extract unpacks the plain tar stream r into the folder dest, which exists.
//
// Nothing outside dest is touched: symbolic links, those already in dest too,
// are followed as if dest were the root, even while something changes dest, as
// a container whose root it is may do; names with ".." and hard links to
// what is not inside are errors. Later entries replace earlier ones, but a
// folder with contents is not replaced by something else. Owner, mode with the
// setuid, setgid and sticky bits, modification time and extended attributes
// ("user.", "security." and POSIX ACLs; never "trusted.", which steers
// overlayfs) are kept. The first error ends it; dest then holds a part.
func Extract(ctx context.Context, r io.Reader, dest string, o Options) error {
	root, err := openRoot(dest)
	if err != nil {
		return err
	}
	defer root.Close()
	x := &extractor{ctx: ctx, root: root, o: o, buf: make([]byte, 128<<10)}
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if err == io.EOF {
			return x.dirTimes()
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", truncated(err))
		}
		if err := x.entry(h, tr); err != nil {
			return &EntryError{h.Name, err}
		}
	}
}

// truncated gives an early end of the archive a name.
func truncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("truncated: %w", err)
	}
	return err
}

type extractor struct {
	ctx  context.Context
	root *rootDir
	o    Options
	used int64
	buf  []byte
	dirs []dirTime
}

// dirTime is the time that a folder gets when all is unpacked.
type dirTime struct {
	name string
	at   time.Time
}

func (x *extractor) entry(h *tar.Header, data io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := CleanName(h.Name)
	if err != nil {
		return err
	}
	if x.o.Include != nil && !x.o.Include(name) {
		return nil
	}
	if err := x.spend(entryCost); err != nil {
		return err
	}
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return errors.New("the top of the archive is not a folder")
		}
		return x.finishDir(x.root.fd(), name, h)
	}
	dir, base := split(name)
	parent, err := x.root.openDir(dir, x.implicitDir)
	if err != nil {
		return fmt.Errorf("folder %q: %w", dir, err)
	}
	defer unix.Close(parent)
	if x.o.Whiteouts == OverlayWhiteouts && strings.HasPrefix(base, whPrefix) {
		return x.whiteout(parent, base)
	}
	return x.place(parent, base, name, h, data)
}

func (x *extractor) spend(n int64) error { return charge(&x.used, n, x.o.MaxBytes) }

// charge adds n to used unless that is beyond limit, 0 being none.
func charge(used *int64, n, limit int64) error {
	if n < 0 {
		return fmt.Errorf("size %d out of range", n)
	}
	if limit > 0 && n > limit-*used {
		return fmt.Errorf("contents %w of %d bytes", ErrTooLarge, limit)
	}
	*used += n
	return nil
}

// implicitDir makes a folder that the archive names only as part of others.
func (x *extractor) implicitDir(parent int, base, name string) error {
	if err := x.spend(entryCost); err != nil {
		return err
	}
	if err := unix.Mkdirat(parent, base, 0o755); err != nil {
		return err
	}
	owner, mode := Owner{}, uint32(0o755)
	if x.o.ImplicitDir != nil {
		if o, m, ok := x.o.ImplicitDir(name); ok {
			owner, mode = o, m&0o7777
		}
	}
	if x.o.ChownTo != nil {
		owner = *x.o.ChownTo
	}
	fd, err := unix.Openat(parent, base, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fchown(fd, owner.UID, owner.GID); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	return unix.Fchmod(fd, mode)
}

// whiteout marks what a layer removes from the layers below it.
func (x *extractor) whiteout(parent int, base string) error {
	if base == whOpaque {
		return setOpaque(parent)
	}
	if strings.HasPrefix(base, whMeta) {
		return nil // bookkeeping of aufs, without meaning in a layer
	}
	name := strings.TrimPrefix(base, whPrefix)
	if name == "" || name == "." || name == ".." {
		return errors.New("a whiteout of no name")
	}
	st, err := lstatAt(parent, name)
	switch {
	case err == unix.ENOENT:
		if err := unix.Mknodat(parent, name, unix.S_IFCHR, 0); err != nil {
			return fmt.Errorf("make a whiteout: %w", err)
		}
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		// The layer has the folder as well: the lower one is hidden by it.
		fd, err := unix.Openat(parent, name, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return setOpaque(fd)
	}
	return nil // the layer's own entry hides the lower one already
}

func setOpaque(fd int) error {
	if err := unix.Fsetxattr(fd, overlayOpaque, []byte("y"), 0); err != nil {
		return fmt.Errorf("set %s: %w", overlayOpaque, err)
	}
	return nil
}

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// place makes one entry at parent/base in place of what is there.
func (x *extractor) place(parent int, base, name string, h *tar.Header, data io.Reader) error {
	opaque, keep, err := x.clear(parent, base, h)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	//lint:ignore SA1019 old archives have RegA
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse:
		return x.regular(parent, base, h, data)
	case tar.TypeDir:
		return x.directory(parent, base, name, h, keep, opaque)
	case tar.TypeSymlink:
		return x.symlink(parent, base, h)
	case tar.TypeLink:
		return x.hardLink(parent, base, h)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return x.node(parent, base, h)
	}
	return fmt.Errorf("unsupported entry type %q", h.Typeflag)
}

// clear removes what is in the way of an entry. keep means that a folder is
// there and stays; opaque, that a whiteout was there.
func (x *extractor) clear(parent int, base string, h *tar.Header) (opaque, keep bool, err error) {
	st, err := lstatAt(parent, base)
	if err == unix.ENOENT {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if h.Typeflag == tar.TypeLink && x.linksToItself(parent, base, h) {
			return false, false, errors.New("hard link to itself")
		}
		return x.o.Whiteouts == OverlayWhiteouts && isWhiteout(&st), false, unix.Unlinkat(parent, base, 0)
	}
	if h.Typeflag == tar.TypeDir {
		return false, true, nil
	}
	if err := unix.Unlinkat(parent, base, unix.AT_REMOVEDIR); err != nil {
		return false, false, fmt.Errorf("replace a folder by a non-folder: %w", err)
	}
	return false, false, nil
}

// linksToItself says whether the hard link h names the very place it is for.
func (x *extractor) linksToItself(parent int, base string, h *tar.Header) bool {
	target, err := CleanName(h.Linkname)
	if err != nil || target == "." {
		return false
	}
	tdir, tbase := split(target)
	fd, err := x.root.openDir(tdir, nil)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var a, b unix.Stat_t
	if unix.Fstat(parent, &a) != nil || unix.Fstat(fd, &b) != nil {
		return false
	}
	return tbase == base && a.Dev == b.Dev && a.Ino == b.Ino
}

// dirTimes sets the times of folders, innermost last made first.
func (x *extractor) dirTimes() error {
	for i := len(x.dirs) - 1; i >= 0; i-- {
		d := x.dirs[i]
		fd, err := x.root.open(d.name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_NOFOLLOW)
		if err != nil {
			continue // replaced by a later entry
		}
		err = setTimes(fd, "", d.at)
		unix.Close(fd)
		if err != nil {
			return &EntryError{d.name, err}
		}
	}
	return nil
}
