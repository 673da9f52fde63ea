package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/appc/spec/schema"
)

// specVersion is the App Container specification's that is followed.
const specVersion = "0.8.11"

// Version is this program's own; the build sets it.
var Version = "unknown"

// newVersion is "rkt version".
func newVersion(g *Global) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of rkt and of the specification",
		Args:  cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintf(c.OutOrStdout(), "rkt-compat %s: an independent implementation of the App Container specification %s\n"+
				"with the command line that rkt documents; it is not upstream rkt\n"+
				"appc Version: %s\nGo Version: %s\nGo OS/Arch: %s/%s\n",
				Version, specVersion, schema.AppContainerVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
