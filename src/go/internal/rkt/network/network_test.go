package network

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
)

func TestParseSelection(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   Selection
	}{
		{[]string{"default"}, Selection{Networks: []Request{{Name: "default"}}}},
		{[]string{""}, Selection{Networks: []Request{{Name: "default"}}}},
		{[]string{"host"}, Selection{Host: true}},
		{[]string{"none"}, Selection{}},
		{[]string{"all,net1:IP=1.2.3.4", "net2:IP=1.2.4.5;X=y"}, Selection{Networks: []Request{{Name: "all"},
			{Name: "net1", Args: [][2]string{{"IP", "1.2.3.4"}}}, {Name: "net2", Args: [][2]string{{"IP", "1.2.4.5"}, {"X", "y"}}}}}},
	} {
		if got, err := ParseSelection(c.values); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %+v, %v", c.values, got, err)
		}
	}
	for _, bad := range [][]string{{"host,default"}, {"none", "default"}, {"a,a"}, {"a,,b"}, {"a:b"}, {":IP=1"}} {
		if got, err := ParseSelection(bad); err == nil || !strings.Contains(err.Error(), "--net") {
			t.Errorf("%v: %+v, %v", bad, got, err)
		}
	}
}

func confDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "net.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "net.d", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(t *testing.T, dirs []string, ports bool, want ...string) ([]string, []string) {
	t.Helper()
	var requests []Request
	for _, w := range want {
		requests = append(requests, Request{Name: w})
	}
	lists, err := load(requests, dirs, ports)
	if err != nil {
		t.Fatal(err)
	}
	var out, plugins []string
	for _, l := range lists {
		out = append(out, l.Name)
		for _, p := range l.Plugins {
			plugins = append(plugins, l.Name+"/"+p.Network.Type)
		}
	}
	return out, plugins
}

func TestBuiltinNetworks(t *testing.T) {
	if got, plugins := names(t, nil, false, Default); len(got) != 1 || !reflect.DeepEqual(plugins, []string{"default/bridge"}) {
		t.Errorf("%v %v", got, plugins)
	}
	if _, plugins := names(t, nil, true, Default); !reflect.DeepEqual(plugins, []string{"default/bridge", "default/portmap"}) {
		t.Errorf("with ports: %v", plugins)
	}
	if !strings.Contains(builtin(false)[Default], `"172.16.28.0/24"`) {
		t.Error("the default network is not rkt's documented one")
	}
}

