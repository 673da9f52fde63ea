package depot

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/cgroup"
	"photonbuild.invalid/compat/internal/gdn/network"
	"photonbuild.invalid/compat/internal/gdn/proc"
	"photonbuild.invalid/compat/internal/kit/bundle"
)

// initPath is where a container sees this program, its first process.
const initPath = "/dev/gdn-init"

// Create makes a container. When it fails nothing is left.
func (d *Depot) Create(ctx context.Context, spec api.ContainerSpec) (string, error) {
	if _, err := cgroup.Resources(spec.Limits); err != nil {
		return "", err
	}
	c, err := d.reserve(spec)
	if err != nil {
		return "", err
	}
	defer close(c.over)
	handle := c.state.Handle
	s, err := d.build(ctx, spec, c)
	if err != nil {
		if terr := d.teardown(context.WithoutCancel(ctx), s); terr != nil {
			d.log.Error("cannot clean up after a failed creation", "handle", handle, "error", terr)
		}
		d.forget(c, handle)
		return "", fmt.Errorf("create container %s: %w", handle, err)
	}
	c.mu.Lock()
	c.state, c.ready = s, true
	c.mu.Unlock()
	d.log.Info("container created", "handle", handle, "id", s.ID, "ip", s.Lease.IP, "took", time.Since(s.Created))
	return handle, nil
}

