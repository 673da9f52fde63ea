package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

// newCatManifest is "rkt cat-manifest" (Documentation/subcommands/cat-manifest.md).
func newCatManifest(g *Global) *cobra.Command {
	var pretty bool
	c := &cobra.Command{
		Use:               "cat-manifest UUID",
		Short:             "Inspect and print the pod manifest",
		Args:              needArgs(1, "the UUID of a pod is needed"),
		ValidArgsFunction: completeUUID(g),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := g.pod(args[0])
			if err != nil {
				return err
			}
			m, err := p.Manifest()
			if err != nil {
				return err
			}
			data, err := json.Marshal(m)
			if pretty {
				data, err = json.MarshalIndent(m, "", "\t")
			}
			if err == nil {
				_, err = fmt.Fprintln(c.OutOrStdout(), string(data))
			}
			return err
		},
	}
	c.Flags().BoolVar(&pretty, "pretty-print", true, "apply indent to format the output")
	return c
}
