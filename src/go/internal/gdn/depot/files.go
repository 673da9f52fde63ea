package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/inside"
	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

// maxComplaint is how much of what a process inside says of its failure is passed on.
const maxComplaint = 16 << 10

// resolve returns the path on the host of a path in the container.
func resolve(root, name string) (string, error) {
	f, err := archive.OpenIn(root, name, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}

func isDir(root, name string) bool {
	f, err := archive.OpenIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		_ = f.Close()
	}
	return err == nil
}

// work is a process inside a container that does something to its files.
type work struct {
	process *bundle.Process
	says    *os.File // its standard error
}

// do starts work in a container. The ends in and out, which may be nil, are the process's, and
// are closed here.
func (d *Depot) do(ctx context.Context, s State, w inside.Work, in, out *os.File) (*work, error) {
	defer closeAll(in, out)
	if !s.alive() {
		return nil, fmt.Errorf("container %s has lost its first process", s.Handle)
	}
	says, err, perr := os.Pipe()
	if perr != nil {
		return nil, perr
	}
	defer err.Close()
	c := bundle.Container{Args: append([]string{initPath}, w.Args()...), Env: []string{"GOMAXPROCS=1"}, NoNewPrivileges: true}
	p, perr := d.runc.Exec(ctx, s.ID, bundle.ExecOptions{Process: c.Process(),
		StartOptions: bundle.StartOptions{Stdio: bundle.Stdio{Stdin: in, Stdout: out, Stderr: err}}})
	if perr != nil {
		_ = says.Close()
		return nil, perr
	}
	return &work{p, says}, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// wait waits for the end. The container's processes can stop the process, but not the waiting.
func (w *work) wait(ctx context.Context) error {
	defer w.says.Close()
	defer context.AfterFunc(ctx, func() { _ = w.says.SetReadDeadline(time.Now()) })()
	said, _ := io.ReadAll(io.LimitReader(w.says, maxComplaint))
	status, err := w.process.Wait()
	if text := strings.TrimSpace(strings.ToValidUTF8(string(said), "?")); err == nil && status != 0 {
		err = fmt.Errorf("exit status %d. Output: %s", status, text)
	}
	return err
}

// workingDir makes the working directory that a process asks for.
func (d *Depot) workingDir(ctx context.Context, s State, at place, name string, u bundle.User) error {
	if name == "" || isDir(at.root, name) {
		return nil
	}
	var err error
	if at.own { // nothing of anybody else's is mounted there
		err = inside.MakeDir(ctx, at.root, name, archive.Owner{UID: d.c.hostID(s.Privileged, u.UID), GID: d.c.hostID(s.Privileged, u.GID)})
	} else {
		var w *work
		if w, err = d.do(ctx, s, inside.Work{Verb: inside.Mkdir, Path: name, User: insideUser(u)}, nil, nil); err == nil {
			err = w.wait(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("working directory %s: %w", name, err)
	}
	return nil
}

func insideUser(u bundle.User) inside.User {
	return inside.User{UID: u.UID, GID: u.GID, Home: u.Home}
}

// StreamIn unpacks a tar stream into a directory of the container, which is made when it is not
// there; none means the user's home directory. Everything belongs to the user, with whose rights
// it is written. Streams do not hold up stopping or destroying.
func (d *Depot) StreamIn(ctx context.Context, handle, destination, user string, r io.Reader) error {
	c, err := d.find(handle)
	if err != nil {
		return err
	}
	s := c.get()
	fail := func(err error) error {
		return fmt.Errorf("error streaming in: %w (into %q of container %s)", err, destination, handle)
	}
	u, err := d.user(s, d.root(s), user)
	if err != nil {
		return fail(err)
	}
	in, body, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	w, err := d.do(ctx, s, inside.Work{Verb: inside.In, Path: destination, User: insideUser(u)}, in, nil)
	if err != nil {
		_ = body.Close()
		return fail(err)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(body, r)
		_ = body.Close()
		copied <- err
	}()
	if err := w.wait(ctx); err != nil {
		return fail(err)
	}
	if err := <-copied; err != nil {
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
	fail := func(err error) error {
		return fmt.Errorf("error streaming out: %w (%q of container %s)", err, source, handle)
	}
	u, err := d.user(s, d.root(s), user)
	if err != nil {
		return nil, fail(err)
	}
	tar, out, err := os.Pipe()
	if err != nil {
		return nil, fail(err)
	}
	work, err := d.do(ctx, s, inside.Work{Verb: inside.Out, Path: source, User: insideUser(u)}, nil, out)
	if err != nil {
		_ = tar.Close()
		return nil, fail(err)
	}
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, tar)
		_ = tar.Close() // who still writes is told so
		if werr := work.wait(ctx); werr != nil {
			err = errors.Join(fail(werr), err)
		}
		_ = w.CloseWithError(err)
	}()
	return r, nil
}
