package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"photonbuild.invalid/compat/internal/rkt/network"
	"photonbuild.invalid/compat/internal/rkt/stage1"
)

// runtimeFlags are the options that say how a pod runs: those of run and run-prepared.
type runtimeFlags struct {
	net         []string
	dns         stage1.DNS
	hosts       []string
	hostname    string
	ipc         string
	interactive bool
	register    bool
}

func (r *runtimeFlags) bindRuntime(f *pflag.FlagSet) {
	f.Var(funcValue{"NAME[:ARGS],...", func(v string) error { r.net = append(r.net, v); return nil }}, "net", "configure the pod's networking: none, host, default or configured networks")
	f.Lookup("net").NoOptDefVal = network.Default
	f.Var(funcValue{"IP", r.addDNS}, "dns", "name server to write in /etc/resolv.conf; host: the host's file; none: the image's")
	f.Var(funcValue{"DOMAIN", func(v string) error { r.dns.Search = append(r.dns.Search, v); return oneWord(v) }}, "dns-search", "DNS search domain to write in /etc/resolv.conf")
	f.Var(funcValue{"OPTION", func(v string) error { r.dns.Options = append(r.dns.Options, v); return oneWord(v) }}, "dns-opt", "DNS option to write in /etc/resolv.conf")
	f.Var(funcValue{"DOMAIN", func(v string) error { r.dns.Domain = v; return oneWord(v) }}, "dns-domain", "DNS domain to write in /etc/resolv.conf")
	f.Var(funcValue{"IP=HOST,...", r.addHosts}, "hosts-entry", "entries to add to the pod-wide /etc/hosts; host: the host's file")
	f.Var(funcValue{"NAME", r.setHostname}, "hostname", "the pod's host name (rkt-UUID)")
	f.Var(funcValue{"MODE", func(v string) error { return choice(&r.ipc, v, "auto", "private", "parent") }}, "ipc", "whether to stay in the host IPC namespace: auto, private or parent")
	f.BoolVar(&r.interactive, "interactive", false, "run the pod interactively; only one image may be given")
	f.BoolVar(&r.register, "mds-register", false, "register the pod with the metadata service")
}

func choice(to *string, v string, known ...string) error {
	if !slices.Contains(known, v) {
		return fmt.Errorf("the choices are %s", strings.Join(known, ", "))
	}
	*to = v
	return nil
}

func oneWord(v string) error {
	if v == "" || strings.ContainsAny(v, " \t\n") {
		return errors.New("it is not one word")
	}
	return nil
}

func (r *runtimeFlags) addDNS(v string) error {
	switch {
	case v == "host" || v == "none":
		r.dns.Mode = v
	case net.ParseIP(v) == nil:
		return errors.New("it is not an IP address, nor host or none")
	default:
		r.dns.Servers = append(r.dns.Servers, v)
	}
	if r.dns.Mode != "" && len(r.dns.Servers) > 0 {
		return errors.New("host and none go with no name server")
	}
	return nil
}

func (r *runtimeFlags) addHosts(v string) error {
	for _, e := range strings.Split(v, ",") {
		if e != "host" {
			ip, name, _ := strings.Cut(e, "=")
			if net.ParseIP(ip) == nil || oneWord(name) != nil {
				return fmt.Errorf("%q is not IP=HOST", e)
			}
		}
		r.hosts = append(r.hosts, e)
	}
	if len(r.hosts) > 1 && slices.Contains(r.hosts, "host") {
		return errors.New("host goes with no other entry")
	}
	return nil
}

func (r *runtimeFlags) setHostname(v string) error {
	if len(v) > 64 || oneWord(v) != nil || strings.ContainsAny(v, "/") {
		return errors.New("it is not a host name of up to 64 characters")
	}
	r.hostname = v
	return nil
}

// apply puts the options into o, over what a prepared pod already has.
func (r *runtimeFlags) apply(g *Global, o *stage1.Options) error {
	values := r.net
	if len(values) == 0 {
		values = []string{network.Default}
	}
	selection, err := network.ParseSelection(values)
	if err != nil {
		return err
	}
	o.HostNet, o.Networks, o.ConfDirs = selection.Host, selection.Networks, g.ConfigDirs()
	o.DNS, o.Hosts, o.Hostname, o.HostIPC = r.dns, r.hosts, r.hostname, r.ipc == "parent"
	o.Register, o.Interactive = r.register, r.interactive
	o.StopWithin = stage1.DefaultStop
	if o.Interactive {
		o.Terminal = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
		if o.Term = os.Getenv("TERM"); o.Term == "" {
			o.Term = "xterm"
		}
	}
	o.AllCapabilities = o.AllCapabilities || g.Insecure.Has("capabilities")
	o.NoMaskedPaths = o.NoMaskedPaths || g.Insecure.Has("paths")
	o.NoSeccomp = o.NoSeccomp || g.Insecure.Has("seccomp")
	return nil
}
