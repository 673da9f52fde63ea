package depot

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/cgroup"
	"photonbuild.invalid/compat/internal/gdn/disk"
	"photonbuild.invalid/compat/internal/gdn/network"
	"photonbuild.invalid/compat/internal/gdn/proc"
	"photonbuild.invalid/compat/internal/gdn/sidecar"
)

// Metrics measures a container.
func (d *Depot) Metrics(handle string) (api.Metrics, error) {
	var m api.Metrics
	c, err := d.find(handle)
	if err != nil {
		if p, ok := d.sidecarOf(handle); ok {
			err := p.Group().Metrics(&m)
			return m, err
		}
		return m, err
	}
	s := c.get()
	if err := s.group().Metrics(&m); err != nil {
		return m, err
	}
	m.PidStat.Max = s.Limits.Pid.Max
	m.PidStat.Current -= min(m.PidStat.Current, proc.Threads(s.InitPID))
	rx, tx := network.Counters(s.ID)
	m.NetworkStat = &api.NetworkStat{RxBytes: rx, TxBytes: tx}
	m.Age = time.Since(s.Created)
	own, err := d.used(s)
	if err != nil {
		return m, fmt.Errorf("disk usage: %w", err)
	}
	image := s.ImageUsage
	if u, known := d.imageUsage(s); known {
		image = u
	}
	m.DiskStat = api.DiskStat{ExclusiveBytesUsed: own.Bytes, ExclusiveInodesUsed: own.Inodes,
		TotalBytesUsed: own.Bytes + image.Bytes, TotalInodesUsed: own.Inodes + image.Inodes}
	return m, nil
}

// used is what the container's own files take, those of its processes with a root of their own too.
func (d *Depot) used(s State) (disk.Usage, error) {
	if s.Limits.Disk.ByteHard != 0 {
		return disk.Used(d.diskDir(s.ID))
	}
	sum, err := disk.Walk(d.upper(s))
	for _, p := range sidecar.List(s.ID, d.sidecars(s.ID)) {
		if u, err := disk.Walk(filepath.Join(p.Own, "upper")); err == nil && p.Own != "" {
			sum.Bytes, sum.Inodes = sum.Bytes+u.Bytes, sum.Inodes+u.Inodes
		}
	}
	return sum, err
}

// imageUsage is what the image takes, which is added up once for each layer.
func (d *Depot) imageUsage(s State) (disk.Usage, bool) {
	if s.Image == "" {
		return disk.Usage{}, false
	}
	u, ok, err := d.store.Lookup(s.Image)
	if err != nil || !ok {
		return disk.Usage{}, false
	}
	return d.usage(base{layers: u.Layers, image: s.Image}), true
}

// Limits returns those in force.
func (d *Depot) Limits(handle string) (api.Limits, error) {
	c, err := d.find(handle)
	if err != nil {
		return api.Limits{}, err
	}
	return c.get().Limits, nil
}

// SetCPU changes the container's share.
func (d *Depot) SetCPU(ctx context.Context, handle string, l api.CPULimits) error {
	return d.change(ctx, handle, api.Limits{CPU: l}, func(all *api.Limits) { all.CPU = l })
}

// SetMemory changes the memory limit.
func (d *Depot) SetMemory(ctx context.Context, handle string, l api.MemoryLimits) error {
	return d.change(ctx, handle, api.Limits{Memory: l}, func(all *api.Limits) { all.Memory = l })
}

func (d *Depot) change(ctx context.Context, handle string, l api.Limits, note func(*api.Limits)) error {
	c, err := d.find(handle)
	if err != nil {
		return err
	}
	r, err := cgroup.Resources(l)
	if err != nil {
		return err
	}
	if r.Memory == nil && r.CPU == nil {
		return fmt.Errorf("a limit cannot be taken away again: give a value other than 0")
	}
	c.op.RLock()
	defer c.op.RUnlock()
	return d.carryOut(c, func(s *State) error { note(&s.Limits); return nil }, func(s State) error {
		return d.runc.Update(ctx, s.ID, &specs.LinuxResources{Memory: r.Memory, CPU: r.CPU})
	})
}

