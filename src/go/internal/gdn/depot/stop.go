package depot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/cgroup"
)

// stopGrace is how long processes have to obey SIGTERM.
const stopGrace = 10 * time.Second

// Stop ends all processes of a container but its first one, which keeps its mounts and network
// for files to be streamed.
func (d *Depot) Stop(ctx context.Context, handle string, kill bool) error {
	c, err := d.find(handle)
	if err != nil {
		return err
	}
	c.starts.interrupt()
	c.op.Lock()
	defer c.op.Unlock()
	if err := d.update(c, func(s *State) error { s.Status = stopped; return nil }); err != nil {
		return err
	}
	s := c.get()
	if !s.group().Exists() {
		return nil
	}
	if !kill {
		if done, err := d.signal(ctx, s, syscall.SIGTERM, stopGrace); done || err != nil {
			d.dropStale(s)
			return err
		}
	}
	done, err := d.signal(ctx, s, syscall.SIGKILL, stopGrace)
	d.dropStale(s)
	if err == nil && !done {
		err = fmt.Errorf("stop container %s: processes are still there after SIGKILL", handle)
	}
	return err
}

// signal sends sig to all processes, those that appear meanwhile too, until none is left or the
// time is over. Each process gets SIGTERM once only.
func (d *Depot) signal(ctx context.Context, s State, sig syscall.Signal, limit time.Duration) (done bool, err error) {
	var told []int
	for end := time.Now().Add(limit); ; {
		pids, err := processes(s)
		if err != nil {
			return false, fmt.Errorf("list the processes of container %s: %w", s.Handle, err)
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == s.InitPID })
		if len(pids) == 0 {
			return true, nil
		}
		for _, pid := range pids {
			if sig == syscall.SIGKILL || !slices.Contains(told, pid) {
				if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
					return false, fmt.Errorf("signal process %d: %w", pid, err)
				}
				told = append(told, pid)
			}
		}
		if time.Now().After(end) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// processes lists those of a container, those with a cgroup of their own too.
func processes(s State) ([]int, error) {
	pids, err := s.group().Processes()
	for _, id := range cgroup.Sidecars(s.ID) {
		more, merr := cgroup.Of(id).Processes()
		pids, err = append(pids, more...), errors.Join(err, merr)
	}
	return pids, err
}

// Info tells about a container.
func (d *Depot) Info(handle string) (api.ContainerInfo, error) {
	c, err := d.find(handle)
	if err != nil {
		return api.ContainerInfo{}, err
	}
	s := c.get()
	info := api.ContainerInfo{State: api.StateActive, Events: []string{}, HostIP: s.Lease.Gateway.String(), ContainerIP: s.Lease.IP.String(),
		ExternalIP: d.c.ExternalIP, ContainerPath: d.dir(s.ID), ProcessIDs: d.running(s.ID), Properties: s.Properties, MappedPorts: s.Ports}
	if s.Status == stopped || !s.alive() {
		info.State = api.StateStopped
	}
	if s.group().OOMKilled() {
		info.Events = append(info.Events, "oom")
	}
	if info.Properties == nil {
		info.Properties = map[string]string{}
	}
	if info.MappedPorts == nil {
		info.MappedPorts = []api.PortMapping{}
	}
	return info, nil
}
