package network

import (
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// Policy is what holds for all containers.
type Policy struct {
	AllowHostAccess bool
	Deny            []netip.Prefix
}

// Endpoint is a container as the packet filter sees it.
type Endpoint struct {
	ID     string // up to 22 characters of [0-9a-f]
	Handle string // for the log
	Lease  Lease
	Ports  []api.PortMapping
	NetOut []api.NetOutRule // in the order they came
}

// Link is the name of the host's end of the veth pair.
func Link(id string) string { return linkPrefix + id[:min(len(id), 11)] }

const (
	linkPrefix = "gdn"
	anyLink    = linkPrefix + "+"

	chainForward = "GDN-FORWARD"
	chainInput   = "GDN-INPUT"
	chainPre     = "GDN-PRE"
	chainPost    = "GDN-POST"
	outPrefix    = "gdn-o-" // of a container: what it may reach
	inPrefix     = "gdn-n-" // of a container: its mapped ports
)

// hook is a rule of a built-in chain that leads into one of ours.
type hook struct {
	table, chain string
	rule         []string
}

// hooks are put at the head of the built-in chains.
func hooks() []hook {
	local := []string{"-m", "addrtype", "--dst-type", "LOCAL", "-j", chainPre}
	return []hook{
		{"filter", "FORWARD", []string{"-j", chainForward}},
		{"filter", "INPUT", []string{"-i", anyLink, "-j", chainInput}},
		{"nat", "PREROUTING", local},
		{"nat", "OUTPUT", local},
		{"nat", "POSTROUTING", []string{"-j", chainPost}},
	}
}

// restore is the input of `iptables-restore --noflush` that makes our chains hold what they
// should: the shared ones for all, those of the changed containers anew, those of the removed
// ones gone. It does not depend on what is there.
func restore(p Policy, all, changed []Endpoint, removed []string) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }

	line("*filter")
	for _, c := range []string{chainForward, chainInput} {
		line(":%s - [0:0]", c)
	}
	for _, e := range changed {
		line(":%s - [0:0]", outPrefix+e.ID)
	}
	for _, id := range removed {
		line(":%s - [0:0]", outPrefix+id)
	}
	const known = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
	line("-A %s -i %s %s", chainForward, anyLink, known)
	line("-A %s -o %s %s", chainForward, anyLink, known)
	for _, e := range all {
		line("-A %s -i %s -j %s", chainForward, Link(e.ID), outPrefix+e.ID)
		line("-A %s -o %s -m conntrack --ctstate DNAT -j ACCEPT", chainForward, Link(e.ID))
	}
	line("-A %s -o %s -j DROP", chainForward, anyLink)
	line("-A %s %s", chainInput, known) // answers to the host's own 127.0.0.1 too
	line("-A %s -d 127.0.0.0/8 -j DROP", chainInput)
	if !p.AllowHostAccess {
		line("-A %s -j REJECT --reject-with icmp-host-prohibited", chainInput)
	}
	for _, e := range changed {
		for _, r := range outRules(p, e) {
			line("-A %s %s", outPrefix+e.ID, r)
		}
	}
	for _, id := range removed {
		line("-X %s", outPrefix+id)
	}
	line("COMMIT")

	line("*nat")
	for _, c := range []string{chainPre, chainPost} {
		line(":%s - [0:0]", c)
	}
	for _, e := range changed {
		line(":%s - [0:0]", inPrefix+e.ID)
	}
	for _, id := range removed {
		line(":%s - [0:0]", inPrefix+id)
	}
	for _, e := range all {
		ip, link := e.Lease.IP, Link(e.ID)
		line("-A %s -j %s", chainPre, inPrefix+e.ID)
		line("-A %s -s %s/32 ! -o %s -j MASQUERADE", chainPost, ip, anyLink)
		line("-A %s -s %s/32 -d %s/32 -o %s -j MASQUERADE", chainPost, ip, ip, link)
		line("-A %s -s 127.0.0.0/8 -d %s/32 -o %s -j MASQUERADE", chainPost, ip, link)
	}
	for _, e := range changed {
		for _, m := range e.Ports {
			for _, proto := range []string{"tcp", "udp"} {
				line("-A %s -p %s --dport %d -j DNAT --to-destination %s:%d", inPrefix+e.ID, proto, m.HostPort, e.Lease.IP, m.ContainerPort)
			}
		}
	}
	for _, id := range removed {
		line("-X %s", inPrefix+id)
	}
	line("COMMIT")
	return b.String()
}

