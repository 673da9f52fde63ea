package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Connect gives the network namespace of pid an eth0 with the lease's address. The container
// reaches everything, its own subnet too, through the host's end of the pair.
func Connect(id string, pid int, l Lease, mtu int) error {
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	veth.Name = Link(id)
	if mtu > 0 {
		veth.MTU, veth.PeerMTU = mtu, uint32(mtu)
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the veth pair %s: %w", veth.Name, err)
	}
	err := hostEnd(veth.Name, l)
	if err == nil {
		err = containerEnd(pid, l)
	}
	if err != nil {
		_ = Disconnect(id)
	}
	return err
}

func hostEnd(name string, l Lease) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	// Mapped ports are reachable by the host's own 127.0.0.1; what a container sends to that
	// address is dropped by the packet filter. That knows IPv4 only, so there is no other.
	for _, setting := range []string{"ipv4/conf/" + name + "/route_localnet", "ipv6/conf/" + name + "/disable_ipv6"} {
		err := os.WriteFile("/proc/sys/net/"+setting, []byte("1"), 0)
		if err != nil && !(errors.Is(err, os.ErrNotExist) && strings.HasPrefix(setting, "ipv6")) {
			return fmt.Errorf("set %s: %w", setting, err)
		}
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: host(l.Gateway.AsSlice())}); err != nil {
		return fmt.Errorf("give %s the address %s: %w", name, l.Gateway, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: host(l.IP.AsSlice()), Scope: netlink.SCOPE_LINK, Src: l.Gateway.AsSlice()}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("route %s to %s: %w", l.IP, name, err)
	}
	return nil
}

func containerEnd(pid int, l Lease) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("open the container's network namespace: %w", err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("talk to the container's network namespace: %w", err)
	}
	defer h.Close()
	for _, name := range []string{"lo", "eth0"} {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s in the container: %w", name, err)
		}
		if name == "eth0" {
			subnet := &net.IPNet{IP: l.IP.AsSlice(), Mask: net.CIDRMask(l.Subnet.Bits(), 32)}
			if err := h.AddrAdd(link, &netlink.Addr{IPNet: subnet, Flags: unix.IFA_F_NOPREFIXROUTE}); err != nil {
				return fmt.Errorf("give the container the address %s: %w", l.IP, err)
			}
		}
		if err := h.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up in the container: %w", name, err)
		}
		if name == "eth0" {
			if err := routes(h, link, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func routes(h *netlink.Handle, link netlink.Link, l Lease) error {
	index := link.Attrs().Index
	if err := h.RouteAdd(&netlink.Route{LinkIndex: index, Dst: host(l.Gateway.AsSlice()), Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("route to the gateway in the container: %w", err)
	}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: index, Gw: l.Gateway.AsSlice()}); err != nil {
		return fmt.Errorf("default route in the container: %w", err)
	}
	return nil
}

func host(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }

// Disconnect removes the pair; nil when there is none.
func Disconnect(id string) error {
	link, err := netlink.LinkByName(Link(id))
	if err == nil {
		err = netlink.LinkDel(link)
	}
	var none netlink.LinkNotFoundError
	if err == nil || errors.As(err, &none) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return fmt.Errorf("remove %s: %w", Link(id), err)
}

// Stale removes the pairs of containers that keep does not know.
func Stale(keep func(link string) bool) error {
	paths, _ := filepath.Glob("/sys/class/net/" + linkPrefix + "*")
	var errs []error
	for _, p := range paths {
		name := filepath.Base(p)
		rest := strings.TrimPrefix(name, linkPrefix)
		if len(rest) != 11 || strings.Trim(rest, "0123456789abcdef") != "" || keep(name) {
			continue
		}
		errs = append(errs, Disconnect(rest))
	}
	return errors.Join(errs...)
}

// Forward lets the host forward packets.
func Forward() error {
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// Counters returns the bytes that the container received and sent.
func Counters(id string) (rx, tx uint64) {
	read := func(name string) uint64 {
		data, _ := os.ReadFile("/sys/class/net/" + Link(id) + "/statistics/" + name)
		n, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
		return n
	}
	return read("tx_bytes"), read("rx_bytes")
}

// ExternalIP finds the address by which others reach this host: that of the interface with the
// default route, else the first that is not local.
func ExternalIP() string {
	if conn, err := net.Dial("udp4", "192.0.2.1:9"); err == nil { // sends nothing
		defer conn.Close()
		return conn.LocalAddr().(*net.UDPAddr).IP.String()
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}
