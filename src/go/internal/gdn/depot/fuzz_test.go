package depot

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzState: a state file that is accepted has what the rest needs.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"0123456789abcdef","handle":"h","lease":{"subnet":"10.0.0.0/30","ip":"10.0.0.1","gateway":"10.0.0.2"}}`))
	f.Add([]byte(`{"version":1,"id":"../x","handle":"h"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := load(path)
		if err == nil && (!isID(s.ID) || s.Handle == "" || !s.Lease.IP.Is4() && s.Status != creating) {
			t.Errorf("%q is accepted: %+v", data, s)
		}
	})
}

// FuzzReference: a root file system is a path or an image, and never an option.
func FuzzReference(f *testing.F) {
	for _, uri := range []string{"/r", "docker:///busybox#1", "oci:///d#r", "file:///r", "docker://h:1/n#sha256:ab"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		ref, image, err := reference(uri, "registry.example")
		if err == nil && image && !strings.HasPrefix(ref, "docker://") && !strings.HasPrefix(ref, "oci:/") && !strings.HasPrefix(ref, "docker-archive:/") {
			t.Errorf("%q became %q", uri, ref)
		}
	})
}

// FuzzResolver: what is left of a resolv.conf has no server that only the host reaches.
func FuzzResolver(f *testing.F) {
	f.Add("nameserver 127.0.0.53\nnameserver 10.0.0.1\n# x\nsearch a\n")
	f.Fuzz(func(t *testing.T, text string) {
		for line := range strings.Lines(reachable(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 || fields[0] != "nameserver" {
				continue
			}
			if a, err := netip.ParseAddr(fields[1]); err == nil && a.IsLoopback() {
				t.Errorf("%q keeps %q", text, line)
			}
		}
	})
}
