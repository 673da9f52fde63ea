package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"photonbuild.invalid/compat/internal/kit/netns"
)

// PluginDirs are the folders with CNI plugins; the first one is rkt's documented one.
var PluginDirs = []string{"/usr/lib/rkt/plugins/net", "/usr/lib/cni"}

// Port is a port mapping as CNI's portMappings capability takes it.
type Port struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP,omitempty"`
}

// Pod is a pod to be put into networks.
type Pod struct {
	ID       string
	NetNS    string // path; "" when it is gone
	Dir      string // folder for what Remove needs
	Requests []Request
	Ports    []Port
	ConfDirs []string
}

// Attachment is a network that the pod is in.
type Attachment struct {
	Name, IfName string
	IPs          []net.IP
	DNS          DNS
}

// DNS is what a plugin says about name servers.
type DNS struct {
	Servers, Search, Options []string
	Domain                   string
}

// record is kept so that a network can be left without the configuration, which may change.
type record struct {
	Name   string          `json:"name"`
	IfName string          `json:"ifName"`
	Args   [][2]string     `json:"args,omitempty"`
	Ports  []Port          `json:"ports,omitempty"`
	Conf   json.RawMessage `json:"conf"`
}

func (p Pod) cni() *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir(append(append([]string{}, PluginDirs...), netDirs(p.ConfDirs)...), filepath.Join(p.Dir, "cache"), nil)
}

func (p Pod) runtime(r record) *libcni.RuntimeConf {
	rt := &libcni.RuntimeConf{ContainerID: p.ID, NetNS: p.NetNS, IfName: r.IfName, Args: r.Args}
	if len(r.Ports) > 0 {
		rt.CapabilityArgs = map[string]any{"portMappings": r.Ports}
	}
	return rt
}

// Add puts the pod into its networks: eth0, eth1 and so on. What Remove needs
// is on disk before anything changes on the machine.
func (p Pod) Add(ctx context.Context) ([]Attachment, error) {
	if len(p.Requests) == 0 {
		if len(p.Ports) > 0 {
			return nil, errors.New("ports can be exposed only from a pod that is in a network of its own, not with --net=none")
		}
		return nil, nil
	}
	lists, err := load(p.Requests, p.ConfDirs, len(p.Ports) > 0)
	if err != nil {
		return nil, err
	}
	records := make([]record, len(lists))
	for i, l := range lists {
		conf, err := listBytes(l)
		if err != nil {
			return nil, err
		}
		records[i] = record{Name: l.Name, IfName: fmt.Sprintf("eth%d", i), Args: args(p.Requests, l.Name), Conf: conf}
		if forwards(l) {
			records[i].Ports = p.Ports
		}
	}
	if err := p.save(records); err != nil {
		return nil, err
	}
	var out []Attachment
	for i, l := range lists {
		result, err := p.cni().AddNetworkList(ctx, l, p.runtime(records[i]))
		if err != nil {
			return out, fmt.Errorf("network %s: %w", l.Name, err)
		}
		r, err := current.NewResultFromResult(result)
		if err != nil {
			return out, fmt.Errorf("network %s: %w", l.Name, err)
		}
		if err := forward(ctx, l); err != nil {
			return out, fmt.Errorf("network %s: %w", l.Name, err)
		}
		out = append(out, attachment(l.Name, records[i].IfName, r))
	}
	return out, nil
}

func attachment(name, ifName string, r *current.Result) Attachment {
	a := Attachment{Name: name, IfName: ifName, DNS: DNS{Servers: r.DNS.Nameservers, Search: r.DNS.Search, Options: r.DNS.Options, Domain: r.DNS.Domain}}
	for _, ip := range r.IPs {
		a.IPs = append(a.IPs, ip.Address.IP)
	}
	return a
}

func args(requests []Request, name string) [][2]string {
	list := [][2]string{{"IgnoreUnknown", "1"}}
	for _, r := range requests {
		if r.Name == name {
			list = append(list, r.Args...)
		}
	}
	return list
}

// listBytes makes a list again of its plugins, which may have been added to.
func listBytes(l *libcni.NetworkConfigList) ([]byte, error) {
	plugins := make([]json.RawMessage, len(l.Plugins))
	for i, p := range l.Plugins {
		plugins[i] = p.Bytes
	}
	data, err := json.Marshal(map[string]any{"cniVersion": l.CNIVersion, "name": l.Name, "plugins": plugins})
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", l.Name, err)
	}
	return data, nil
}

func (p Pod) recordFile() string { return filepath.Join(p.Dir, "networks.json") }

func (p Pod) save(records []record) error {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return fmt.Errorf("networks of the pod: %w", err)
	}
	data, err := json.Marshal(records)
	if err != nil {
		return fmt.Errorf("networks of the pod: %w", err)
	}
	tmp := p.recordFile() + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("networks of the pod: %w", err)
	}
	return os.Rename(tmp, p.recordFile())
}

// Remove takes the pod out of its networks, the last one first. It goes on
// after a failure, and it may be called again and for a pod that was in none.
func (p Pod) Remove(ctx context.Context) error {
	data, err := os.ReadFile(p.recordFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("networks of the pod: %w", err)
	}
	var records []record
	if err := json.Unmarshal(data, &records); err != nil {
		return fmt.Errorf("networks of the pod: %s: %w", p.recordFile(), err)
	}
	if p.NetNS != "" {
		err = p.leave(ctx, records)
	} else {
		err = netns.Temporary(func() error { return p.furnish(records) }, func(path string) error {
			p.NetNS = path
			return p.leave(ctx, records)
		})
	}
	if err == nil {
		err = os.RemoveAll(p.Dir)
	}
	return err
}

func (p Pod) leave(ctx context.Context, records []record) error {
	var failed error
	for i := len(records) - 1; i >= 0; i-- {
		l, err := libcni.NetworkConfFromBytes(records[i].Conf)
		if err == nil {
			err = p.cni().DelNetworkList(ctx, l, p.runtime(records[i]))
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("network %s: %w", records[i].Name, err))
		}
	}
	return failed
}

// furnish gives the calling thread's namespace interfaces with the names and
// addresses that the pod had. Plugins take down what they made on the host for
// an address (such as masquerading) only when they find it in the namespace,
// and that of a pod that was killed is gone.
func (p Pod) furnish(records []record) error {
	for _, r := range records {
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: r.IfName}, PeerName: "peer-" + r.IfName}
		if err := netlink.LinkAdd(link); err != nil {
			return fmt.Errorf("interface %s: %w", r.IfName, err)
		}
		for _, address := range p.cached(r) {
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &address}); err != nil {
				return fmt.Errorf("address %s: %w", &address, err)
			}
		}
	}
	return nil
}

// cached returns the addresses that the network gave the pod.
func (p Pod) cached(r record) []net.IPNet {
	l, err := libcni.NetworkConfFromBytes(r.Conf)
	if err != nil {
		return nil
	}
	result, err := p.cni().GetNetworkListCachedResult(l, p.runtime(r))
	if err != nil || result == nil {
		return nil
	}
	known, err := current.NewResultFromResult(result)
	if err != nil {
		return nil
	}
	var list []net.IPNet
	for _, ip := range known.IPs {
		list = append(list, ip.Address)
	}
	return list
}
