package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

func write(t *testing.T, dir, file, body string) {
	t.Helper()
	path := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The examples are those of configuration.md: the local folder overrides the
// system's, domain by domain.
func TestOverride(t *testing.T) {
	system, local := t.TempDir(), t.TempDir()
	write(t, system, "auth.d/coreos.json", `{"rktKind":"auth","rktVersion":"v1","domains":["coreos.com","tectonic.com","kubernetes.io"],"type":"oauth","credentials":{"token":"common-token"}}`)
	write(t, local, "auth.d/specific-coreos.json", `{"rktKind":"auth","rktVersion":"v1","domains":["coreos.com"],"type":"basic","credentials":{"user":"foo","password":"bar"}}`)
	write(t, local, "auth.d/README", "not read")
	write(t, system, "auth.d/docker.json", `{"rktKind":"dockerAuth","rktVersion":"v1","registries":["registry.example","other.example"],"credentials":{"user":"u","password":"p"}}`)
	write(t, system, "paths.d/p.json", `{"rktKind":"paths","rktVersion":"v1","data":"/srv/a"}`)
	write(t, local, "paths.d/p.json", `{"rktKind":"paths","rktVersion":"v1","data":"/srv/b"}`)
	c, err := Load(system, local, "", filepath.Join(local, "missing"))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"kubernetes.io": "Bearer common-token", "coreos.com": "Basic Zm9vOmJhcg==", "other.com": "",
	} {
		if got := c.Authorization(host); got != want {
			t.Errorf("%s: %q", host, got)
		}
	}
	if c.DataDir != "/srv/b" {
		t.Errorf("data folder %s", c.DataDir)
	}
	for ref, want := range map[string]string{"registry.example/redis": "u", "other.example/a/b": "u", "example.com/a": ""} {
		r, err := name.ParseReference(ref)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Resolve(r.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := &authn.AuthConfig{}
		if a != authn.Anonymous {
			if got, err = a.Authorization(); err != nil {
				t.Fatal(err)
			}
		}
		if got.Username != want {
			t.Errorf("%s: user %q", ref, got.Username)
		}
	}
	if got := c.Headers()["coreos.com"].Get("Authorization"); got != "Basic Zm9vOmJhcg==" {
		t.Errorf("header %q", got)
	}
}

func TestRefuses(t *testing.T) {
	const head = `"rktVersion":"v1","rktKind":`
	for body, want := range map[string]string{
		"{":                                    "not JSON",
		"{}":                                   "rktKind is missing",
		`{"rktKind":"stage1"}`:                 `unknown rktKind "stage1"`,
		`{"rktKind":"auth"}`:                   "only v1",
		"{" + head + `"auth"}`:                 "no domains",
		"{" + head + `"paths"}`:                "unknown rktKind",
		"{" + head + `"auth","domains":["a"]}`: "type is missing",
		"{" + head + `"auth","domains":["a"],"type":"aws"}`:                                   "aws is not supported",
		"{" + head + `"auth","domains":["a"],"type":"x"}`:                                     `unknown type "x"`,
		"{" + head + `"auth","domains":["a"],"type":"basic"}`:                                 "credentials are missing",
		"{" + head + `"auth","domains":["a"],"type":"basic","credentials":{}}`:                "must not be empty",
		"{" + head + `"auth","domains":["a"],"type":"oauth","credentials":{}}`:                "no token",
		"{" + head + `"dockerAuth"}`:                                                          "no registries",
		"{" + head + `"auth","domains":["a","a"],"type":"oauth","credentials":{"token":"t"}}`: "is set here and in",
	} {
		dir := t.TempDir()
		write(t, dir, "auth.d/f.json", body)
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "f.json") {
			t.Errorf("%s: error %v does not say %q", body, err, want)
		}
	}
	dir := t.TempDir()
	write(t, dir, "paths.d/f.json", `{`+head+`"paths","data":"relative"}`)
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("relative data folder: %v", err)
	}
}