// outRules says what one container may reach: its own subnet, then what its rules allow, the
// latest first, then all but the denied networks.
func outRules(p Policy, e Endpoint) []string {
	var out []string
	if e.Lease.Static {
		out = append(out, fmt.Sprintf("-d %s -j ACCEPT", e.Lease.Subnet))
	}
	for i := len(e.NetOut) - 1; i >= 0; i-- {
		out = append(out, allow(e.Handle, e.NetOut[i])...)
	}
	for _, n := range p.Deny {
		out = append(out, fmt.Sprintf("-d %s -j REJECT --reject-with icmp-net-prohibited", n))
	}
	return append(out, "-j ACCEPT")
}

// allow turns a rule into matches, one for each network and port range.
func allow(handle string, r api.NetOutRule) []string {
	var out []string
	if r.Protocol == api.ProtocolICMPv6 { // containers have no IPv6
		return nil
	}
	for _, network := range destinations(r.Networks) {
		for _, what := range traffic(r) {
			match := strings.TrimSpace(network + what)
			if r.Log && (r.Protocol == api.ProtocolAll || r.Protocol == api.ProtocolTCP) {
				out = append(out, strings.TrimSpace(fmt.Sprintf("%s -m conntrack --ctstate NEW -j LOG --log-prefix %q", match, logPrefix(handle))))
			}
			out = append(out, strings.TrimSpace(match+" -j ACCEPT"))
		}
	}
	return out
}

func traffic(r api.NetOutRule) []string {
	switch r.Protocol {
	case api.ProtocolTCP:
		return ports(" -p tcp", r.Ports)
	case api.ProtocolUDP:
		return ports(" -p udp", r.Ports)
	case api.ProtocolICMP:
		if r.ICMPs == nil {
			return []string{" -p icmp"}
		}
		kind := strconv.Itoa(int(r.ICMPs.Type))
		if r.ICMPs.Code != nil {
			kind += "/" + strconv.Itoa(int(*r.ICMPs.Code))
		}
		return []string{" -p icmp --icmp-type " + kind}
	}
	return []string{""}
}

func ports(proto string, ranges []api.PortRange) []string {
	if len(ranges) == 0 {
		return []string{proto}
	}
	var out []string
	for _, r := range ranges {
		out = append(out, fmt.Sprintf("%s --dport %d:%d", proto, r.Start, r.Last()))
	}
	return out
}

// destinations turns ranges into prefixes, which need no further module of the kernel. Those of
// IPv6 lead nowhere and are left out.
func destinations(ranges []api.IPRange) []string {
	if len(ranges) == 0 {
		return []string{""}
	}
	var out []string
	for _, r := range ranges {
		start, end := r.Bounds()
		if len(start) != net.IPv4len {
			continue
		}
		a, _ := netip.AddrFromSlice(start)
		z, _ := netip.AddrFromSlice(end)
		for _, p := range prefixes(a, z) {
			out = append(out, "-d "+p.String())
		}
	}
	return out
}

// prefixes covers a..z (IPv4, inclusive) with the fewest prefixes.
func prefixes(a, z netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for at, end := uint64(number(a)), uint64(number(z)); at <= end; {
		size := min(bits.TrailingZeros64(at|1<<32), bits.Len64(end-at+1)-1)
		out = append(out, netip.PrefixFrom(address(uint32(at)), 32-size))
		at += 1 << size
	}
	return out
}

// logPrefix is at most the 29 characters that the kernel takes, without quotes.
func logPrefix(handle string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
			return r
		}
		return '_'
	}, handle)
	return clean[:min(len(clean), 27)] + " "
}
