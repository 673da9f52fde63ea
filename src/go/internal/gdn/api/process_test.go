package api

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestProcessOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		body           string
		sidecar, limit bool
		message        string // of the error, "" for none
	}{
		{`{"path":"x"}`, false, false, ""},
		{`{"path":"x","limits":{}}`, false, false, ""},
		{`{"path":"x","limits":{"cpu_limits":{},"memory_limits":{}},"image":{}}`, false, false, ""},
		{`{"path":"x","limits":{"cpu_limits":{"weight":5}}}`, true, true, ""},
		{`{"path":"x","image":{"uri":"/r"}}`, true, false, ""},
		{`{"path":"x","image":{"uri":"/r"},"limits":{}}`, true, true, ""},
		{`{"path":"x","image":{"uri":"/r"},"bind_mounts":[{"src_path":"/a","dst_path":"/b"}],"limits":{"memory_limits":{"limit_in_bytes":1}}}`, true, true, ""},
		{`{"path":"x","bind_mounts":[{"src_path":"/a","dst_path":"/b"}]}`, false, false, "need a root file system"},
		{`{"path":"x","image":{"uri":"/r"},"bind_mounts":[{"src_path":"a","dst_path":"/b"}]}`, true, false, "bind_mounts[0]: src_path"},
		{`{"path":"x","image":{"uri":"/r","password":"p"}}`, true, false, "together"},
	} {
		var s ProcessSpec
		if err := json.Unmarshal([]byte(c.body), &s); err != nil {
			t.Fatal(err)
		}
		if s.Sidecar() != c.sidecar || s.OwnLimits() != c.limit {
			t.Errorf("%s: sidecar %v, limits %v", c.body, s.Sidecar(), s.OwnLimits())
		}
		err := s.Check()
		if (err == nil) != (c.message == "") || err != nil && !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, want %q", c.body, err, c.message)
		}
	}
}