func TestConfiguredNetworks(t *testing.T) {
	system := confDir(t, map[string]string{"20-b.conf": `{"name":"b","type":"bridge","bridge":"old"}`, "10-a.conf": `{"name":"a","type":"ptp"}`})
	local := confDir(t, map[string]string{"30-b.conf": `{"name":"b","type":"bridge","bridge":"br9"}`,
		"05-d.conflist": `{"cniVersion":"1.0.0","name":"default","plugins":[{"type":"macvlan"}]}`})
	dirs := []string{system, local}
	got, plugins := names(t, dirs, true, "all")
	if !reflect.DeepEqual(got, []string{"default", "a", "b"}) {
		t.Errorf("networks %v", got)
	}
	if !reflect.DeepEqual(plugins, []string{"default/macvlan", "default/portmap", "a/ptp", "b/bridge"}) {
		t.Errorf("plugins %v: the own default wins and forwards ports", plugins)
	}
	lists, err := load([]Request{{Name: "b"}}, dirs, false)
	if err != nil || !reflect.DeepEqual(bridges(lists[0]), []bridge{{name: "br9"}}) {
		t.Errorf("bridges of b: %v, %v", lists, err)
	}
	if _, err := load([]Request{{Name: "none"}}, dirs, false); err == nil || !strings.Contains(err.Error(), "default") {
		t.Errorf("unknown network: %v", err)
	}
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for _, text := range []string{"{", `{"type":"bridge"}`, `{"name":"x"}`} {
		dir := confDir(t, map[string]string{"10-x.conf": text})
		if _, err := load([]Request{{Name: Default}}, []string{dir}, false); err == nil || !strings.Contains(err.Error(), "10-x.conf") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A plugin of shell stands in for a real one.
func TestAddAndRemove(t *testing.T) {
	dir := confDir(t, map[string]string{"10-x.conf": `{"cniVersion":"1.0.0","name":"x","type":"fake"}`})
	plugin := "#!/bin/sh\necho $CNI_COMMAND $CNI_IFNAME $CNI_NETNS $CNI_ARGS >> " + dir + "/log\ncat > /dev/null\n" +
		`[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.8.7/24"}],"dns":{"nameservers":["9.9.9.9"]}}'; exit 0` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "net.d", "fake"), []byte(plugin), 0o755); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "net")
	p := Pod{ID: "id", NetNS: "/ns", Dir: state, ConfDirs: []string{dir}, Requests: []Request{{Name: "x", Args: [][2]string{{"K", "v"}}}}}
	list, err := p.Add(t.Context())
	if err != nil || len(list) != 1 || list[0].IPs[0].String() != "10.9.8.7" || list[0].IfName != "eth0" || list[0].DNS.Servers[0] != "9.9.9.9" {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := os.Remove(filepath.Join(dir, "net.d", "10-x.conf")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	log, _ := os.ReadFile(dir + "/log")
	if want := "ADD eth0 /ns IgnoreUnknown=1;K=v\nDEL eth0 /ns IgnoreUnknown=1;K=v\n"; string(log) != want {
		t.Errorf("plugin was called:\n%s", log)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("state is left: %v", err)
	}
}

func TestPortsNeedANetwork(t *testing.T) {
	if _, err := (Pod{Ports: []Port{{HostPort: 1}}}).Add(t.Context()); err == nil {
		t.Error("ports without a network")
	}
}

// The namespace of a pod that was killed is gone; plugins get one that looks like it.
func TestRemoveOfAKilledPod(t *testing.T) {
	dir := confDir(t, map[string]string{"10-x.conf": `{"cniVersion":"1.0.0","name":"x","type":"fake"}`})
	plugin := "#!/bin/sh\ncat > /dev/null\n[ $CNI_COMMAND = DEL ] && nsenter --net=$CNI_NETNS ip -o -4 addr show eth0 > " + dir + "/log\n" +
		`[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.8.7/24"}]}'; exit 0` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "net.d", "fake"), []byte(plugin), 0o755); err != nil {
		t.Fatal(err)
	}
	p := Pod{ID: "id", NetNS: "/ns", Dir: filepath.Join(t.TempDir(), "net"), ConfDirs: []string{dir}, Requests: []Request{{Name: "x"}}}
	if _, err := p.Add(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.NetNS = ""
	if err := p.Remove(t.Context()); err != nil {
		if strings.Contains(err.Error(), "not permitted") || strings.Contains(err.Error(), "not supported") {
			t.Skipf("no interfaces may be made here: %v", err)
		}
		t.Fatal(err)
	}
	log, err := os.ReadFile(dir + "/log")
	if err != nil || len(log) == 0 {
		t.Skipf("no nsenter or ip here: %v", err)
	}
	if !strings.Contains(string(log), "10.9.8.7/24") {
		t.Errorf("the plugin saw %s", log)
	}
}

func TestNetworksComeInTheOrderOfTheirFiles(t *testing.T) {
	dirs := []string{confDir(t, map[string]string{"10-z.conf": `{"name":"z","type":"ptp"}`, "20-a.conf": `{"name":"a","type":"ptp"}`})}
	for range 50 { // maps have no order
		for _, asked := range [][]string{{Default, "a", Restricted, "z"}, {"z", Restricted, "a", Default}} {
			if got, _ := names(t, dirs, false, asked...); !reflect.DeepEqual(got, []string{"z", "a", Restricted, Default}) {
				t.Fatalf("%v: %v", asked, got)
			}
		}
	}
}

