package depot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/server"
	"photonbuild.invalid/compat/internal/gdn/shim"
	"photonbuild.invalid/compat/internal/gdn/sidecar"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

// Run starts a process.
func (d *Depot) Run(ctx context.Context, handle string, spec api.ProcessSpec) (server.Process, error) {
	c, err := d.find(handle)
	if err != nil {
		return nil, err
	}
	var image base
	if spec.Image.URI != "" { // fetched before anything is held up
		d.collecting.RLock()
		defer d.collecting.RUnlock()
		if image, err = d.processImage(ctx, c, spec); err != nil {
			return nil, err
		}
	}
	c.op.RLock()
	defer c.op.RUnlock()
	ctx, end := c.starts.begin(ctx)
	defer end()
	s := c.get()
	if err := d.runnable(c, s); err != nil {
		return nil, err
	}
	if spec.ID == "" {
		spec.ID = newID()
	}
	dir, err := d.claim(s.ID, spec.ID)
	if err != nil {
		return nil, err
	}
	config := shim.Config{ProcessID: spec.ID, Container: s.ID, RuncRoot: d.c.runcRoot(), Dir: dir,
		Socket: filepath.Join(d.c.sockets(), newID()+".sock")}
	if spec.Sidecar() {
		var held pins
		held, err = d.sidecar(ctx, s, spec, image, &config)
		defer held.release()
	} else {
		config.Process, err = d.process(ctx, s, place{root: d.root(s), env: s.Env}, spec)
	}
	if err == nil {
		config.UID, config.GID = d.c.hostID(s.Privileged, config.Process.User.UID), d.c.hostID(s.Privileged, config.Process.User.GID)
		err = d.startShim(ctx, config, s, spec)
	}
	if err != nil {
		d.dropSidecar(config.Sidecar)
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return d.connect(s.ID, spec.ID, config.Socket)
}

func (d *Depot) runnable(c *container, s State) error {
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	switch {
	case gone:
		return api.ContainerNotFound(s.Handle)
	case !s.alive():
		return fmt.Errorf("container %s has lost its first process: no processes can be started in it", s.Handle)
	}
	return nil
}

// claim makes the directory of a process. An id can be used again when its process has ended.
func (d *Depot) claim(id, process string) (string, error) {
	dir := d.processDir(id, process)
	for range 2 {
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return "", err
		}
		r, _, running, err := shim.Read(dir)
		if err != nil || running {
			break // running, or just being started
		}
		if r.ShimAlive() {
			if conn, err := shim.Dial(r.Socket); err == nil { // nobody will ask for that end any more
				_ = conn.Delivered()
				_ = conn.Close()
			}
			_ = syscall.Kill(r.ShimPID, syscall.SIGKILL)
		}
		if r.Sidecar != "" {
			s := sidecar.Load(id, r.Sidecar)
			d.dropSidecar(&s)
		}
		_ = os.Remove(r.Socket)
		_ = os.RemoveAll(dir)
	}
	return "", fmt.Errorf("process id %q is already in use", process)
}

func (d *Depot) processDir(id, process string) string {
	sum := sha256.Sum256([]byte(process))
	return filepath.Join(d.processes(id), hex.EncodeToString(sum[:8]))
}

