package depot

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

// openIn opens a path as a process would that has root as its root directory (openat2(2),
// RESOLVE_IN_ROOT): no link leads out.
func openIn(root, name string, flags int) (*os.File, error) {
	dir, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), path.Clean("/"+name), &how)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), name), nil
		case unix.EAGAIN, unix.EINTR:
		default:
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// resolve returns the path on the host of a path in the container.
func resolve(root, name string) (string, error) {
	f, err := openIn(root, name, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}

func isDir(root, name string) bool {
	f, err := openIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		_ = f.Close()
	}
	return err == nil
}

func (d *Depot) owner(s State, u bundle.User) *archive.Owner {
	return &archive.Owner{UID: d.c.hostID(s.Privileged, u.UID), GID: d.c.hostID(s.Privileged, u.GID)}
}

// makeDirIn makes a directory below a root of the container, with those above it, for a user, unless it is
// there.
func (d *Depot) makeDirIn(ctx context.Context, s State, root, name string, u bundle.User) error {
	if isDir(root, name) {
		return nil
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: clean + "/", Mode: 0o755}); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return archive.Extract(ctx, &b, root, archive.Options{ChownTo: d.owner(s, u)})
}

// workingDir makes the working directory that a process asks for.
func (d *Depot) workingDir(s State, root, name string, u bundle.User) error {
	if name == "" {
		return nil
	}
	if err := d.makeDirIn(context.Background(), s, root, name, u); err != nil {
		return fmt.Errorf("working directory %s: %w", name, err)
	}
	return nil
}

// StreamIn unpacks a tar stream into a directory of the container, which is made when it is not
// there. Everything belongs to the user, with whose rights it is written. Streams do not hold up
// stopping or destroying.
func (d *Depot) StreamIn(ctx context.Context, handle, destination, user string, r io.Reader) error {
	c, err := d.find(handle)
	if err != nil {
		return err
	}
	s := c.get()
	fail := func(err error) error {
		return fmt.Errorf("stream into %s of container %s: %w", destination, handle, err)
	}
	u, err := d.user(s, d.root(s), user)
	if err != nil {
		return fail(err)
	}
	if err := d.makeDirIn(ctx, s, d.root(s), destination, u); err != nil {
		return fail(err)
	}
	dir, err := openIn(d.root(s), destination, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fail(err)
	}
	defer dir.Close()
	where := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))
	var fs unix.Statfs_t
	if err := unix.Statfs(where, &fs); err != nil {
		return fail(err)
	}
	// A stream of few bytes can hold sparse files of any size: no more than there is room for.
	o := archive.Options{ChownTo: d.owner(s, u), MaxBytes: max(1, int64(fs.Bavail)*fs.Bsize)}
	if err := d.as(s, u, func() error { return archive.Extract(ctx, r, where, o) }); err != nil {
		return fail(err)
	}
	// What follows the end of the archive is padding; a client that still sends is heard out.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fail(err)
	}
	return nil
}

// StreamOut packs a file or directory of the container, read with the user's rights; with a slash
// at its end, what is in the directory.
func (d *Depot) StreamOut(ctx context.Context, handle, source, user string) (io.ReadCloser, error) {
	c, err := d.find(handle)
	if err != nil {
		return nil, err
	}
	s := c.get()
	u, err := d.user(s, d.root(s), user)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenFile(d.root(s), unix.O_PATH|unix.O_DIRECTORY, 0) // the way there is the server's alone
	if err != nil {
		return nil, fmt.Errorf("stream out of container %s: %w", handle, err)
	}
	o := archive.CreateOptions{ContentsOnly: strings.HasSuffix(source, "/"), Owner: func(o archive.Owner) archive.Owner {
		return archive.Owner{UID: d.c.insideID(s.Privileged, o.UID), GID: d.c.insideID(s.Privileged, o.GID)}
	}}
	r, w := io.Pipe()
	go func() {
		defer root.Close()
		err := d.as(s, u, func() error {
			return archive.Create(ctx, w, "/proc/self/fd/"+strconv.Itoa(int(root.Fd())), source, o)
		})
		if err != nil {
			err = errors.Join(fmt.Errorf("stream %s out of container %s", source, handle), err)
		}
		_ = w.CloseWithError(err)
	}()
	return r, nil
}