// reserve takes the handle.
func (d *Depot) reserve(spec api.ContainerSpec) (*container, error) {
	id := newID()
	handle := spec.Handle
	if handle == "" {
		handle = id
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.containers[handle] != nil {
		//lint:ignore ST1005 Garden's words
		return nil, fmt.Errorf("Handle '%s' already in use", handle)
	}
	if uint64(len(d.containers)) >= d.most() {
		return nil, &api.Error{Type: api.TypeServiceUnavailable, Message: fmt.Sprintf("there are %d containers already, the most that this server allows", len(d.containers))}
	}
	grace := spec.GraceTime
	if grace == 0 {
		grace = d.c.DefaultGraceTime
	}
	c := &container{over: make(chan struct{}), state: State{Version: stateVersion, ID: id, Handle: handle, Boot: d.boot, Status: creating,
		Created: time.Now(), Privileged: spec.Privileged, Properties: maps.Clone(spec.Properties),
		GraceTime: grace, Limits: spec.Limits, NetOut: spec.NetOut}}
	c.state.Limits.Bandwidth = api.BandwidthLimits{}
	if spec.Limits.Bandwidth != (api.BandwidthLimits{}) {
		d.log.Warn("bandwidth limits are not supported; the container's bandwidth is unlimited", "handle", handle)
	}
	d.containers[handle] = c
	return c, nil
}

// build does the work. It returns the state as far as it came, for teardown.
func (d *Depot) build(ctx context.Context, spec api.ContainerSpec, c *container) (State, error) {
	s := c.get()
	step := time.Now()
	done := func(what string) {
		d.log.Debug("creating", "handle", s.Handle, "step", what, "took", time.Since(step))
		step = time.Now()
	}
	if err := d.makeDir(s.ID); err != nil {
		return s, err
	}
	if err := d.save(s); err != nil {
		return s, err
	}
	layers, err := d.image(ctx, spec, c, &s)
	if err != nil {
		return s, err
	}
	done("image")
	if err := d.address(spec, &s); err != nil {
		return s, err
	}
	if err := d.save(s); err != nil { // whatever stands now is found after a crash
		return s, err
	}
	if err := d.mountRoot(s, layers); err != nil {
		return s, err
	}
	done("root file system")
	if err := d.writeBundle(spec, s); err != nil {
		return s, err
	}
	done("bundle")
	if err := d.start(ctx, &s); err != nil {
		return s, err
	}
	done("start")
	s.Status = active
	return s, d.save(s)
}

func (d *Depot) makeDir(id string) error {
	dir := d.dir(id)
	if err := d.makeSearchable(dir); err != nil {
		return err
	}
	for _, sub := range []string{"bundle", "p"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// makeSearchable makes a directory on the way to what containers' root needs to reach.
func (d *Depot) makeSearchable(dir string) error {
	if err := os.Mkdir(dir, 0o710); err != nil {
		return err
	}
	return os.Chown(dir, 0, int(d.c.UIDStart))
}

// image makes the layers available and notes what they are.
func (d *Depot) image(ctx context.Context, spec api.ContainerSpec, c *container, s *State) ([]string, error) {
	d.collecting.RLock()
	defer d.collecting.RUnlock()
	b, err := d.prepare(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.Image = b.image
	s.Env, s.SpecEnv = mergeEnv(b.env, spec.Env), spec.Env
	if s.Limits.Disk.ByteHard != 0 && s.Limits.Disk.Scope == api.DiskScopeTotal {
		s.ImageUsage = d.usage(b)
	}
	c.mu.Lock()
	c.state.Image = s.Image
	c.mu.Unlock()
	return b.layers, nil
}

// address leases the container's address and ports.
func (d *Depot) address(spec api.ContainerSpec, s *State) error {
	lease, err := d.pool.Acquire(spec.Network)
	if err != nil {
		return err
	}
	s.Lease = lease
	for _, n := range spec.NetIn {
		m, err := d.mapPort(n)
		if err != nil {
			return err
		}
		s.Ports = append(s.Ports, m)
	}
	return nil
}

// mapPort takes a port of the host, one of the pool when none is named. A container port that
// is not named is the same as the host's.
func (d *Depot) mapPort(n api.NetIn) (api.PortMapping, error) {
	var err error
	if n.HostPort == 0 {
		n.HostPort, err = d.ports.Acquire()
	} else {
		err = d.ports.Take(n.HostPort)
	}
	if n.ContainerPort == 0 {
		n.ContainerPort = n.HostPort
	}
	return api.PortMapping(n), err
}

// start runs the container's first process and connects the network, the rules of which are
// made meanwhile.
func (d *Depot) start(ctx context.Context, s *State) error {
	var wg sync.WaitGroup
	var filterErr error
	started := time.Now()
	wg.Go(func() {
		filterErr = d.filter.Set(s.endpoint())
		d.log.Debug("creating", "handle", s.Handle, "step", "packet filter", "took", time.Since(started))
	})
	dir := filepath.Join(d.dir(s.ID), "bundle")
	pidFile := filepath.Join(dir, "pid")
	err := d.runc.RunDetached(ctx, s.ID, dir, bundle.StartOptions{PidFile: pidFile})
	d.log.Debug("creating", "handle", s.Handle, "step", "runc", "took", time.Since(started))
	wg.Wait()
	if err != nil {
		return err
	}
	if filterErr != nil {
		return filterErr
	}
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	if s.InitPID, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
		return fmt.Errorf("pid of the first process: %w", err)
	}
	if s.InitStart, err = proc.StartTime(s.InitPID); err != nil {
		return fmt.Errorf("the first process of the container ended at once: %w", err)
	}
	// A container out of memory loses another process than the one that holds it together.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", s.InitPID), []byte("-1000"), 0); err != nil {
		return err
	}
	return network.Connect(s.ID, s.InitPID, s.Lease, d.c.MTU)
}

func (d *Depot) writeBundle(spec api.ContainerSpec, s State) error {
	if err := d.etc(s); err != nil {
		return err
	}
	mounts := append(d.etcMounts(s), specs.Mount{Destination: initPath, Source: d.c.Program, Type: "bind", Options: []string{"bind", "ro", "nosuid", "nodev"}})
	binds, err := d.binds(spec.BindMounts, s)
	if err != nil {
		return err
	}
	config, err := d.plan(s, d.rootfs(s.ID), append(mounts, binds...), s.Limits)
	if err != nil {
		return err
	}
	return bundle.Write(filepath.Join(d.dir(s.ID), "bundle"), config)
}

// plan is the configuration of a container, with its own first process.
func (d *Depot) plan(s State, root string, mounts []specs.Mount, l api.Limits) (*specs.Spec, error) {
	resources, err := cgroup.Resources(l)
	if err != nil {
		return nil, err
	}
	c := bundle.Container{ID: s.ID, RootFS: root, Args: []string{initPath, "init"}, Env: []string{"GOGC=off", "GOMAXPROCS=1"},
		NoNewPrivileges: true, Hostname: hostname(s.Handle), Mounts: mounts,
		Namespaces:  map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "", specs.NetworkNamespace: "", specs.IPCNamespace: "", specs.UTSNamespace: "", specs.CgroupNamespace: ""},
		CgroupsPath: cgroup.Path(s.ID), Resources: resources, Capabilities: capabilities(s.Privileged, 0)}
	// runc's scope: a first process that ignores SIGTERM must not hold up the machine's going down.
	c.Annotations = map[string]string{"org.systemd.property.TimeoutStopUSec": fmt.Sprintf("uint64 %d", stopLimit/time.Microsecond)}
	if s.Privileged {
		c.MaskedPaths, c.ReadonlyPaths, c.Devices = []string{}, []string{}, []specs.LinuxDevice{fuse()}
	} else {
		c.UIDMappings, c.GIDMappings = d.c.mapping(), d.c.mapping()
		if c.Seccomp, err = bundle.DefaultSeccomp(bundle.DefaultCapabilities()); err != nil {
			return nil, err
		}
	}
	// Its size is that of the memory limit: what is in it counts there.
	c.Mounts = append([]specs.Mount{{Destination: "/dev/shm", Source: "tmpfs", Type: "tmpfs", Options: []string{"nodev", "relatime", "mode=1777"}}}, c.Mounts...)
	spec, err := c.Spec()
	if err == nil && s.Privileged { // who is root on the machine steers no limits from inside
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
	}
	return spec, err
}

// fuse is the device that a privileged container has more than others.
func fuse() specs.LinuxDevice {
	mode := os.FileMode(0o666)
	return specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: &mode}
}

