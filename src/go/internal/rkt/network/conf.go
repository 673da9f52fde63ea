// Package network puts a pod into networks by CNI plugins, as rkt's
// Documentation/networking/overview.md describes it and the Container Network
// Interface specification (https://www.cni.dev/docs/spec/) defines it.
package network

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

// Request is a network with the CNI_ARGS that the user gave for it.
type Request struct {
	Name string      `json:"name"`
	Args [][2]string `json:"args,omitempty"`
}

// Selection is what --net asks for.
type Selection struct {
	Host     bool
	Networks []Request // empty and not Host: loopback only
}

// Names with a meaning of their own.
const (
	Default    = "default"
	Restricted = "default-restricted"
	all        = "all"
)

// Bridges of the networks of rkt's own.
const (
	defaultBridge    = "rkt0"
	restrictedBridge = "rkt1"
)

// ParseSelection reads the values of --net: a comma-separated list of networks,
// each with arguments after a colon, separated by semicolons.
func ParseSelection(values []string) (Selection, error) {
	var s Selection
	seen := map[string]bool{}
	none := false
	text := strings.Join(values, ",")
	for _, item := range strings.Split(text, ",") {
		name, rest, _ := strings.Cut(item, ":")
		if name == "" {
			if text != "" {
				return s, fmt.Errorf("--net: a network without a name in %q", text)
			}
			name = Default
		}
		if seen[name] {
			return s, fmt.Errorf("--net: network %q is given twice", name)
		}
		seen[name] = true
		r := Request{Name: name}
		for _, arg := range strings.FieldsFunc(rest, func(c rune) bool { return c == ';' }) {
			key, value, ok := strings.Cut(arg, "=")
			if !ok || key == "" {
				return s, fmt.Errorf("--net: argument %q of network %q is not KEY=VALUE", arg, name)
			}
			r.Args = append(r.Args, [2]string{key, value})
		}
		switch name {
		case "host":
			s.Host = true
		case "none":
			none = true
		default:
			s.Networks = append(s.Networks, r)
		}
	}
	if (s.Host || none) && len(seen) > 1 {
		return s, errors.New("--net: host and none go with no other network")
	}
	return s, nil
}

// builtin are the networks of rkt's own. Their addresses are rkt's documented
// ones; the lease files go when the machine does.
func builtin(ports bool) map[string]string {
	portmap := ""
	if ports {
		portmap = `,{"type":"portmap","backend":"iptables","snat":true,"capabilities":{"portMappings":true}}`
	}
	list := func(name, bridge, subnet, masq, routes string) string {
		return `{"cniVersion":"1.0.0","name":"` + name + `","plugins":[{"type":"bridge","bridge":"` + bridge +
			`","isGateway":true,"hairpinMode":true,"ipMasq":` + masq + `,"ipMasqBackend":"iptables","ipam":{"type":"host-local","dataDir":"/run/rkt/networks",` +
			`"ranges":[[{"subnet":"` + subnet + `"}]]` + routes + `}}` + portmap + `]}`
	}
	return map[string]string{
		Default:    list(Default, defaultBridge, "172.16.28.0/24", "true", `,"routes":[{"dst":"0.0.0.0/0"}]`),
		Restricted: list(Restricted, restrictedBridge, "172.16.29.0/24", "false", ""),
	}
}

// load returns the lists for the requests, in the order of the configuration's
// file names, whatever the order of the requests: rkt does it so.
func load(requests []Request, dirs []string, ports bool) ([]*libcni.NetworkConfigList, error) {
	known, file, err := configured(dirs)
	if err != nil {
		return nil, err
	}
	for name, text := range builtin(ports) {
		if known[name] != nil {
			continue // the user's own network of that name wins
		}
		conf, err := libcni.NetworkConfFromBytes([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("built-in network %s: %w", name, err)
		}
		known[name], file[name] = conf, builtinFile(name)
	}
	order := slices.SortedFunc(maps.Keys(known), func(a, b string) int {
		return cmp.Or(cmp.Compare(file[a], file[b]), cmp.Compare(a, b))
	})
	wanted := map[string]bool{}
	for _, r := range requests {
		if r.Name == all {
			for name := range known {
				wanted[name] = wanted[name] || name != Restricted
			}
			continue
		}
		if known[r.Name] == nil {
			return nil, fmt.Errorf("no network is named %q; configured are %s (see %s)", r.Name, strings.Join(slices.Sorted(maps.Keys(known)), ", "), strings.Join(netDirs(dirs), ", "))
		}
		wanted[r.Name] = true
	}
	var lists []*libcni.NetworkConfigList
	for _, name := range order {
		if wanted[name] {
			lists = append(lists, known[name])
		}
	}
	if ports && len(lists) > 0 && !slices.ContainsFunc(lists, forwards) {
		return lists, addPortmap(lists[0])
	}
	return lists, nil
}

func netDirs(dirs []string) []string {
	var out []string
	for _, d := range dirs {
		out = append(out, filepath.Join(d, "net.d"))
	}
	return out
}

// builtinFile is the file in which rkt has a network of its own.
func builtinFile(name string) string { return "99-" + name + ".conf" }

// configured reads *.conf and *.conflist of every directory; a later directory
// wins over an earlier one. file has the names of the files without folder.
func configured(dirs []string) (known map[string]*libcni.NetworkConfigList, file map[string]string, err error) {
	known, file = map[string]*libcni.NetworkConfigList{}, map[string]string{}
	for _, dir := range netDirs(dirs) {
		files, err := libcni.ConfFiles(dir, []string{".conf", ".conflist"})
		if err != nil {
			return nil, nil, fmt.Errorf("networks: %w", err)
		}
		for _, f := range files {
			conf, err := read(f)
			if err != nil {
				return nil, nil, fmt.Errorf("network configuration %s: %w", f, err)
			}
			known[conf.Name], file[conf.Name] = conf, filepath.Base(f)
		}
	}
	return known, file, nil
}

// read takes a list, or a single plugin's configuration as rkt's documentation shows it.
func read(path string) (*libcni.NetworkConfigList, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(data)
}

func parse(data []byte) (*libcni.NetworkConfigList, error) {
	var probe struct {
		Name       string           `json:"name"`
		CNIVersion string           `json:"cniVersion"`
		Plugins    *json.RawMessage `json:"plugins"`
	}
	if err := json.Unmarshal(data, &probe); err != nil {
		return nil, err
	}
	if probe.Name == "" {
		return nil, errors.New(`no "name"`)
	}
	if probe.Plugins != nil {
		return libcni.NetworkConfFromBytes(data)
	}
	version := probe.CNIVersion
	if version == "" {
		version = "0.4.0"
	}
	list, err := json.Marshal(map[string]any{"cniVersion": version, "name": probe.Name, "plugins": []json.RawMessage{data}})
	if err != nil {
		return nil, err
	}
	return libcni.NetworkConfFromBytes(list)
}

func forwards(l *libcni.NetworkConfigList) bool {
	return slices.ContainsFunc(l.Plugins, func(p *libcni.PluginConfig) bool { return p.Network.Capabilities["portMappings"] })
}

// addPortmap adds port forwarding to a network that has none of its own.
func addPortmap(l *libcni.NetworkConfigList) error {
	p, err := libcni.NetworkPluginConfFromBytes([]byte(`{"type":"portmap","backend":"iptables","snat":true,"capabilities":{"portMappings":true},"name":"` + l.Name + `","cniVersion":"` + l.CNIVersion + `"}`))
	if err != nil {
		return fmt.Errorf("port forwarding of network %s: %w", l.Name, err)
	}
	l.Plugins = append(l.Plugins, p)
	return nil
}
