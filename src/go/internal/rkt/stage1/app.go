package stage1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/appc/spec/schema"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/kit/bundle"
	"photonbuild.invalid/compat/internal/kit/overlay"
	"photonbuild.invalid/compat/internal/rkt/pod"
)

// standardPath is the PATH that ace.md demands.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// app is an app that is ready to be started.
type app struct {
	name      string
	dir       string // bundle
	container bundle.Container
	exec      []string
	pre, post []string
	stdio     bundle.Stdio
}

func (a *app) pidFile() string { return filepath.Join(a.dir, "pid") }

// AppRoot is where an app's root filesystem is mounted, in the supervisor's mount namespace.
func AppRoot(p *pod.Pod, name string) string {
	return p.File("stage1", "rootfs", "opt", "stage2", name, "rootfs")
}

// BundleDir is the folder of an app's config.json.
func BundleDir(uuid, name string) string { return filepath.Join(RuntimeDir(uuid), "apps", name) }

func (s *supervisor) prepareApps() ([]*app, error) {
	var list []*app
	for i := range s.manifest.Apps {
		a, err := s.prepareApp(&s.manifest.Apps[i])
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", s.manifest.Apps[i].Name, err)
		}
		list = append(list, a)
	}
	return list, nil
}

// prepareApp mounts the app's filesystem and describes its container.
func (s *supervisor) prepareApp(r *schema.RuntimeApp) (*app, error) {
	name := r.Name.String()
	root, err := s.mountRoot(name)
	if err != nil {
		return nil, err
	}
	vols, err := volumes(s.pod, s.manifest, r, root)
	if err != nil {
		return nil, err
	}
	for _, v := range vols {
		warning, err := prepareTarget(root, v)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			s.warn("app %s: %s", name, warning)
		}
	}
	if wd := r.App.WorkingDirectory; wd != "" && !existsIn(root, vols, wd) {
		return nil, fmt.Errorf("working directory %s is not there", wd)
	}
	user, err := bundle.LookupUser(root, r.App.User, r.App.Group)
	if err != nil {
		return nil, err
	}
	a := &app{name: name, dir: BundleDir(s.pod.UUID, name), exec: r.App.Exec}
	a.container = bundle.Container{
		ID: name, RootFS: root, Args: r.App.Exec, Cwd: r.App.WorkingDirectory,
		UID: user.UID, GID: user.GID, ReadonlyRootFS: r.ReadOnlyRootFS,
		Terminal:   s.options.Interactive && s.options.Terminal,
		Env:        environment(r, user, s),
		Namespaces: s.namespaces(), CgroupsPath: filepath.Join(s.cgroup, "apps", name),
		Mounts:      s.etc.mounts(root, vols),
		Annotations: map[string]string{"rkt.pod": s.pod.UUID, "rkt.app": name},
	}
	for _, g := range r.App.SupplementaryGIDs {
		a.container.AdditionalGIDs = append(a.container.AdditionalGIDs, uint32(g))
	}
	for _, v := range vols {
		a.container.Mounts = append(a.container.Mounts, v.spec())
	}
	if !a.container.Terminal {
		a.container.Devices = []specs.LinuxDevice{console()}
	}
	if s.options.NoMaskedPaths {
		a.container.MaskedPaths, a.container.ReadonlyPaths = []string{}, []string{}
	}
	if err := isolate(&a.container, r.App.Isolators, s.options); err != nil {
		return nil, err
	}
	handlers(a, r.App.EventHandlers)
	for _, argv := range [][]string{a.exec, a.pre, a.post} {
		if len(argv) == 0 {
			continue
		}
		if err := findExec(root, vols, argv[0], a.container.Cwd, pathOf(a.container.Env)); err != nil {
			return nil, err
		}
	}
	a.stdio, err = s.streams(name)
	return a, err
}

// console stands in for /dev/console, which OS-SPEC.md wants, where there is no
// terminal: it takes and gives nothing, as /dev/null does.
func console() specs.LinuxDevice {
	mode := os.FileMode(0o620)
	return specs.LinuxDevice{Path: "/dev/console", Type: "c", Major: 1, Minor: 3, FileMode: &mode}
}

