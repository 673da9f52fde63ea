package depot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"photonbuild.invalid/compat/internal/gdn/disk"
	"photonbuild.invalid/compat/internal/gdn/network"
	"photonbuild.invalid/compat/internal/gdn/proc"
	"photonbuild.invalid/compat/internal/gdn/shim"
	"photonbuild.invalid/compat/internal/gdn/sidecar"
	"photonbuild.invalid/compat/internal/kit/overlay"
)

// teardown takes away whatever a container has, as far as it has it. It can be repeated. The
// addresses are given back at the very end, when nothing can use them any more.
func (d *Depot) teardown(ctx context.Context, s State) error {
	var errs []error
	if err := s.group().Kill(20 * time.Second); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, d.forgetSidecars(ctx, s.ID))
	var wg sync.WaitGroup
	var netErr error
	wg.Go(func() {
		netErr = errors.Join(network.Disconnect(s.ID), d.filter.Remove(s.ID))
	})
	if _, err := os.Stat(filepath.Join(d.c.runcRoot(), s.ID)); err == nil {
		errs = append(errs, d.runc.Delete(ctx, s.ID, true))
	}
	wg.Wait()
	d.endShims(s.ID)
	errs = append(errs, netErr, d.unmount(s.ID))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.RemoveAll(d.dir(s.ID)); err != nil {
		return err
	}
	if s.Lease.IP.IsValid() {
		d.pool.Release(s.Lease)
	}
	for _, m := range s.Ports {
		d.ports.Release(m.HostPort)
	}
	return nil
}

// endShims gives the shims of a container whose processes are dead a moment to tell their
// clients, and then ends them.
func (d *Depot) endShims(id string) {
	records := func() []shim.Record {
		var out []shim.Record
		dirs, _ := filepath.Glob(filepath.Join(d.processes(id), "*"))
		for _, dir := range dirs {
			if r, _, _, err := shim.Read(dir); err == nil && r.ShimAlive() {
				out = append(out, r)
			}
		}
		return out
	}
	d.mu.Lock()
	attached := d.attached[id] > 0
	d.mu.Unlock()
	for end := time.Now().Add(time.Second); attached && time.Now().Before(end) && len(records()) > 0; {
		time.Sleep(10 * time.Millisecond)
	}
	for _, r := range records() {
		_ = proc.Kill(r.ShimPID, r.ShimStart, syscall.SIGKILL)
	}
	dirs, _ := filepath.Glob(filepath.Join(d.processes(id), "*"))
	for _, dir := range dirs { // those of shims that somebody killed, too
		if r, _, _, err := shim.Read(dir); err == nil && filepath.Dir(r.Socket) == d.c.sockets() {
			_ = os.Remove(r.Socket)
		}
	}
}

// unmount takes away all mounts below a container's directory, the last first.
func (d *Depot) unmount(id string) error {
	var errs []error
	for _, target := range d.mountsBelow(d.dir(id)) {
		errs = append(errs, overlay.Unmount(target))
	}
	return errors.Join(errs...)
}

// mountsBelow lists mount points, the latest first.
func (d *Depot) mountsBelow(dir string) []string {
	var out []string
	for _, m := range disk.Mounts() {
		if strings.HasPrefix(m.Target, dir+"/") {
			out = append(out, m.Target)
		}
	}
	slices.Reverse(out)
	return out
}

// recover finds the containers again and removes what is left of others: those of an earlier
// boot, those half made, and whatever has no state.
func (d *Depot) recover() error {
	entries, err := os.ReadDir(d.c.Depot)
	if err != nil {
		return err
	}
	var endpoints []network.Endpoint
	var gone []State
	for _, e := range entries {
		if !isID(e.Name()) {
			continue
		}
		s, err := load(d.stateFile(e.Name()))
		if err != nil || s.ID != e.Name() || s.Boot != d.boot || s.Status == creating || d.containers[s.Handle] != nil {
			gone = append(gone, State{ID: e.Name(), InitPID: s.InitPID, InitStart: s.InitStart})
			d.log.Warn("removing a container that is gone", "id", e.Name(), "handle", s.Handle, "status", s.Status, "reason", err)
			continue
		}
		d.adopt(s)
		endpoints = append(endpoints, s.endpoint())
	}
	if err := d.filter.Start(endpoints); err != nil {
		return err
	}
	var errs []error
	for _, s := range gone {
		if err := d.teardown(context.Background(), s); err != nil {
			errs = append(errs, fmt.Errorf("clean up %s: %w", s.ID, err))
		}
	}
	errs = append(errs, d.sweep()...)
	for _, err := range errs {
		d.log.Error("cannot clean up", "error", err)
	}
	return nil
}

// adopt takes over a container that an earlier server made.
func (d *Depot) adopt(s State) {
	if s.Status == active && !s.alive() {
		s.Status = stopped
		d.log.Warn("the first process of a container is gone", "handle", s.Handle, "id", s.ID)
	}
	d.pool.Claim(s.Lease)
	for _, m := range s.Ports {
		_ = d.ports.Take(m.HostPort)
	}
	over := make(chan struct{})
	close(over)
	d.containers[s.Handle] = &container{over: over, state: s, ready: true}
	dirs, _ := filepath.Glob(filepath.Join(d.processes(s.ID), "*"))
	for _, dir := range dirs { // a process that was being started has no record
		if _, _, _, err := shim.Read(dir); err != nil {
			_ = os.RemoveAll(dir)
		}
	}
	d.dropStale(s)
	d.log.Info("container found again", "handle", s.Handle, "id", s.ID, "status", s.Status)
}

// sweep removes what belongs to no container: cgroups, runc's state, links, mounts.
func (d *Depot) sweep() []error {
	known := map[string]bool{}
	links := map[string]bool{}
	for _, c := range d.containers {
		known[c.state.ID] = true
		links[network.Link(c.state.ID)] = true
	}
	var errs []error
	for _, id := range d.leftovers() {
		if !known[id] {
			d.log.Warn("removing what is left of a container", "id", id)
			errs = append(errs, d.teardown(context.Background(), State{ID: id}))
		}
	}
	errs = append(errs, network.Stale(func(link string) bool { return links[link] }))
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// leftovers lists the ids that scopes, runc's state and mounts name.
func (d *Depot) leftovers() []string {
	var ids []string
	add := func(id string) {
		id = sidecar.Container(id)
		if isID(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	scopes, _ := filepath.Glob("/sys/fs/cgroup/gdn.slice/gdn-*.scope")
	for _, s := range scopes {
		add(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(s), "gdn-"), ".scope"))
	}
	states, _ := os.ReadDir(d.c.runcRoot())
	for _, s := range states {
		add(s.Name())
	}
	for _, m := range d.mountsBelow(d.c.Depot) {
		id, _, _ := strings.Cut(strings.TrimPrefix(m, d.c.Depot+"/"), "/")
		add(id)
	}
	return ids
}
