package bundle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// runcPath is where the package runc puts its program.
const runcPath = "/usr/bin/runc"

// Runc runs the runc program, always by argv lists. The zero value uses runc's
// own defaults. Errors are *RuncError and name the cause that runc logged.
type Runc struct {
	Root          string // folder of runc's state (--root)
	SystemdCgroup bool   // --systemd-cgroup; else cgroupfs
	Log           string // folder for runc's log files, each removed when read; "" is the temporary one
	Path          string // program; "" is /usr/bin/runc
}

// RuncError says that runc itself failed, not the program in the container.
type RuncError struct {
	Op, ID, Msg string
	Err         error
}

func (e *RuncError) Error() string {
	if e.Msg == "" {
		return fmt.Sprintf("runc %s %s: %v", e.Op, e.ID, e.Err)
	}
	return fmt.Sprintf("runc %s %s: %s", e.Op, e.ID, e.Msg)
}

func (e *RuncError) Unwrap() error { return e.Err }

// Stdio is what the process gets; a nil one is /dev/null.
type Stdio struct{ Stdin, Stdout, Stderr *os.File }

// StartOptions of Create and Run.
type StartOptions struct {
	Stdio
	PidFile, ConsoleSocket string
	ExtraFiles             []*os.File // become 3, 4, ... of the container's process
	Env                    []string   // of runc, such as LISTEN_FDS; nil is an empty one but PATH
	NoPivot                bool
	SysProcAttr            *syscall.SysProcAttr
}

// Process is a runc in the foreground: it lasts as long as the container's process.
type Process struct {
	Cmd    *exec.Cmd
	op, id string
	log    string
	done   chan struct{}
	status int
	err    error
}

// Create makes a container that waits for Start.
func (r Runc) Create(ctx context.Context, id, bundle string, o StartOptions) error {
	p, err := r.start(ctx, "create", id, o, append(o.args(), "--bundle", bundle, id)...)
	if err != nil {
		return err
	}
	return p.succeed()
}

// Start lets a created container's process run.
func (r Runc) Start(ctx context.Context, id string) error { return r.simple(ctx, "start", id, id) }

// Run creates and starts a container and stays in the foreground; runc deletes
// the container when its process has ended.
func (r Runc) Run(ctx context.Context, id, bundle string, o StartOptions) (*Process, error) {
	return r.start(ctx, "run", id, o, append(o.args(), "--bundle", bundle, id)...)
}

// ExecOptions of Exec: the process to be, written to a file by the caller's bundle package.
type ExecOptions struct {
	StartOptions
	Process *specs.Process
	Detach  bool // runc ends at once; PidFile tells the process
	Cgroup  string
}

// Exec starts a further process in a running container.
func (r Runc) Exec(ctx context.Context, id string, o ExecOptions) (*Process, error) {
	data, err := json.Marshal(o.Process)
	if err != nil {
		return nil, fmt.Errorf("process of %s: %w", id, err)
	}
	f, err := os.CreateTemp(r.Log, "runc-process-*.json")
	if err != nil {
		return nil, fmt.Errorf("process of %s: %w", id, err)
	}
	_, err = f.Write(data)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, fmt.Errorf("process of %s: %w", id, err)
	}
	args := append(o.args(), "--process", f.Name())
	if o.Detach {
		args = append(args, "--detach")
	}
	if o.Cgroup != "" {
		args = append(args, "--cgroup", o.Cgroup)
	}
	p, err := r.start(ctx, "exec", id, o.StartOptions, append(args, id)...)
	if err != nil {
		os.Remove(f.Name())
		return nil, err
	}
	// runc has read the file when it ends at the latest; the file is small.
	go func() { <-p.done; os.Remove(f.Name()) }()
	return p, nil
}

// Kill sends a signal to the container's first process, or to all of them.
func (r Runc) Kill(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	args := []string{id, strconv.Itoa(int(sig))}
	if all {
		args = append([]string{"--all"}, args...)
	}
	return r.simple(ctx, "kill", id, args...)
}

// Delete removes a container; force kills it first and is content with none.
func (r Runc) Delete(ctx context.Context, id string, force bool) error {
	args := []string{id}
	if force {
		args = []string{"--force", id}
	}
	return r.simple(ctx, "delete", id, args...)
}

// State returns the state as the runtime specification defines it.
func (r Runc) State(ctx context.Context, id string) (specs.State, error) {
	var s specs.State
	cmd, log, err := r.command(ctx, "state", []string{id})
	if err != nil {
		return s, err
	}
	defer os.Remove(log)
	out, err := cmd.Output()
	if err != nil {
		return s, &RuncError{Op: "state", ID: id, Msg: lastError(log), Err: err}
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, &RuncError{Op: "state", ID: id, Err: err}
	}
	return s, nil
}

