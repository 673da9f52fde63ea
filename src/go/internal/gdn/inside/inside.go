// Package inside is what the server does to files of a container: `gdn inside`, a process that
// runc starts in the container. It has the container's own namespaces, rights and limits, so no
// link, bind mount or attribute gives a stream more than the user has that it is for.
package inside

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/archive"
)

// Work is one piece of work.
type Work struct {
	Verb string // In, Out or Mkdir
	Path string // relative ones begin at Home
	User User
}

// User is for whom it is done.
type User struct {
	UID, GID uint32
	Home     string
}

// Verbs.
const (
	In    = "in"    // standard input is a tar stream, Path the folder it is for, which is made
	Out   = "out"   // standard output is a tar stream of what Path names
	Mkdir = "mkdir" // Path is made
)

// Args is the command line of the process, after the program.
func (w Work) Args() []string {
	return []string{"inside", w.Verb, number(w.User.UID), number(w.User.GID), w.User.Home, w.Path}
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func parse(args []string) (w Work, err error) {
	if len(args) != 5 {
		return w, errors.New("gdn inside VERB UID GID HOME PATH is for the server")
	}
	uid, uerr := strconv.ParseUint(args[1], 10, 32)
	gid, gerr := strconv.ParseUint(args[2], 10, 32)
	if err := errors.Join(uerr, gerr); err != nil {
		return w, err
	}
	return Work{Verb: args[0], Path: args[4], User: User{uint32(uid), uint32(gid), args[3]}}, nil
}

// Main is `gdn inside`; it begins as root of the container. root is the root folder.
func Main(args []string, root string, in io.Reader, out io.Writer) error {
	w, err := parse(args)
	if err == nil {
		err = w.do(root, in, out)
	}
	if errors.Is(err, fs.ErrPermission) { // in tar's words, which clients look for
		err = errors.New(strings.ReplaceAll(err.Error(), "permission denied", "Permission denied"))
	}
	return err
}

func (w Work) do(root string, in io.Reader, out io.Writer) error {
	ctx := context.Background()
	name := w.Path
	if !path.IsAbs(name) {
		if name = path.Join("/", w.User.Home, w.Path); strings.HasSuffix(w.Path, "/") {
			name += "/"
		}
	}
	owner := archive.Owner{UID: int(w.User.UID), GID: int(w.User.GID)}
	if w.Verb != Out {
		if err := MakeDir(ctx, root, name, owner); err != nil {
			return err
		}
	}
	if err := w.User.become(); err != nil {
		return err
	}
	switch w.Verb {
	case In:
		return unpack(ctx, root, name, owner, in)
	case Out:
		return archive.Create(ctx, out, root, name, archive.CreateOptions{ContentsOnly: strings.HasSuffix(name, "/")})
	case Mkdir:
		return nil
	}
	return fmt.Errorf("unknown verb %q", w.Verb)
}

// become gives up the rights of root for good.
func (u User) become() error {
	if u.UID == 0 && u.GID == 0 {
		return nil
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave all groups: %w", err)
	}
	if err := syscall.Setresgid(int(u.GID), int(u.GID), int(u.GID)); err != nil {
		return fmt.Errorf("become group %d: %w", u.GID, err)
	}
	if err := syscall.Setresuid(int(u.UID), int(u.UID), int(u.UID)); err != nil {
		return fmt.Errorf("become user %d: %w", u.UID, err)
	}
	return nil
}

// unpack puts a tar stream into a folder. A stream of few bytes can hold sparse files of any
// size: no more than there is room for.
func unpack(ctx context.Context, root, name string, owner archive.Owner, in io.Reader) error {
	dir, err := archive.OpenIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	where := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil {
		return os.NewSyscallError("statfs", err)
	}
	o := archive.Options{ChownTo: &owner, NoSecurityXattrs: true, MaxBytes: max(1, int64(fs.Bavail)*fs.Bsize)}
	if err := archive.Extract(ctx, in, where, o); err != nil {
		return err
	}
	// What follows the end of the archive is padding; who still sends is heard out.
	_, err = io.Copy(io.Discard, in)
	return err
}

// MakeDir makes a folder, with those above it, for a user, unless it is there.
func MakeDir(ctx context.Context, root, name string, owner archive.Owner) error {
	if f, err := archive.OpenIn(root, name, unix.O_PATH|unix.O_DIRECTORY); err == nil {
		return f.Close()
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
	return archive.Extract(ctx, &b, root, archive.Options{ChownTo: &owner})
}