// mountRoot puts a writable layer over the image's rendered tree. Its root
// takes the tree's owner and mode.
func (s *supervisor) mountRoot(name string) (string, error) {
	_, tree, err := s.pod.Image(name)
	if err != nil {
		return "", err
	}
	root, upper, work := AppRoot(s.pod, name), s.pod.File("overlay", name, "upper"), s.pod.File("overlay", name, "work")
	for _, d := range []string{root, upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	st, err := os.Stat(tree)
	if err != nil {
		return "", fmt.Errorf("rendered image: %w", err)
	}
	owner := st.Sys().(*syscall.Stat_t)
	if err := os.Chown(upper, int(owner.Uid), int(owner.Gid)); err != nil {
		return "", err
	}
	if err := syscall.Chmod(upper, owner.Mode&0o7777); err != nil {
		return "", os.NewSyscallError("chmod", err)
	}
	return root, overlay.Mount(root, []string{tree}, upper, work, nil)
}

// namespaces: what pods.md says that apps share, and mounts of their own.
func (s *supervisor) namespaces() map[specs.LinuxNamespaceType]string {
	m := map[specs.LinuxNamespaceType]string{
		specs.PIDNamespace:    s.box.ns("pid"),
		specs.UTSNamespace:    s.box.ns("uts"),
		specs.CgroupNamespace: "",
	}
	if !s.options.HostNet {
		m[specs.NetworkNamespace] = s.box.ns("net")
	}
	if !s.options.HostIPC {
		m[specs.IPCNamespace] = s.box.ns("ipc")
	}
	return m
}

// environment gives what ace.md demands. PATH may be set by the app; the names
// of App Container's own may not.
func environment(r *schema.RuntimeApp, u bundle.User, s *supervisor) []string {
	vars := [][2]string{{"PATH", standardPath}, {"HOME", u.Home}}
	if u.Name != "" {
		vars = append(vars, [2]string{"USER", u.Name}, [2]string{"LOGNAME", u.Name})
	}
	if s.options.Terminal && s.options.Interactive {
		vars = append(vars, [2]string{"TERM", s.options.Term})
	}
	own := [][2]string{{"AC_APP_NAME", r.Name.String()}, {"container", "rkt"}}
	if s.mdsURL != "" {
		own = append(own, [2]string{"AC_METADATA_URL", s.mdsURL})
	}
	for _, e := range r.App.Environment {
		vars = append(vars, [2]string{e.Name, e.Value})
	}
	var out []string
	at := map[string]int{}
	for _, v := range append(vars, own...) {
		line := v[0] + "=" + v[1]
		if i, ok := at[v[0]]; ok {
			out[i] = line
			continue
		}
		at[v[0]] = len(out)
		out = append(out, line)
	}
	return out
}

func pathOf(env []string) string {
	for _, e := range env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			return path
		}
	}
	return standardPath
}

// streams gives the app the launching command's stdout and stderr, and its
// stdin when the pod is interactive.
func (s *supervisor) streams(name string) (bundle.Stdio, error) {
	mode := s.options.Stdio[name]
	var io bundle.Stdio
	if s.options.Interactive && mode.Stdin != "null" {
		io.Stdin = s.stdio[0]
	}
	for _, o := range []struct {
		mode string
		from *os.File
		to   **os.File
	}{{mode.Stdout, s.stdio[1], &io.Stdout}, {mode.Stderr, s.stdio[2], &io.Stderr}} {
		switch o.mode {
		case "null":
		case "log":
			f, err := journalStream(name)
			if err != nil {
				return io, err
			}
			*o.to = f
		default:
			*o.to = o.from
		}
	}
	return io, nil
}

// journalStream connects to the journal by its stream protocol (the one of
// sd_journal_stream_fd(3)): a header of lines, then the text.
func journalStream(identifier string) (*os.File, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: "/run/systemd/journal/stdout", Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s\n\n6\n0\n0\n0\n0\n", strings.ReplaceAll(identifier, "\n", " ")); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return c.File()
}

// runApp runs the app and then its post-stop handler, and returns the app's status.
func (s *supervisor) runApp(a *app) (int, error) {
	if s.stopping() {
		return 128 + int(syscall.SIGTERM), nil
	}
	status, err := s.runOnce(a, a.exec, a.pidFile(), false)
	if err != nil {
		return 1, wrap("app "+a.name, err)
	}
	post, err := s.postStop(a)
	if err != nil || post != 0 {
		s.warn("post-stop of app %s: status %d %v", a.name, post, err)
	}
	if status == 0 {
		status = post
	}
	return status, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// runOnce runs one program in the app's environment to its end; last says that it
// is the post-stop handler.
func (s *supervisor) runOnce(a *app, args []string, pidFile string, last bool) (int, error) {
	c := a.container
	c.Args = slices.Clone(args)
	spec, err := c.Spec()
	if err != nil {
		return 1, err
	}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return 1, err
	}
	if err := bundle.Write(a.dir, spec); err != nil {
		return 1, err
	}
	p, err := s.runc.Run(context.Background(), a.name, a.dir, bundle.StartOptions{Stdio: a.stdio, PidFile: pidFile, SysProcAttr: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return 1, err
	}
	s.mu.Lock()
	s.procs[a.name] = running{p, last}
	late := s.stopping() && !last
	s.mu.Unlock()
	if late {
		p.Signal(syscall.SIGTERM)
	}
	status, err := p.Wait()
	s.mu.Lock()
	delete(s.procs, a.name)
	s.mu.Unlock()
	var failure *bundle.RuncError
	if errors.As(err, &failure) && s.stopping() {
		return 128 + int(syscall.SIGKILL), nil // killed beneath runc
	}
	return status, err
}
