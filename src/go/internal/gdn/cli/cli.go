// Package cli is gdn's command line. Flags are named as Guardian documents them, where it has
// them.
package cli

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/gdn/depot"
)

// Version is set when the program is linked.
var Version = "unknown"

const about = "gdn %s\nan independent implementation of Cloud Foundry Garden's HTTP API over runc, " +
	"written from the public API documentation; it is not the upstream program\n"

// Command is the whole program.
func Command() *cobra.Command {
	root := &cobra.Command{
		Use:           "gdn",
		Short:         "containers by Garden's HTTP API, over runc",
		Long:          "gdn is an independent implementation of Cloud Foundry Garden's HTTP API over runc.\nSee gdn(8) and the coverage page for what it does and does not do.",
		Version:       Version,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate(fmt.Sprintf(about, Version))
	root.AddCommand(serverCommand(), &cobra.Command{
		Use: "version", Short: "print the version and what this program is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), about, Version)
			return err
		},
	})
	return root
}

// options are the flags of `gdn server` as they are typed.
type options struct {
	depot                      depot.Config
	socket, ip, debugIP, level string
	port, debugPort            uint16
	pool                       string
	deny, dns, moreDNS         []string
	grace                      time.Duration
	destroyContainersOnStartup bool
}

func serverCommand() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use: "server", Short: "serve the Garden API", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.parse(); err != nil {
				return err
			}
			return serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	c := &o.depot
	f.StringVar(&o.socket, "bind-socket", "/run/gdn/gdn.sock", "unix socket to listen on (root only, mode 0660)")
	f.StringVar(&o.ip, "bind-ip", "", "listen on this address as well as on the socket; the API has NO authentication")
	f.Uint16Var(&o.port, "bind-port", 7777, "port to listen on with --bind-ip")
	f.StringVar(&o.debugIP, "debug-bind-ip", "", "serve what expvar knows of this server at /debug/vars on this address")
	f.Uint16Var(&o.debugPort, "debug-bind-port", 17013, "port to listen on with --debug-bind-ip")
	f.StringVar(&o.level, "log-level", "info", "debug, info, warn or error")

	f.StringVar(&c.Depot, "depot", "/var/lib/gdn/depot", "directory of the containers")
	f.StringVar(&c.Graph, "graph", "/var/lib/gdn/graph", "directory of the unpacked images")
	f.StringVar(&c.Run, "run", "/run/gdn", "directory for what does not outlive a boot")
	f.Int64Var(&c.GraphThreshold, "graph-cleanup-threshold-in-megabytes", -1, "remove unused images when the unpacked ones take more than this; -1: never")
	f.StringVar(&c.DefaultRootFS, "default-rootfs", "", "root file system of containers that name none")
	f.DurationVar(&o.grace, "default-grace-time", 0, "how long a container lives without a client; 0: for ever")
	f.BoolVar(&o.destroyContainersOnStartup, "destroy-containers-on-startup", false, "destroy the containers that an earlier server made")
	f.Uint64Var(&c.MaxContainers, "max-containers", 0, "most containers; 0: as many as the network pool has subnets")
	f.Uint32Var(&c.UIDStart, "uid-map-start", 0x7f000000, "first id on the host of those that containers are mapped to")
	f.Uint32Var(&c.UIDSize, "uid-map-length", 65536, "number of ids that containers are mapped to")

	f.StringVar(&c.Registry, "docker-registry", "", "registry of docker:///name; default: Docker Hub")
	f.StringSliceVar(&c.InsecureRegistries, "insecure-docker-registry", nil, "registry that may be reached by plain http; can be repeated")

	f.StringVar(&o.pool, "network-pool", "10.254.0.0/22", "range of the containers' subnets, a /30 each")
	f.BoolVar(&c.AllowHostAccess, "allow-host-access", false, "let containers reach the host itself")
	f.StringSliceVar(&o.deny, "deny-network", nil, "network that containers may not reach; can be repeated")
	f.StringSliceVar(&o.dns, "dns-server", nil, "name server for the containers instead of the host's; can be repeated")
	f.StringSliceVar(&o.moreDNS, "additional-dns-server", nil, "name server for the containers besides those; can be repeated")
	f.StringArrayVar(&c.HostEntries, "additional-host-entry", nil, "line for the containers' /etc/hosts; can be repeated")
	f.StringVar(&c.ExternalIP, "external-ip", "", "address by which mapped ports are reached; default: found out")
	f.Uint32Var(&c.PortStart, "port-pool-start", 61001, "first port for mapped ports that name none")
	f.Uint32Var(&c.Ports, "port-pool-size", 4534, "number of such ports")
	f.IntVar(&c.MTU, "mtu", 0, "MTU of the containers' network; 0: the kernel's default")
	f.StringVar(&c.IPTables, "iptables-bin", "/usr/sbin/iptables", "path of iptables; iptables-restore lies beside it")
	return cmd
}

// parse checks what needs no look at the machine.
func (o *options) parse() error {
	var err error
	c := &o.depot
	if c.NetworkPool, err = netip.ParsePrefix(o.pool); err != nil {
		return fmt.Errorf("--network-pool: %w", err)
	}
	if c.DenyNetworks, err = prefixes("--deny-network", o.deny); err != nil {
		return err
	}
	if c.DNS, err = addresses("--dns-server", o.dns); err != nil {
		return err
	}
	if c.MoreDNS, err = addresses("--additional-dns-server", o.moreDNS); err != nil {
		return err
	}
	for _, a := range []struct{ flag, value string }{{"--bind-ip", o.ip}, {"--debug-bind-ip", o.debugIP}, {"--external-ip", c.ExternalIP}} {
		if _, err := netip.ParseAddr(a.value); a.value != "" && err != nil {
			return fmt.Errorf("%s: %w", a.flag, err)
		}
	}
	if o.grace < 0 {
		return fmt.Errorf("--default-grace-time %s must not be negative", o.grace)
	}
	c.DefaultGraceTime = o.grace
	c.Program, err = os.Executable()
	return err
}

// prefixes reads networks; an address alone is a network of one.
func prefixes(flag string, list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("%s: %w", flag, err)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if !p.Addr().Is4() {
			return nil, fmt.Errorf("%s: %s is not IPv4", flag, s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func addresses(flag string, list []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		out = append(out, a)
	}
	return out, nil
}
