package fetch

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/appc/spec/discovery"
)

// page answers every request with one body.
type page string

func (p page) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if _, err := w.WriteString(string(p)); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// FuzzDiscoveryPage feeds the discovery library what a server may answer.
func FuzzDiscoveryPage(f *testing.F) {
	f.Add(`<meta name="ac-discovery" content="example.com https://x/{name}.{ext}">`)
	f.Add(`<meta name="ac-discovery" content="example.com {ext}{ext}{"><meta name=ac-discovery-pubkeys content="e x">`)
	f.Add("<<<<meta")
	f.Fuzz(func(t *testing.T, body string) {
		discovery.Client.Transport = page(body)
		list, _, err := discovery.DiscoverACIEndpoints(discovery.App{Name: "example.com/app"}, nil, discovery.InsecureNone, 0)
		if err != nil {
			return
		}
		for _, e := range list {
			if strings.Contains(e.ACI, "{ext}") {
				t.Errorf("a template is left: %q", e.ACI)
			}
		}
	})
}
