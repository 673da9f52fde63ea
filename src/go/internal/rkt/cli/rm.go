package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/stage1"
)

// newRm is "rkt rm" (Documentation/subcommands/rm.md).
func newRm(g *Global) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:               "rm [--uuid-file=FILE] UUID...",
		Short:             "Remove all files and resources associated with exited pods",
		ValidArgsFunction: completeUUID(g),
		RunE: func(c *cobra.Command, args []string) error {
			ids, err := uuids(args, file)
			if err != nil {
				return err
			}
			var failed error
			for _, id := range ids {
				uuid, err := g.removePod(id)
				if err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				fmt.Fprintf(c.OutOrStdout(), "%q\n", uuid)
			}
			return failed
		},
	}
	c.Flags().StringVar(&file, "uuid-file", "", "read the pod UUID from a file")
	return c
}

func (g *Global) removePod(id string) (string, error) {
	p, err := g.pod(id)
	if err != nil {
		return "", err
	}
	free, err := p.TryLock()
	if err != nil {
		return "", err
	}
	if !free {
		return "", Errorf("pod %s is in use", p.UUID).Hint("rkt stop %s", p.UUID)
	}
	defer p.Unlock()
	switch p.Phase {
	case pod.Run:
		err = p.Move(pod.ExitedGarbage)
	case pod.Embryo, pod.Prepare, pod.Prepared:
		err = p.Move(pod.Garbage)
	}
	if err == nil {
		err = g.cleanPod(p)
	}
	if err == nil {
		err = p.Delete()
	}
	return p.UUID, err
}

// cleanPod undoes what a pod has outside of its directory.
func (g *Global) cleanPod(p *pod.Pod) error {
	s, err := g.imageStore()
	if err != nil {
		return err
	}
	return errors.Join(stage1.Cleanup(p), s.Release(p.UUID))
}

// newGC is "rkt gc" (Documentation/subcommands/gc.md).
func newGC(g *Global) *cobra.Command {
	var grace, expire time.Duration
	var markOnly bool
	c := &cobra.Command{
		Use:   "gc [--grace-period=DURATION] [--expire-prepared=DURATION] [--mark-only]",
		Short: "Garbage collect pods that do not run any more",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dataDir()
			if err != nil {
				return err
			}
			pods := pod.Open(dir)
			err = pods.Mark(expire, func(p *pod.Pod) { fmt.Fprintf(c.ErrOrStderr(), "Moving pod %q to garbage\n", p.UUID) })
			if err != nil || markOnly {
				return err
			}
			return pods.Sweep(grace, func(p *pod.Pod) error {
				fmt.Fprintf(c.ErrOrStderr(), "Garbage collecting pod %q\n", p.UUID)
				return g.cleanPod(p)
			})
		},
	}
	c.Flags().DurationVar(&grace, "grace-period", 30*time.Minute, "duration to wait before discarding inactive pods from garbage")
	c.Flags().DurationVar(&expire, "expire-prepared", 24*time.Hour, "duration to wait before expiring prepared pods")
	c.Flags().BoolVar(&markOnly, "mark-only", false, "move pods to the garbage, delete nothing")
	return c
}
