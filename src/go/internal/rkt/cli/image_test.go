package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"photonbuild.invalid/compat/internal/acitest"
)

// rkt is a data folder and a configuration folder for commands.
type rkt struct{ data, config string }

func newRkt(t *testing.T) rkt { return rkt{t.TempDir(), t.TempDir()} }

// run runs a command line and returns what it writes to standard output.
func (r rkt) run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	c := newRoot()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetIn(strings.NewReader(stdin))
	c.SetArgs(append([]string{"--dir=" + r.data, "--local-config=" + r.config, "--system-config=" + r.config + "/none"}, args...))
	err := c.Execute()
	return out.String(), err
}

func (r rkt) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.run(t, "", args...)
	if err != nil {
		t.Fatalf("rkt %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (r rkt) refuses(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := r.run(t, "", args...)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("rkt %s: %q, error %v does not say %q", strings.Join(args, " "), out, err, want)
	}
}

func tempFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImageCommands(t *testing.T) {
	r := newRkt(t)
	raw := acitest.Image("example.com/app", `"labels":[{"name":"version","value":"2"}]`, acitest.File("bin/a", "hello"))
	id := acitest.ID(raw)
	file := tempFile(t, "app.aci", raw)
	if out := r.must(t, "--insecure-options=image", "fetch", file); out != id[:len("sha512-")+32]+"\n" {
		t.Errorf("fetch: %q", out)
	}
	if out := r.must(t, "fetch", "--full", "--pull-policy=new", id[:15]); out != id+"\n" {
		t.Errorf("fetch --full: %q", out)
	}
	if out := r.must(t, "image", "list"); !strings.HasPrefix(out, "ID") || !strings.Contains(out, "example.com/app:2") || !strings.Contains(out, "just now") {
		t.Errorf("list: %q", out)
	}
	if out := r.must(t, "image", "list", "--no-legend", "--full", "--fields=id,size,latest"); strings.Fields(out)[0] != id || strings.Fields(out)[2] != "false" {
		t.Errorf("list: %q", out)
	}
	if out := r.must(t, "image", "list", "--format=json"); !strings.HasPrefix(out, `[{"id":"`+id+`","name":"example.com/app:2"`) {
		t.Errorf("list: %q", out)
	}
	if out := r.must(t, "image", "cat-manifest", "--pretty-print=false", "example.com/app"); !strings.HasPrefix(out, `{"acKind":"ImageManifest"`) {
		t.Errorf("cat-manifest: %q", out)
	}
	if out := r.must(t, "__complete", "image", "rm", ""); !strings.HasPrefix(out, "example.com/app:2\n"+id[:19]) {
		t.Errorf("completion: %q", out)
	}
	exported := filepath.Join(t.TempDir(), "out.aci")
	r.must(t, "image", "export", "example.com/app:2", exported)
	if data, err := os.ReadFile(exported); err != nil || !bytes.Equal(data, raw) {
		t.Errorf("export: %d bytes, %v", len(data), err)
	}
	r.refuses(t, "exists", "image", "export", "example.com/app", exported)
	r.must(t, "image", "export", "--overwrite", "example.com/app", exported)
	r.refuses(t, "has not been rendered", "image", "verify", id)
	if out := r.must(t, "image", "rm", id[:20]); !strings.Contains(out, `("example.com/app")`) {
		t.Errorf("rm: %q", out)
	}
	if out := r.must(t, "image", "gc", "--grace-period=0s"); !strings.Contains(out, "0 image(s) successfully removed") {
		t.Errorf("gc: %q", out)
	}
}

func TestImageExtract(t *testing.T) {
	if err := os.Chown(t.TempDir(), 0, 0); err != nil {
		t.Skipf("cannot change owners here: %v", err)
	}
	r := newRkt(t)
	base := acitest.Image("example.com/base", "", acitest.File("base", "b"))
	raw := acitest.Image("example.com/app", `"dependencies":[{"imageName":"example.com/base"}]`, acitest.File("bin/a", "hello"))
	r.must(t, "--insecure-options=image", "fetch", tempFile(t, "base.aci", base))
	r.must(t, "--insecure-options=image", "fetch", "--store-only", tempFile(t, "app.aci", raw))
	dir := filepath.Join(t.TempDir(), "out")
	has := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	r.must(t, "image", "extract", "example.com/app", dir)
	if !has("manifest") || !has("rootfs/bin/a") || has("rootfs/base") {
		t.Error("extract: wrong files")
	}
	r.refuses(t, "exists", "image", "render", "example.com/app", dir)
	r.must(t, "image", "render", "--overwrite", "--rootfs-only", "example.com/app", dir)
	if has("manifest") || !has("bin/a") || !has("base") {
		t.Error("render: wrong files")
	}
}

