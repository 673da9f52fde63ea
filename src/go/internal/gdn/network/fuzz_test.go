package network

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/gdn/api"
)

// line is what iptables-restore may be given.
var line = regexp.MustCompile(`^(\*(filter|nat)|COMMIT|:[A-Za-z0-9-]{1,28} - \[0:0\]|-[AX] [A-Za-z0-9-]{1,28}( [-A-Za-z0-9_.:/,!+" ]*)?)$`)

// FuzzRules: whatever a client's rules and handle are, each line is one that was meant.
func FuzzRules(f *testing.F) {
	f.Add("h", []byte(`[{"protocol":1,"networks":[{"start":"1.2.3.4","end":"1.2.3.9"}],"ports":[{"start":1,"end":2}],"log":true}]`))
	f.Add("a\"\n-A INPUT -j ACCEPT", []byte(`[{"log":true},{"protocol":3,"icmps":{"type":3,"code":0}},{"networks":[{"end":"2001:db8::"}]}]`))
	f.Fuzz(func(t *testing.T, handle string, body []byte) {
		var rules []api.NetOutRule
		if json.Unmarshal(body, &rules) != nil {
			return
		}
		for _, r := range rules {
			if r.Check() != nil {
				return
			}
		}
		e := Endpoint{ID: "0123456789abcdef", Handle: handle, Lease: Lease{IP: netip.MustParseAddr("10.0.0.1")}, NetOut: rules}
		for l := range strings.Lines(restore(Policy{}, []Endpoint{e}, []Endpoint{e}, nil)) {
			if !line.MatchString(strings.TrimSuffix(l, "\n")) {
				t.Errorf("line %q", l)
			}
		}
	})
}

// FuzzNetwork: a lease lies in its subnet and is given back.
func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"", "10.1.0.0/24", "10.1.0.5/24", "1.2.3.4", "::/0", "10.254.0.0/30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, network string) {
		p, err := NewPool(netip.MustParsePrefix("10.254.0.0/22"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.Acquire(network)
		if err != nil {
			return
		}
		if !l.Subnet.Contains(l.IP) || !l.Subnet.Contains(l.Gateway) || l.IP == l.Gateway {
			t.Errorf("%q: %+v", network, l)
		}
		if p.Release(l); len(p.used) != 0 {
			t.Errorf("%q: %v is left", network, p.used)
		}
	})
}
