package network

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/gdn/api"
)

func pool(t *testing.T, prefix string) *Pool {
	t.Helper()
	p, err := NewPool(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDynamicLeases(t *testing.T) {
	p := pool(t, "10.254.0.0/29")
	a, err := p.Acquire("")
	if err != nil || a.IP.String() != "10.254.0.1" || a.Gateway.String() != "10.254.0.2" || a.Subnet.String() != "10.254.0.0/30" {
		t.Errorf("first lease: %+v %v", a, err)
	}
	b, err := p.Acquire("")
	if err != nil || b.IP.String() != "10.254.0.5" {
		t.Errorf("second lease: %+v %v", b, err)
	}
	if _, err := p.Acquire(""); err == nil {
		t.Error("a third lease of two")
	}
	p.Release(a)
	if c, err := p.Acquire(""); err != nil || c != a {
		t.Errorf("after a release: %+v %v", c, err)
	}
}

// TestStaticLeases follows the documentation of ContainerSpec.Network.
func TestStaticLeases(t *testing.T) {
	p := pool(t, "10.254.0.0/22")
	for _, step := range []struct{ network, ip, err string }{
		{"10.1.0.0/24", "10.1.0.1", ""},
		{"10.1.0.0/24", "10.1.0.2", ""},
		{"10.1.0.7/24", "10.1.0.7", ""},
		{"10.1.0.7/24", "", "in use"},
		{"10.1.0.254/24", "", "reserved"}, // one less than the broadcast address
		{"10.1.0.255/24", "", "reserved"},
		{"10.1.0.0/25", "", "overlaps 10.1.0.0/24"},
		{"10.1.0.0/16", "", "overlaps 10.1.0.0/24"},
		{"10.254.3.0/24", "", "overlaps the network pool"},
		{"10.2.0.4/30", "10.2.0.5", ""},
		{"10.2.0.4/30", "", "no address"},
		{"10.3.0.4", "10.3.0.5", ""},
		{"fd00::/64", "", "form a.b.c.d/n"},
		{"nonsense", "", "form a.b.c.d/n"},
		{"10.0.0.0/31", "", "8 to 30"},
	} {
		l, err := p.Acquire(step.network)
		switch {
		case step.err == "" && (err != nil || l.IP.String() != step.ip || !l.Static):
			t.Errorf("%s: %+v %v, want %s", step.network, l, err, step.ip)
		case step.err != "" && (err == nil || !strings.Contains(err.Error(), step.err)):
			t.Errorf("%s: %+v %v, want an error with %q", step.network, l, err, step.err)
		}
	}
}

func TestPorts(t *testing.T) {
	p, err := NewPorts(61001, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Take(61002); err != nil {
		t.Error(err)
	}
	if n, err := p.Acquire(); err != nil || n != 61001 {
		t.Errorf("got %d %v", n, err)
	}
	if _, err := p.Acquire(); err == nil {
		t.Error("a third port of two")
	}
	if p.Take(61002) == nil {
		t.Error("a port was taken twice")
	}
	p.Release(61002)
	if n, err := p.Acquire(); err != nil || n != 61002 {
		t.Errorf("after a release: %d %v", n, err)
	}
	if _, err := NewPorts(65000, 1000); err == nil {
		t.Error("a pool beyond 65535")
	}
}

func TestPrefixes(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"1.2.3.4", "1.2.3.4", "1.2.3.4/32"},
		{"10.0.0.0", "10.0.0.255", "10.0.0.0/24"},
		{"10.0.0.1", "10.0.0.6", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32"},
		{"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"255.255.255.254", "255.255.255.255", "255.255.255.254/31"},
	} {
		var got []string
		for _, p := range prefixes(netip.MustParseAddr(c.from), netip.MustParseAddr(c.to)) {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s-%s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

func TestOutRules(t *testing.T) {
	code := uint8(1)
	e := Endpoint{ID: "0123456789abcdef", Handle: `bad "name"`, Lease: Lease{Subnet: netip.MustParsePrefix("10.1.0.0/24"), Static: true},
		NetOut: []api.NetOutRule{
			{},
			{Protocol: api.ProtocolTCP, Networks: []api.IPRange{{Start: net.ParseIP("1.2.3.4"), End: net.ParseIP("1.2.3.5")}, {End: net.ParseIP("9.9.9.9")}},
				Ports: []api.PortRange{{Start: 80}, {Start: 1, End: 5}}},
			{Protocol: api.ProtocolUDP, Log: true},
			{Protocol: api.ProtocolICMP, ICMPs: &api.ICMPControl{Type: 3, Code: &code}},
			{Protocol: api.ProtocolTCP, Log: true},
			{Protocol: api.ProtocolICMPv6},
			{Networks: []api.IPRange{{Start: net.ParseIP("2001:db8::1")}}},
			{Networks: []api.IPRange{{Start: net.ParseIP("::"), End: net.ParseIP("ffff::")}, {Start: net.ParseIP("5.5.5.5")}}},
		}}
	got := outRules(Policy{Deny: []netip.Prefix{netip.MustParsePrefix("8.8.0.0/16")}}, e)
	want := []string{
		"-d 10.1.0.0/24 -j ACCEPT",
		"-d 5.5.5.5/32 -j ACCEPT",
		`-p tcp -m conntrack --ctstate NEW -j LOG --log-prefix "bad__name_ "`,
		"-p tcp -j ACCEPT",
		"-p icmp --icmp-type 3/1 -j ACCEPT",
		"-p udp -j ACCEPT",
		"-d 1.2.3.4/31 -p tcp --dport 80:80 -j ACCEPT",
		"-d 1.2.3.4/31 -p tcp --dport 1:5 -j ACCEPT",
		"-d 9.9.9.9/32 -p tcp --dport 80:80 -j ACCEPT",
		"-d 9.9.9.9/32 -p tcp --dport 1:5 -j ACCEPT",
		"-j ACCEPT",
		"-d 8.8.0.0/16 -j REJECT --reject-with icmp-net-prohibited",
		"-j ACCEPT",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRestore(t *testing.T) {
	a := Endpoint{ID: "aaaaaaaaaaaaaaaa", Lease: Lease{IP: netip.MustParseAddr("10.254.0.2")}, Ports: []api.PortMapping{{HostPort: 8080, ContainerPort: 80}}}
	b := Endpoint{ID: "bbbbbbbbbbbbbbbb", Lease: Lease{IP: netip.MustParseAddr("10.254.0.6")}}
	got := restore(Policy{}, []Endpoint{a, b}, []Endpoint{a}, []string{"cccccccccccccccc"})
	for _, line := range []string{
		":GDN-FORWARD - [0:0]", ":gdn-o-aaaaaaaaaaaaaaaa - [0:0]", ":gdn-o-cccccccccccccccc - [0:0]", "-X gdn-o-cccccccccccccccc", "-X gdn-n-cccccccccccccccc",
		"-A GDN-FORWARD -i gdnbbbbbbbbbbb -j gdn-o-bbbbbbbbbbbbbbbb",
		"-A GDN-INPUT -j REJECT --reject-with icmp-host-prohibited",
		"-A gdn-n-aaaaaaaaaaaaaaaa -p tcp --dport 8080 -j DNAT --to-destination 10.254.0.2:80",
		"-A GDN-POST -s 10.254.0.6/32 ! -o gdn+ -j MASQUERADE",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%q is missing in\n%s", line, got)
		}
	}
	if strings.Contains(got, ":gdn-o-bbbb") {
		t.Error("the chain of a container that did not change is emptied")
	}
	if open := restore(Policy{AllowHostAccess: true}, nil, nil, nil); strings.Contains(open, "REJECT") || !strings.Contains(open, "127.0.0.0/8 -j DROP") {
		t.Errorf("with host access:\n%s", open)
	}
	for line := range strings.Lines(got) { // names the kernel takes
		if name, ok := strings.CutPrefix(line, ":"); ok && len(strings.Fields(name)[0]) > 28 {
			t.Errorf("chain name too long: %s", line)
		}
	}
	if len(Link(a.ID)) > 15 {
		t.Errorf("link name %s is too long", Link(a.ID))
	}
}
