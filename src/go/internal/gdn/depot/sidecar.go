package depot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/cgroup"
	"photonbuild.invalid/compat/internal/gdn/shim"
	"photonbuild.invalid/compat/internal/gdn/sidecar"
	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/bundle"
	"photonbuild.invalid/compat/internal/kit/overlay"
)

// processImage makes the image of a process with a root file system of its own available.
func (d *Depot) processImage(ctx context.Context, c *container, spec api.ProcessSpec) (base, error) {
	if err := d.runnable(c, c.get()); err != nil {
		return base{}, err
	}
	b, err := d.prepare(ctx, api.ContainerSpec{Image: spec.Image})
	if err != nil {
		return b, fmt.Errorf("image of the process: %w", err)
	}
	return b, nil
}

// sidecar makes ready what a process needs that has a root file system or limits of its own, and
// notes it in config. Without an image its root is the container's, with the container's mounts.
// What is held can be released when the process runs.
func (d *Depot) sidecar(ctx context.Context, s State, spec api.ProcessSpec, image base, config *shim.Config) (pins, error) {
	limits, err := sidecarLimits(spec)
	if err != nil {
		return nil, err
	}
	p, err := d.newSidecar(s, spec, image.image)
	config.Sidecar = p // from here on there is something to take away again
	if err != nil {
		return nil, err
	}
	at := place{root: d.root(s), env: s.Env}
	root, mounts := d.rootfs(s.ID), []specs.Mount(nil)
	if spec.Image.URI != "" {
		if err := d.mountSidecar(s, *p, image); err != nil {
			return nil, err
		}
		at, root = place{root: p.RootFS(), env: mergeEnv(image.env, s.SpecEnv), own: true}, p.RootFS()
		if mounts, err = d.binds(spec.BindMounts, s); err != nil {
			return nil, err
		}
		mounts = append(d.etcMounts(s), mounts...)
	}
	plan, err := d.plan(s, root, mounts, limits)
	if err != nil {
		return nil, err
	}
	if spec.Image.URI == "" {
		if plan.Mounts, err = d.containerMounts(s.ID); err != nil {
			return nil, err
		}
	}
	if config.Process, err = d.process(ctx, s, at, spec); err != nil {
		return nil, err
	}
	join(plan, s, *p, config.Process)
	held, err := d.pin(s, *p, plan.Mounts)
	if err != nil {
		return nil, err
	}
	return held, bundle.Write(p.Bundle(), plan)
}

// pins are places where sources of mounts are bound.
type pins []string

func (p pins) release() {
	for _, target := range p {
		_ = overlay.Unmount(target)
	}
}

// pin binds the sources of mounts that lie in the container's own root file system to places in
// the sidecar's folder, for runc to take them from: the container's processes may at any time put
// a link to anywhere where a source is.
func (d *Depot) pin(s State, p sidecar.Sidecar, mounts []specs.Mount) (pins, error) {
	var held pins
	for i := range mounts {
		name, inside := strings.CutPrefix(mounts[i].Source, d.rootfs(s.ID)+"/")
		if !inside {
			continue
		}
		target := p.Source(i)
		if err := bindInside(d.rootfs(s.ID), name, target); err != nil {
			held.release()
			return nil, fmt.Errorf("source of the mount at %s: %w", mounts[i].Destination, err)
		}
		held = append(held, target)
		mounts[i].Source = target
	}
	return held, nil
}

