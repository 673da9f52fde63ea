package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/stage1"
)

// newRun is "rkt run" (Documentation/subcommands/run.md).
func newRun(g *Global) *cobra.Command {
	p := &podFlags{}
	c := podCommand(g, p, "run", "Run images in a pod")
	p.bindRuntime(c.Flags())
	c.Flags().StringVar(&p.uuidFile, "uuid-file-save", "", "write out the pod UUID to a file")
	c.RunE = p.parsed(func(c *cobra.Command) error {
		var o stage1.Options
		if err := p.apply(g, &o); err != nil {
			return err
		}
		made, err := g.preparePod(c.Context(), p, o)
		if err != nil {
			return err
		}
		if p.uuidFile != "" {
			if err := os.WriteFile(p.uuidFile, []byte(made.UUID+"\n"), 0o644); err != nil {
				return fmt.Errorf("uuid file: %w", err)
			}
		}
		return g.runPod(c, made)
	})
	return c
}

// newRunPrepared is "rkt run-prepared" (Documentation/subcommands/run-prepared.md).
func newRunPrepared(g *Global) *cobra.Command {
	r := &runtimeFlags{}
	c := &cobra.Command{
		Use:               "run-prepared UUID",
		Short:             "Run a prepared pod",
		Args:              needArgs(1, "the UUID of a prepared pod is needed"),
		ValidArgsFunction: completeUUID(g),
	}
	r.bindRuntime(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := g.pod(args[0])
		if err != nil {
			return err
		}
		if p.Phase != pod.Prepared {
			return Errorf("pod %s is not prepared, it is in the phase %s", p.UUID, p.Phase)
		}
		free, err := p.TryLock()
		if err != nil {
			return err
		}
		if !free {
			return Errorf("pod %s is being started by another process", p.UUID)
		}
		var o stage1.Options
		if err := p.Options(&o); err != nil {
			return err
		}
		m, err := p.Manifest()
		if err != nil {
			return err
		}
		if r.interactive && len(m.Apps) > 1 {
			return Errorf("--interactive goes with a pod of one app only")
		}
		if err := r.apply(g, &o); err != nil {
			return err
		}
		if err := p.SetOptions(o); err != nil {
			return err
		}
		return g.runPod(c, p)
	}
	return c
}

// runPod runs a locked pod to its end. Its status becomes this program's.
func (g *Global) runPod(c *cobra.Command, p *pod.Pod) error {
	dir, err := g.dataDir()
	if err != nil {
		return err
	}
	m, err := p.Manifest()
	if err != nil {
		return err
	}
	if err := p.Move(pod.Run); err != nil {
		return err
	}
	g.Debugf("pod %s runs as %s", p.UUID, stage1.UnitName(p.UUID))
	status, err := stage1.Launch(c.Context(), p, dir, stage1.PodLimits(m))
	if err != nil {
		return err
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

// pod finds a pod by what the user gave.
func (g *Global) pod(id string) (*pod.Pod, error) {
	dir, err := g.dataDir()
	if err != nil {
		return nil, err
	}
	p, err := pod.Open(dir).Get(id)
	if err != nil {
		return nil, Errorf("%w", err).Hint("rkt list shows the pods")
	}
	return p, nil
}

// completeUUID completes pods.
func completeUUID(g *Global) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var list []string
		if dir, err := g.dataDir(); err == nil {
			pods, _ := pod.Open(dir).List()
			for _, p := range pods {
				list = append(list, p.UUID)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}