// SetDisk raises a disk limit.
func (d *Depot) SetDisk(_ context.Context, handle string, l api.DiskLimits) error {
	c, err := d.find(handle)
	if err != nil {
		return err
	}
	c.op.RLock()
	defer c.op.RUnlock()
	var size uint64
	return d.carryOut(c, func(s *State) error {
		old := s.Limits.Disk
		switch {
		case old.ByteHard == 0:
			return fmt.Errorf("the container was created without a disk limit and cannot get one now (hint: limits.disk_limits of the container spec)")
		case l.ByteHard == 0:
			return fmt.Errorf("a disk limit cannot be taken away again: give byte_hard")
		case l.Scope != old.Scope || l.InodeHard != 0 && l.InodeHard != old.InodeHard:
			return fmt.Errorf("scope and inode_hard cannot be changed")
		case old.InodeHard != 0:
			return fmt.Errorf("a disk limit cannot be changed where there is a limit of inodes: the file system would get more of them")
		}
		size = l.ByteHard
		if l.Scope == api.DiskScopeTotal {
			size -= min(size, s.ImageUsage.Bytes)
		}
		l.InodeHard, l.InodeSoft = old.InodeHard, old.InodeSoft
		s.Limits.Disk = l
		return nil
	}, func(s State) error { return disk.Grow(d.diskImage(s.ID), d.diskDir(s.ID), size) })
}

// NetIn maps a port.
func (d *Depot) NetIn(_ context.Context, handle string, want api.NetIn) (api.NetIn, error) {
	c, err := d.find(handle)
	if err != nil {
		return api.NetIn{}, err
	}
	m, err := d.mapPort(want)
	if err != nil {
		return api.NetIn{}, err
	}
	c.op.RLock()
	defer c.op.RUnlock()
	err = d.carryOut(c, func(s *State) error {
		s.Ports = append(slices.Clone(s.Ports), m)
		return nil
	}, d.setFilter)
	if err != nil {
		d.ports.Release(m.HostPort)
		return api.NetIn{}, err
	}
	return api.NetIn(m), nil
}

// NetOut allows outbound traffic.
func (d *Depot) NetOut(_ context.Context, handle string, rules []api.NetOutRule) error {
	c, err := d.find(handle)
	if err != nil {
		return err
	}
	c.op.RLock()
	defer c.op.RUnlock()
	return d.carryOut(c, func(s *State) error {
		s.NetOut = append(slices.Clone(s.NetOut), rules...)
		return nil
	}, d.setFilter)
}

func (d *Depot) setFilter(s State) error { return d.filter.Set(s.endpoint()) }

// GraceTime is that of the container.
func (d *Depot) GraceTime(handle string) (time.Duration, error) {
	c, err := d.find(handle)
	if err != nil {
		return 0, err
	}
	return c.get().GraceTime, nil
}

// SetGraceTime changes it.
func (d *Depot) SetGraceTime(handle string, grace time.Duration) error {
	return d.edit(handle, func(s *State) error { s.GraceTime = grace; return nil })
}

// Properties returns them all.
func (d *Depot) Properties(handle string) (map[string]string, error) {
	c, err := d.find(handle)
	if err != nil {
		return nil, err
	}
	return c.get().Properties, nil
}

// Property returns one, which must be there.
func (d *Depot) Property(handle, key string) (string, error) {
	all, err := d.Properties(handle)
	if err != nil {
		return "", err
	}
	value, ok := all[key]
	if !ok {
		return "", fmt.Errorf("property does not exist: %s", key)
	}
	return value, nil
}

// SetProperty sets one.
func (d *Depot) SetProperty(handle, key, value string) error {
	return d.edit(handle, func(s *State) error {
		next := maps.Clone(s.Properties)
		if next == nil {
			next = map[string]string{}
		}
		next[key] = value
		s.Properties = next
		return nil
	})
}

// RemoveProperty removes one, which must be there.
func (d *Depot) RemoveProperty(handle, key string) error {
	return d.edit(handle, func(s *State) error {
		if _, ok := s.Properties[key]; !ok {
			return fmt.Errorf("property does not exist: %s", key)
		}
		s.Properties = maps.Clone(s.Properties)
		delete(s.Properties, key)
		return nil
	})
}

func (d *Depot) edit(handle string, change func(*State) error) error {
	c, err := d.find(handle)
	if err != nil {
		return err
	}
	return d.update(c, change)
}