func TestImageRefusals(t *testing.T) {
	r := newRkt(t)
	for want, args := range map[string][]string{
		"an image is needed":          {"image", "rm"},
		"unknown field":               {"image", "list", "--fields=colour"},
		`unknown order "up"`:          {"image", "list", "--order=up"},
		`unknown format "xml"`:        {"image", "list", "--format=xml"},
		"not in the local store":      {"image", "cat-manifest", "example.com/none"},
		"exclude each other":          {"fetch", "--no-store", "--store-only", "x"},
		"unknown pull policy":         {"fetch", "--pull-policy=often", "x"},
		"is neither an image name":    {"fetch", "UPPER"},
		"cimd":                        {"fetch", "cimd:appc:v=0:example.com/app"},
		"unknown security feature":    {"--insecure-options=nothing", "fetch", "x"},
		"neither --prefix nor --root": {"trust"},
		"needs a public key":          {"trust", "--root"},
		"not an AC Identifier":        {"trust", "--prefix=a/../b", "x"},
		"no such file":                {"trust", "--root", "/nonexistent/key"},
		"plain http":                  {"trust", "--root", "http://example.com/key"},
	} {
		r.refuses(t, want, args...)
	}
}

func TestTrustAndVerify(t *testing.T) {
	r := newRkt(t)
	cfg := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}
	key, err := openpgp.NewEntity("alice", "", "alice@example.com", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var public, sig bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw := acitest.Image("example.com/app", "")
	if err := openpgp.ArmoredDetachSign(&sig, key, bytes.NewReader(raw), cfg); err != nil {
		t.Fatal(err)
	}
	keyFile, image, other := tempFile(t, "key", public.Bytes()), tempFile(t, "app.aci", raw), tempFile(t, "b.aci", raw)
	asc := tempFile(t, "app.asc", sig.Bytes())
	r.refuses(t, "no key is trusted", "fetch", image, "--signature="+asc)
	if out, err := r.run(t, "perhaps\nno\n", "trust", "--prefix=example.com", keyFile); err != nil || !strings.Contains(out, "Not trusting") || !strings.Contains(out, "fingerprint is: ") {
		t.Errorf("trust, no: %q %v", out, err)
	}
	if _, err := r.run(t, "", "trust", "--prefix=example.com", keyFile); err == nil {
		t.Error("trust without an answer")
	}
	if out, err := r.run(t, "yes\n", "trust", "--prefix=example.com", keyFile); err != nil || !strings.Contains(out, `Added key for prefix "example.com" at "`+r.config) {
		t.Errorf("trust, yes: %q %v", out, err)
	}
	r.must(t, "fetch", image, "--signature="+asc)
	r.refuses(t, "b.aci.asc", "fetch", image, "--signature="+asc, other)
	r.refuses(t, "a second signature", "fetch", image, "--signature="+asc, "--signature="+asc)
	if out := r.must(t, "trust", "--root", "--skip-fingerprint-review", keyFile); !strings.Contains(out, "root.d") {
		t.Errorf("trust --root: %q", out)
	}
}

func TestDataFolderOfTheConfiguration(t *testing.T) {
	r := newRkt(t)
	file := filepath.Join(r.config, "paths.d", "p.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"rktKind":"paths","rktVersion":"v1","data":"`+r.data+`/configured"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r.must(t, "image", "list") // --dir comes first
	if _, err := os.Stat(r.data + "/configured"); err == nil {
		t.Error("the configuration overrides --dir")
	}
	c := newRoot()
	c.SetOut(&bytes.Buffer{})
	c.SetArgs([]string{"--local-config=" + r.config, "--system-config=" + r.config, "image", "list"})
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.data + "/configured/cas"); err != nil {
		t.Error(err)
	}
}