// startShim runs `gdn shim` and waits until the process runs.
func (d *Depot) startShim(ctx context.Context, config shim.Config, s State, spec api.ProcessSpec) error {
	input, err := json.Marshal(config)
	if err != nil {
		return err
	}
	cmd := exec.Command(d.c.Program, "shim")
	cmd.Stdin = strings.NewReader(string(input))
	cmd.Stderr = os.Stderr
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=2"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the process's shim: %w", err)
	}
	moved := make(chan error, 1)
	go func() {
		unit := fmt.Sprintf("gdn-shim-%s-%s.scope", s.ID, filepath.Base(config.Dir))
		moved <- d.scopes.move(context.WithoutCancel(ctx), unit, "Garden process "+spec.ID+" of container "+s.Handle, cmd.Process.Pid)
	}()
	stuck := context.AfterFunc(ctx, func() { // with runc and what runc has begun
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	var answer shim.Started
	derr := json.NewDecoder(out).Decode(&answer)
	stuck()
	if err := <-moved; err != nil && derr == nil && answer.Error == "" {
		d.log.Warn("a shim stays in the server's unit", "handle", s.Handle, "process", spec.ID, "error", err)
	}
	go func() { _ = cmd.Wait() }()
	switch {
	case derr != nil && ctx.Err() != nil:
		return fmt.Errorf("cannot run %s: %w", spec.Path, context.Cause(ctx))
	case derr != nil:
		return fmt.Errorf("the process's shim ended without an answer: %w", derr)
	case answer.Error != "":
		return startError(spec.Path, answer.Error)
	}
	return nil
}

// startError gives runc's message its Garden type.
func startError(path, message string) error {
	missing := strings.Contains(message, "executable file not found in $PATH") ||
		(strings.Contains(message, "exec: ") && strings.Contains(message, "no such file or directory"))
	if missing {
		return api.ExecutableNotFound(path, message)
	}
	return fmt.Errorf("cannot run %s: %s", path, message)
}

// place is where a process is to run.
type place struct {
	root string   // its root directory, as the server gets there
	env  []string // what comes before its own
	own  bool     // the root directory is the process's own
}

// process is the specification of a process for runc; its working directory is made.
func (d *Depot) process(ctx context.Context, s State, at place, spec api.ProcessSpec) (*specs.Process, error) {
	user, err := d.user(s, at.root, spec.User)
	if err != nil {
		return nil, err
	}
	if err := d.workingDir(ctx, s, at, spec.Dir, user); err != nil {
		return nil, err
	}
	cwd := spec.Dir
	if cwd == "" {
		if cwd = user.Home; at.own || !filepath.IsAbs(cwd) || !isDir(at.root, cwd) {
			cwd = "/"
		}
	}
	zero := 0
	c := bundle.Container{Args: append([]string{spec.Path}, spec.Args...), Env: environment(at.env, spec.Env, user), Cwd: cwd,
		UID: user.UID, GID: user.GID, Terminal: spec.TTY != nil, Capabilities: capabilities(s.Privileged, user.UID), OOMScoreAdj: &zero}
	for _, l := range spec.Limits.Named() {
		c.Rlimits = append(c.Rlimits, specs.POSIXRlimit{Type: l.Name, Hard: l.Value, Soft: l.Value})
	}
	p := c.Process()
	if spec.TTY != nil {
		p.ConsoleSize = &specs.Box{Width: 80, Height: 24}
		if w := spec.TTY.WindowSize; w != nil && w.Columns != 0 && w.Rows != 0 {
			p.ConsoleSize = &specs.Box{Width: uint(w.Columns), Height: uint(w.Rows)}
		}
	}
	return p, nil
}

// user looks a user up in a root directory: a name, or uid:gid; root when none is given.
func (d *Depot) user(s State, root, name string) (bundle.User, error) {
	user, group, _ := strings.Cut(name, ":")
	if strings.HasPrefix(user, "/") || strings.HasPrefix(group, "/") {
		return bundle.User{}, fmt.Errorf("user %q is neither a name nor uid:gid", name)
	}
	u, err := bundle.LookupUser(root, user, group)
	if err != nil && user == "root" && group == "" { // a root file system without etc/passwd
		user, err = "", nil
	}
	var none *bundle.NoSuchAccount
	if errors.As(err, &none) { // Garden's words
		return u, fmt.Errorf("unable to find %s %s: no matching entries in %s file", none.Kind, none.Name, none.File)
	}
	if err != nil {
		return u, fmt.Errorf("user %q: %w", name, err)
	}
	if !d.c.mapped(s.Privileged, u.UID) || !d.c.mapped(s.Privileged, u.GID) {
		return u, fmt.Errorf("user %q: one of the ids %d and %d is not mapped into the container", name, u.UID, u.GID)
	}
	if user == "" && group == "" && u.Name == "" {
		u.Name, u.Home = "root", "/root"
	}
	return u, nil
}

// environment is that of a container, then that of a process, then PATH, USER and HOME unless one
// of them has it: Garden's order.
func environment(container, process []string, u bundle.User) []string {
	path := "/usr/local/bin:/usr/bin:/bin"
	if u.UID == 0 {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	defaults := []string{"PATH=" + path}
	if u.Name != "" {
		defaults = append(defaults, "USER="+u.Name)
	}
	env := mergeEnv(container, process)
	for _, e := range append(defaults, "HOME="+u.Home) {
		name, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			env = append(env, e)
		}
	}
	return env
}

// Attach connects to a process that runs, or whose end nobody has been told of.
func (d *Depot) Attach(_ context.Context, handle, id string) (server.Process, error) {
	c, err := d.find(handle)
	if err != nil {
		return nil, err
	}
	s := c.get()
	r, exit, running, err := shim.Read(d.processDir(s.ID, id))
	switch {
	case err != nil || r.ProcessID != id:
		return nil, api.ProcessNotFound(id)
	case r.ShimAlive():
		p, err := d.connect(s.ID, id, r.Socket)
		if err != nil && !running { // it ended, and its shim went, just now
			return nil, api.ProcessNotFound(id)
		}
		return p, err
	case exit != nil:
		return &ended{id: id, dir: d.processDir(s.ID, id), exit: *exit}, nil
	case running:
		return nil, fmt.Errorf("process %q runs, but its shim is gone", id)
	}
	_ = os.RemoveAll(d.processDir(s.ID, id))
	return nil, api.ProcessNotFound(id)
}

func (d *Depot) connect(container, id, socket string) (server.Process, error) {
	conn, err := shim.Dial(socket)
	if err != nil {
		return nil, err
	}
	d.count(container, 1)
	return &process{Conn: conn, id: id, release: func() { d.count(container, -1) }}, nil
}

// count keeps how many streams are attached to a container's processes.
func (d *Depot) count(container string, by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attached[container] += by; d.attached[container] == 0 {
		delete(d.attached, container)
	}
}
