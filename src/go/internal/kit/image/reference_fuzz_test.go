package image

import "testing"

// FuzzParse: a reference that was read is written in a form that reads as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"docker://redis", "docker:///redis:5", "docker://h:5000/a/b@sha256:12", "oci:/x:v1", "oci://x", "docker-archive:/a.tar:b:c", "docker://", ":", "oci::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() || again.Path != r.Path || again.Ref != r.Ref {
			t.Errorf("%q: %q is read as %q, %v", s, r.String(), again.String(), err)
		}
	})
}
