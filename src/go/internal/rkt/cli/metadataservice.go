package cli

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/metadata"
)

// newMetadataService is "rkt metadata-service" (Documentation/subcommands/metadata-service.md).
func newMetadataService(g *Global) *cobra.Command {
	var socket string
	c := &cobra.Command{
		Use:   "metadata-service",
		Short: "Run the metadata service",
		Long: "The service listens on a unix socket only, handed over by systemd or made. Pods that were\n" +
			"started with --mds-register reach it through their own loopback interface.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			server, err := metadata.NewServer(metadata.StateDir)
			if err != nil {
				return err
			}
			l, err := metadata.Listen(socket)
			if err != nil {
				return err
			}
			g.Debugf("metadata service on %s", l.Addr())
			return metadata.Serve(ctx, l, server)
		},
	}
	c.Flags().StringVar(&socket, "socket", metadata.Socket, "unix socket to make when systemd hands none over")
	c.Flags().Var(refusedFlag{"listen-port", "int", "it would open a port of the machine; pods need none"}, "listen-port", "not implemented")
	c.Flags().Lookup("listen-port").Hidden = true
	return c
}