func TestBridgesOfBuiltinNetworksAreClosed(t *testing.T) {
	lists, err := load([]Request{{Name: Default}, {Name: Restricted}}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{restrictedBridge, defaultBridge} {
		got := bridges(lists[i])
		if !reflect.DeepEqual(got, []bridge{{name, true}}) {
			t.Fatalf("%+v", got)
		}
		text := ""
		for _, r := range rules(got[0]) {
			text += r.table + " " + strings.Join(r.spec, " ") + "\n"
		}
		want := "filter RKT-FORWARD -i " + name + " -j ACCEPT\n" +
			"filter RKT-FORWARD -o " + name + " -m conntrack --ctstate DNAT,RELATED,ESTABLISHED -j ACCEPT\n" +
			"mangle RKT-FORWARD ! -i " + name + " -o " + name + " -m conntrack ! --ctstate DNAT,RELATED,ESTABLISHED -j DROP\n"
		if text != want {
			t.Errorf("rules:\n%s", text)
		}
	}
	routed := bridges(&libcni.NetworkConfigList{Plugins: []*libcni.PluginConfig{{Bytes: []byte(`{"type":"bridge","bridge":"br9","ipMasq":false}`)}}})
	if list := rules(routed[0]); len(list) != 2 {
		t.Errorf("a network that is routed to: %v", list)
	}
}

func TestJumpToOurChain(t *testing.T) {
	for listed, want := range map[string]struct {
		before int
		last   bool
	}{
		"-P FORWARD DROP\n": {0, false},
		"-P FORWARD DROP\n-A FORWARD -j RKT-FORWARD\n-A FORWARD -j DOCKER-USER\n":                            {1, false},
		"-P FORWARD DROP\n-A FORWARD -j GDN-FORWARD\n-A FORWARD -j RKT-FORWARD\n":                            {0, true},
		"-P FORWARD DROP\n-A FORWARD -j RKT-FORWARD\n-A FORWARD -j RKT-FORWARD-X\n-A FORWARD -j RKT-FORWARD": {1, true},
	} {
		if before, last := jumps(listed); before != want.before || last != want.last {
			t.Errorf("%q: %d %v", listed, before, last)
		}
	}
}

// FuzzConfiguration: a configuration that is taken can be kept for the end of the pod, and used then.
func FuzzConfiguration(f *testing.F) {
	for _, text := range []string{builtin(true)[Default], builtin(false)[Restricted], `{"name":"a","type":"ptp"}`, `{"name":"a","type":"bridge","bridge":"-x","ipMasq":true}`,
		`{"name":"a","cniVersion":"9","plugins":[{"type":"x"},{"type":"y","capabilities":{"portMappings":true}}]}`, `{"name":"a","plugins":[]}`, `{"name":"a","plugins":null}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parse(data)
		if err != nil {
			return
		}
		if !forwards(l) {
			if err := addPortmap(l); err != nil {
				return
			}
		}
		for _, b := range bridges(l) {
			rules(b)
		}
		kept, err := listBytes(l)
		if err != nil {
			t.Fatal(err)
		}
		again, err := libcni.NetworkConfFromBytes(kept)
		if err != nil || again.Name != l.Name || len(again.Plugins) != len(l.Plugins) {
			t.Errorf("kept as %s: %v", kept, err)
		}
	})
}

// FuzzSelection: --net is refused or names networks, each once.
func FuzzSelection(f *testing.F) {
	for _, text := range []string{"", "default", "host", "none,none", "a:IP=1;X=y,b", "all,a:;", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelection([]string{text})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, r := range s.Networks {
			if r.Name == "" || seen[r.Name] || s.Host {
				t.Errorf("%q: %+v", text, s)
			}
			seen[r.Name] = true
		}
	})
}