// Update changes the limits of a running container.
func (r Runc) Update(ctx context.Context, id string, res *specs.LinuxResources) error {
	data, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("limits of %s: %w", id, err)
	}
	cmd, log, err := r.command(ctx, "update", []string{"--resources", "-", id})
	if err != nil {
		return err
	}
	defer os.Remove(log)
	cmd.Stdin = bytes.NewReader(data)
	if err := cmd.Run(); err != nil {
		return &RuncError{Op: "update", ID: id, Msg: lastError(log), Err: err}
	}
	return nil
}

func (o StartOptions) args() []string {
	var a []string
	if o.PidFile != "" {
		a = append(a, "--pid-file", o.PidFile)
	}
	if o.ConsoleSocket != "" {
		a = append(a, "--console-socket", o.ConsoleSocket)
	}
	if len(o.ExtraFiles) > 0 {
		a = append(a, "--preserve-fds", strconv.Itoa(len(o.ExtraFiles)))
	}
	if o.NoPivot {
		a = append(a, "--no-pivot")
	}
	return a
}

func (r Runc) simple(ctx context.Context, op, id string, args ...string) error {
	p, err := r.start(ctx, op, id, StartOptions{}, args...)
	if err != nil {
		return err
	}
	return p.succeed()
}

// argv is the pure part: everything before the operation's own arguments.
func (r Runc) argv(log, op string, args []string) []string {
	var a []string
	if r.Root != "" {
		a = append(a, "--root", r.Root)
	}
	if r.SystemdCgroup {
		a = append(a, "--systemd-cgroup")
	}
	return append(append(a, "--log", log, "--log-format", "json", op), args...)
}

func (r Runc) command(ctx context.Context, op string, args []string) (*exec.Cmd, string, error) {
	f, err := os.CreateTemp(r.Log, "runc-*.log")
	if err != nil {
		return nil, "", fmt.Errorf("log of runc: %w", err)
	}
	f.Close()
	path := r.Path
	if path == "" {
		path = runcPath
	}
	cmd := exec.CommandContext(ctx, path, r.argv(f.Name(), op, args)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd, f.Name(), nil
}

func (r Runc) start(ctx context.Context, op, id string, o StartOptions, args ...string) (*Process, error) {
	cmd, log, err := r.command(ctx, op, args)
	if err != nil {
		return nil, err
	}
	// Only real files: a copying goroutine would outlive runc with a detached container.
	if o.Stdin != nil {
		cmd.Stdin = o.Stdin
	}
	if o.Stdout != nil {
		cmd.Stdout = o.Stdout
	}
	if o.Stderr != nil {
		cmd.Stderr = o.Stderr
	}
	cmd.ExtraFiles, cmd.SysProcAttr = o.ExtraFiles, o.SysProcAttr
	cmd.Env = append(cmd.Env, o.Env...)
	if err := cmd.Start(); err != nil {
		os.Remove(log)
		return nil, &RuncError{Op: op, ID: id, Err: err}
	}
	p := &Process{Cmd: cmd, op: op, id: id, log: log, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	defer close(p.done)
	err := p.Cmd.Wait()
	defer os.Remove(p.log)
	if err == nil {
		return
	}
	msg := lastError(p.log)
	var exit *exec.ExitError
	if msg == "" && errors.As(err, &exit) && exit.Exited() {
		p.status = exit.ExitCode()
		return
	}
	p.status, p.err = 1, &RuncError{Op: p.op, ID: p.id, Msg: msg, Err: err}
}

// Wait waits for the end of runc and returns the exit status of the process in
// the container: 128 and the signal's number for one that a signal ended. An
// error means that runc failed.
func (p *Process) Wait() (int, error) {
	<-p.done
	return p.status, p.err
}

// Done is closed when runc has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to runc, which passes it on (SIGWINCH: resizes the terminal).
func (p *Process) Signal(sig os.Signal) error { return p.Cmd.Process.Signal(sig) }

func (p *Process) succeed() error {
	status, err := p.Wait()
	if err == nil && status != 0 {
		err = &RuncError{Op: p.op, ID: p.id, Err: fmt.Errorf("exit status %d", status)}
	}
	return err
}

// lastError returns the last message of level error or worse in runc's log.
func lastError(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	msg := ""
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Level string    `json:"level"`
			Msg   string    `json:"msg"`
			Time  time.Time `json:"time"`
		}
		if json.Unmarshal(lines.Bytes(), &e) == nil && (e.Level == "error" || e.Level == "fatal" || e.Level == "panic") {
			msg = strings.TrimSpace(e.Msg)
		}
	}
	return msg
}
