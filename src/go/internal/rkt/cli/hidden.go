package cli

import (
	"os"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/stage1"
)

// newStage1 is the main process of a pod's service.
func newStage1(g *Global) *cobra.Command {
	return &cobra.Command{
		Use:    "stage1 UUID",
		Short:  "Supervise a pod; started by rkt run through systemd",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(_ *cobra.Command, args []string) error { return stage1.Supervise(g.Dir, args[0]) },
	}
}

// newStage1Cleanup is what systemd runs when a pod's service has ended, in whatever way.
func newStage1Cleanup(g *Global) *cobra.Command {
	return &cobra.Command{
		Use:    "stage1-cleanup UUID",
		Short:  "Undo what a pod left; started by systemd",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := os.Stat(stage1.RuntimeDir(args[0])); os.IsNotExist(err) {
				return nil
			}
			p, err := pod.Open(g.Dir).Get(args[0])
			if err != nil {
				return err
			}
			return stage1.Cleanup(p)
		},
	}
}
