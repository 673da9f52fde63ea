package shim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"photonbuild.invalid/compat/internal/gdn/cgroup"
)

// restTime is how long what a sidecar left behind has to die.
const restTime = 5 * time.Second

// release lets a created sidecar's process run. One without limits of its own first goes into
// the container's cgroup, the limits of which hold for it as for the container's other processes.
func (k *keeper) release() error {
	var err error
	if k.mounts, err = os.Open(fmt.Sprintf("/proc/%d/ns/mnt", k.pid)); err != nil {
		return fmt.Errorf("the process's mounts: %w", err)
	}
	if dir := k.c.Sidecar.Cgroup; dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(k.pid)), 0); err != nil {
			return fmt.Errorf("put the process into the container's cgroup: %w", err)
		}
	}
	return k.runc().Start(context.Background(), k.c.Sidecar.ID)
}

// endRest kills what a sidecar's process left behind in its root file system, which is about to
// go. The open file keeps the namespace's number from being another's.
func (k *keeper) endRest() {
	if k.mounts == nil {
		return
	}
	defer k.mounts.Close()
	own, err := k.mounts.Stat()
	if err != nil {
		return
	}
	group := k.c.Sidecar.Group()
	for end := time.Now().Add(restTime); time.Now().Before(end) && killIn(group, own) > 0; {
		time.Sleep(10 * time.Millisecond)
	}
}

// killIn kills the processes of a cgroup that are in a mount namespace and counts them.
func killIn(group cgroup.Group, namespace os.FileInfo) int {
	pids, err := group.Processes()
	if err != nil {
		return 0
	}
	n := 0
	for _, pid := range pids {
		st, err := os.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid)) // none for a zombie
		if err == nil && os.SameFile(st, namespace) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}

// clean takes a sidecar away when its process has ended. What it cannot take away the server
// does, with the container at the latest.
func (k *keeper) clean() {
	if k.c.Sidecar == nil {
		return
	}
	if err := k.c.Sidecar.Clean(context.Background(), k.runc()); err != nil {
		fmt.Fprintf(os.Stderr, "gdn shim: process %s: %v\n", k.c.ProcessID, err)
	}
}