// capabilities are those that a process can have, as Guardian gives them: all up to Linux 5.7's in
// a privileged container, but to other users than root only the default ones and CAP_SYS_ADMIN.
func capabilities(privileged bool, uid uint32) []string {
	switch {
	case !privileged:
		return bundle.DefaultCapabilities()
	case uid == 0:
		return bundle.AllCapabilities()[:38]
	}
	return append(bundle.DefaultCapabilities(), "CAP_SYS_ADMIN")
}

// binds turns Garden's bind mounts into runc's. A source has to be there.
func (d *Depot) binds(list []api.BindMount, s State) ([]specs.Mount, error) {
	var out []specs.Mount
	for i, m := range list {
		source := m.SrcPath
		if m.Origin == api.BindOriginContainer {
			inside, err := resolve(d.rootfs(s.ID), m.SrcPath)
			if err != nil {
				return nil, fmt.Errorf("bind_mounts[%d]: source in the container: %w", i, err)
			}
			source = inside
		} else if _, err := os.Stat(source); err != nil {
			return nil, fmt.Errorf("bind_mounts[%d]: source: %w", i, err)
		}
		options := []string{"rbind", "rprivate"}
		if m.Mode == api.BindRO {
			options = append(options, "ro", "rro")
		} else {
			options = append(options, "rw")
		}
		out = append(out, specs.Mount{Destination: filepath.Clean(m.DstPath), Source: source, Type: "bind", Options: options})
	}
	return out, nil
}

// maxHostname is how much of a handle is in the host name: its end.
const maxHostname = 49

// hostname makes a valid one of a handle.
func hostname(handle string) string {
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}, handle)
	name = strings.Trim(name[max(0, len(name)-maxHostname):], "-.")
	if name == "" {
		return "garden"
	}
	return name
}

// mergeEnv appends b to a; a later value of a name takes the place of an earlier one.
func mergeEnv(a ...[]string) []string {
	var out []string
	for _, list := range a {
		for _, e := range list {
			name, _, _ := strings.Cut(e, "=")
			out = slices.DeleteFunc(out, func(o string) bool { return strings.HasPrefix(o, name+"=") })
			out = append(out, e)
		}
	}
	return out
}
