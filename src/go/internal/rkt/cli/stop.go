package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/stage1"
)

// stopWithin is how long rkt stop waits for a pod's end; systemd kills it before.
const stopWithin = 2 * time.Minute

// uuids are the arguments and what --uuid-file names.
func uuids(args []string, file string) ([]string, error) {
	if file != "" {
		id, err := pod.ReadUUID(file)
		if err != nil {
			return nil, err
		}
		args = append(args, id)
	}
	if len(args) == 0 {
		return nil, Errorf("the UUID of a pod is needed").Hint("rkt list shows the pods")
	}
	return args, nil
}

// newStop is "rkt stop" (Documentation/subcommands/stop.md).
func newStop(g *Global) *cobra.Command {
	var force bool
	var file string
	c := &cobra.Command{
		Use:               "stop [--force] [--uuid-file=FILE] UUID...",
		Short:             "Stop pods",
		ValidArgsFunction: completeUUID(g),
		RunE: func(c *cobra.Command, args []string) error {
			ids, err := uuids(args, file)
			if err != nil {
				return err
			}
			var failed error
			for _, id := range ids {
				uuid, err := g.stopPod(c, id, force)
				if err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				fmt.Fprintf(c.OutOrStdout(), "%q\n", uuid)
			}
			return failed
		},
	}
	c.Flags().BoolVar(&force, "force", false, "kill the pod at once")
	c.Flags().StringVar(&file, "uuid-file", "", "read the pod UUID from a file")
	return c
}

func (g *Global) stopPod(c *cobra.Command, id string, force bool) (string, error) {
	p, err := g.pod(id)
	if err != nil {
		return "", err
	}
	state, err := p.State()
	if err != nil {
		return "", err
	}
	if state != pod.StateRunning {
		return "", Errorf("pod %s is not running, it is %s", p.UUID, state)
	}
	if err := stage1.Stop(c.Context(), p.UUID, force); err != nil {
		return "", err
	}
	ended, err := p.Wait(time.Now().Add(stopWithin))
	if err == nil && !ended {
		err = Errorf("pod %s has not stopped within %s", p.UUID, stopWithin).Hint("rkt stop --force %s", p.UUID)
	}
	return p.UUID, err
}