// bindInside binds a file or folder of a root file system to target, which is made.
func bindInside(root, name, target string) error {
	f, err := archive.OpenIn(root, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	if st.IsDir() {
		err = os.Mkdir(target, 0o700)
	} else {
		err = os.WriteFile(target, nil, 0o600)
	}
	if err != nil {
		return err
	}
	tree, err := unix.OpenTree(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// sidecarLimits are those of the process's own cgroup; none when it shares that of the container.
// What is 0 is unlimited there, as Garden has it: the container's limits hold for its own cgroup.
func sidecarLimits(spec api.ProcessSpec) (api.Limits, error) {
	if !spec.OwnLimits() {
		return api.Limits{}, nil
	}
	own := spec.OverrideContainerLimits
	l := api.Limits{CPU: own.CPU, Memory: own.Memory}
	if _, err := cgroup.Resources(l); err != nil {
		return l, fmt.Errorf("limits: %w", err)
	}
	return l, nil
}

// newSidecar makes the folder and its record.
func (d *Depot) newSidecar(s State, spec api.ProcessSpec, image string) (*sidecar.Sidecar, error) {
	name := newID()
	p := &sidecar.Sidecar{ID: sidecar.ID(s.ID, name), Dir: filepath.Join(d.sidecars(s.ID), name), Image: image}
	if spec.Image.URI != "" {
		p.Own = p.Dir
		if s.Limits.Disk.ByteHard != 0 { // what it writes counts with what the container writes
			p.Own = filepath.Join(d.diskDir(s.ID), "sidecars", name)
		}
	}
	if !spec.OwnLimits() {
		group, err := cgroup.OfProcess(s.InitPID)
		if err != nil {
			return nil, fmt.Errorf("the container's cgroup: %w", err)
		}
		p.Cgroup = string(group)
	}
	if err := d.makeSearchable(d.sidecars(s.ID)); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := d.makeSearchable(p.Dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.Bundle(), 0o700); err != nil {
		return p, err
	}
	return p, p.Save()
}

// mountSidecar mounts the root file system of a process's own.
func (d *Depot) mountSidecar(s State, p sidecar.Sidecar, image base) error {
	if err := os.MkdirAll(p.Own, 0o700); err != nil {
		return err
	}
	m := mountPoint{rootfs: p.RootFS(), own: p.Own, base: filepath.Join(p.Dir, "base"), image: image.image}
	if err := d.mountLayers(s, m, image.layers); err != nil {
		return fmt.Errorf("root file system of the process: %w", err)
	}
	return nil
}

// containerMounts are the mounts that a container was made with, but that of its first process.
func (d *Depot) containerMounts(id string) ([]specs.Mount, error) {
	var config specs.Spec
	data, err := os.ReadFile(filepath.Join(d.dir(id), "bundle", "config.json"))
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		return nil, fmt.Errorf("mounts of the container: %w", err)
	}
	return slices.DeleteFunc(config.Mounts, func(m specs.Mount) bool { return m.Destination == initPath }), nil
}

// join makes a container's configuration that of a process in that container: in its namespaces,
// with mounts of its own, and with a cgroup of its own when it has limits of its own.
func join(config *specs.Spec, s State, p sidecar.Sidecar, process *specs.Process) {
	config.Process, config.Hostname = process, ""
	config.Linux.CgroupsPath = cgroup.Path(p.ID)
	config.Linux.UIDMappings, config.Linux.GIDMappings = nil, nil // as the namespace has them
	for i := range config.Linux.Namespaces {
		n := &config.Linux.Namespaces[i]
		if n.Type == specs.MountNamespace || n.Type == specs.CgroupNamespace && p.Cgroup == "" {
			continue
		}
		name := string(n.Type)
		if n.Type == specs.NetworkNamespace {
			name = "net"
		}
		n.Path = filepath.Join("/proc", strconv.Itoa(s.InitPID), "ns", name)
	}
}

// sidecarOf finds the sidecar of a process by the process's id, as Garden's clients ask for its
// metrics.
func (d *Depot) sidecarOf(process string) (sidecar.Sidecar, bool) {
	handles, _ := d.Handles(nil)
	for _, handle := range handles {
		c, err := d.find(handle)
		if err != nil {
			continue
		}
		id := c.get().ID
		if r, _, running, err := shim.Read(d.processDir(id, process)); err == nil && running && r.Sidecar != "" {
			return sidecar.Load(id, r.Sidecar), true
		}
	}
	return sidecar.Sidecar{}, false
}

// dropSidecar takes a sidecar away; what stays is taken away with the container.
func (d *Depot) dropSidecar(p *sidecar.Sidecar) {
	if p == nil {
		return
	}
	if err := p.Clean(context.Background(), d.runc); err != nil {
		d.log.Warn("cannot take away all of a process", "id", p.ID, "error", err)
	}
}

// dropStale takes away the sidecars of a container the process of which is gone, and the shim,
// which else does it.
func (d *Depot) dropStale(s State) {
	used := map[string]bool{}
	dirs, _ := filepath.Glob(filepath.Join(d.processes(s.ID), "*"))
	for _, dir := range dirs {
		if r, _, running, err := shim.Read(dir); err == nil && (running || r.ShimAlive()) {
			used[r.Sidecar] = true
		}
	}
	for _, p := range sidecar.List(s.ID, d.sidecars(s.ID)) {
		if !used[p.Dir] {
			d.dropSidecar(&p)
		}
	}
}

// forgetSidecars kills the processes of a container that have a cgroup of their own and lets runc
// forget all sidecars of the container. Their mounts and files go with the container's.
func (d *Depot) forgetSidecars(ctx context.Context, container string) error {
	ids := cgroup.Sidecars(container)
	states, _ := os.ReadDir(d.c.runcRoot())
	for _, s := range states {
		if strings.HasPrefix(s.Name(), container+"-") && !slices.Contains(ids, s.Name()) {
			ids = append(ids, s.Name())
		}
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, sidecar.Forget(ctx, d.runc, id))
	}
	return errors.Join(errs...)
}
