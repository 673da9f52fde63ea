package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/rkt/metadata"
	"photonbuild.invalid/compat/internal/rkt/pod"
)

// cleanup undoes what a pod has outside of its directory: networks, its
// registration, its folder in /run. Processes, mounts and cgroups are systemd's.
// It may be called again, and while the pod's service is ending.
// The network namespace, when it is still there, is given by its path.
func cleanup(p *pod.Pod, netns string) error {
	dir, err := os.Open(RuntimeDir(p.UUID))
	if errors.Is(err, os.ErrNotExist) {
		return nil // or the machine was started anew: whatever state its files are in, it has nothing
	}
	if err != nil {
		return fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	defer dir.Close()
	var o Options
	if err := p.Options(&o); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// systemd's clean-up after a killed pod and rkt rm may meet.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("pod %s: lock: %w", p.UUID, err)
	}
	var failed error
	if o.Register {
		failed = metadata.Unregister(metadata.Socket, p.UUID)
	}
	n := networkPod(p, o)
	n.NetNS = netns
	if err := n.Remove(context.Background()); err != nil {
		return errors.Join(failed, err) // what is needed to try again stays
	}
	if err := os.RemoveAll(RuntimeDir(p.UUID)); err != nil {
		failed = errors.Join(failed, fmt.Errorf("pod %s: %w", p.UUID, err))
	}
	return failed
}

// Cleanup is cleanup for a pod that does not run any more, by whoever ended it.
func Cleanup(p *pod.Pod) error { return cleanup(p, "") }
