package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"photonbuild.invalid/compat/internal/acitest"
	"photonbuild.invalid/compat/internal/rkt/store"
	"photonbuild.invalid/compat/internal/rkt/trust"
)

var keyConfig = &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}

// world is a server that is every host, https and http, with a store and keys.
type world struct {
	f     Fetcher
	key   *openpgp.Entity
	files map[string]string // "host/path" → body
	log   []string          // what was asked for
	etags bool
	seen  func(*http.Request)
	keys  string // local configuration folder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := openpgp.NewEntity("alice", "", "alice@example.com", keyConfig)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{key: key, files: map[string]string{}, keys: t.TempDir()}
	httpsNet, httpNet := newMemory(), newMemory()
	secure := &httptest.Server{Listener: httpsNet, Config: &http.Server{Handler: w}}
	plain := &httptest.Server{Listener: httpNet, Config: &http.Server{Handler: w}}
	secure.StartTLS()
	plain.Start()
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	w.f = Fetcher{Store: s, Policy: New, Keys: trust.NewKeystore(w.keys), KeyDir: w.keys, Transport: &http.Transport{
		// The server's certificate is for example.com and its subdomains.
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			if strings.HasSuffix(addr, ":80") {
				return httpNet.dial(ctx)
			}
			return httpsNet.dial(ctx)
		},
	}}
	return w
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	name := r.Host + r.URL.Path
	w.log = append(w.log, name)
	if w.seen != nil {
		w.seen(r)
	}
	body, ok := w.files[name]
	switch {
	case !ok:
		http.NotFound(rw, r)
	case strings.HasPrefix(body, "redirect:"):
		http.Redirect(rw, r, strings.TrimPrefix(body, "redirect:"), http.StatusFound)
	case body == "401":
		rw.WriteHeader(http.StatusUnauthorized)
	case w.etags && r.Header.Get("If-None-Match") == `"one"`:
		rw.WriteHeader(http.StatusNotModified)
	default:
		if w.etags {
			rw.Header().Set("ETag", `"one"`)
		}
		fmt.Fprint(rw, body)
	}
}

func (w *world) sign(t *testing.T, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, w.key, bytes.NewReader(data), keyConfig); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (w *world) publicKey(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	a, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.key.Serialize(a); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// serve publishes a signed image for discovery.
func (w *world) serve(t *testing.T, name, version string, raw []byte) {
	t.Helper()
	w.files[name] = `<meta name="ac-discovery" content="` + name + ` https://dl.example.com/{name}-{version}-{os}-{arch}.{ext}">` +
		`<meta name="ac-discovery-pubkeys" content="` + name + ` https://dl.example.com/key.gpg">`
	w.files["dl.example.com/key.gpg"] = w.publicKey(t)
	file := "dl.example.com/" + name + "-" + version + "-linux-amd64.aci"
	w.files[file], w.files[file+".asc"] = string(raw), w.sign(t, raw)
}

func (w *world) trust(t *testing.T) {
	t.Helper()
	if _, err := trust.Add(w.keys, "example.com", w.key); err != nil {
		t.Fatal(err)
	}

}

const versionOne = `"labels":[{"name":"version","value":"1.0"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}]`

func (w *world) image(ref string) (string, error) { return w.f.Image(context.Background(), ref, Auto) }

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v does not say %q", err, want)
	}
}

func TestByName(t *testing.T) {
	w := newWorld(t)
	raw := acitest.Image("example.com/app", versionOne)
	w.serve(t, "example.com/app", "1.0", raw)
	_, err := w.image("example.com/app:1.0")
	wantError(t, err, "no key is trusted")
	wantError(t, err, "hint: rkt trust --prefix=example.com/app")
	w.trust(t)
	id, err := w.image("example.com/app:1.0")
	if err != nil || id != acitest.ID(raw) {
		t.Fatalf("%s %v", id, err)
	}
	before := len(w.log)
	if again, err := w.image("example.com/app:1.0"); err != nil || again != id || len(w.log) != before {
		t.Errorf("again: %s %v, %d requests", again, err, len(w.log)-before)
	}
	w.f.Policy = Never
	if _, err := w.image("example.com/app"); err != nil {
		t.Errorf("from the store: %v", err)
	}
	_, err = w.image("example.com/app:2.0")
	wantError(t, err, "not in the local store")
	if got, err := Local(w.f.Store, "example.com/app:1.0"); err != nil || got != id {
		t.Errorf("Local: %s %v", got, err)
	}
}

func TestDiscoveryGoesUp(t *testing.T) {
	w := newWorld(t)
	w.trust(t)
	raw := acitest.Image("example.com/a/b", versionOne)
	w.files["example.com/"] = `<html><meta name="other" content="x"><meta name="ac-discovery" content="example.com hdfs://x/{name}.{ext}">` +
		`<meta name="ac-discovery" content="example.com https://dl.example.com/{name}.{ext}">`
	w.files["dl.example.com/example.com/a/b.aci"] = string(raw)
	w.files["dl.example.com/example.com/a/b.aci.asc"] = w.sign(t, raw)
	if id, err := w.image("example.com/a/b"); err != nil || id != acitest.ID(raw) {
		t.Errorf("%s %v (asked for %v)", id, err, w.log)
	}
	_, err := w.image("example.com/a/c")
	wantError(t, err, "404")
}

func TestNameAndLabelsMustMatch(t *testing.T) {
	for what, c := range map[string]struct{ raw, want string }{
		"name":       {string(acitest.Image("example.com/other", versionOne)), `named "example.com/other"`},
		"version":    {string(acitest.Image("example.com/app", `"labels":[{"name":"version","value":"2"}]`)), "version=2, not version=1.0"},
		"no version": {string(acitest.Image("example.com/app", "")), `no label "version"`},
		"os":         {string(acitest.Image("example.com/app", `"labels":[{"name":"version","value":"1.0"},{"name":"os","value":"freebsd"}]`)), "os=freebsd"},
		"no ACI":     {"<html>", "not an App Container image"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.trust(t)
			w.serve(t, "example.com/app", "1.0", []byte(c.raw))
			_, err := w.image("example.com/app:1.0")
			wantError(t, err, c.want)
			if list, _ := w.f.Store.List(); len(list) != 0 {
				t.Errorf("the store holds %d images", len(list))
			}
		})
	}
}

func TestSignatures(t *testing.T) {
	w := newWorld(t)
	w.trust(t)
	raw := acitest.Image("example.com/app", versionOne)
	w.files["example.com/app.aci"] = string(raw)
	_, err := w.image("https://example.com/app.aci")
	wantError(t, err, "no signature")
	wantError(t, err, "--insecure-options=image")
	w.files["example.com/app.aci.asc"] = "404 page"
	_, err = w.image("https://example.com/app.aci")
	wantError(t, err, "not ASCII-armored")
	w.files["example.com/app.aci.asc"] = w.sign(t, []byte("something else"))
	_, err = w.image("https://example.com/app.aci")
	wantError(t, err, "bad signature")
	good := filepath.Join(t.TempDir(), "good.asc")
	if err := os.WriteFile(good, []byte(w.sign(t, raw)), 0o644); err != nil {
		t.Fatal(err)
	}
	w.f.Signature = good
	if _, err := w.image("https://example.com/app.aci"); err != nil {
		t.Errorf("with --signature: %v", err)
	}
}

func TestTrustKeysFromHTTPS(t *testing.T) {
	w := newWorld(t)
	raw := acitest.Image("example.com/app", versionOne)
	w.serve(t, "example.com/app", "1.0", raw)
	w.f.TrustKeysFromHTTPS = true
	if _, err := w.image("example.com/app:1.0"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.keys, "trustedkeys/prefix.d/example.com/app", trust.Fingerprint(w.key))); err != nil {
		t.Error(err)
	}
}

func TestDiscoveredKeysDoNotOverrideKnownOnes(t *testing.T) {
	for file, want := range map[string]string{
		"prefix.d/example.com/app/other":   "not made by a trusted key", // pinned to another key
		"prefix.d/example.com/FINGERPRINT": "not made by a trusted key", // disabled above
		"root.d/FINGERPRINT":               "not made by a trusted key", // disabled for all
	} {
		t.Run(file, func(t *testing.T) {
			w := newWorld(t)
			w.serve(t, "example.com/app", "1.0", acitest.Image("example.com/app", versionOne))
			w.f.TrustKeysFromHTTPS = true
			path := filepath.Join(w.keys, "trustedkeys", strings.ReplaceAll(file, "FINGERPRINT", trust.Fingerprint(w.key)))
			if filepath.Base(path) == "other" {
				other, err := openpgp.NewEntity("other", "", "other@example.com", nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := trust.Add(w.keys, "example.com/app", other); err != nil {
					t.Fatal(err)
				}
			} else if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			_, err := w.image("example.com/app:1.0")
			wantError(t, err, want)
			if _, err := os.Stat(filepath.Join(w.keys, "trustedkeys/prefix.d/example.com/app", trust.Fingerprint(w.key))); err == nil {
				t.Error("the discovered key was added")
			}
		})
	}
}

func TestURLs(t *testing.T) {
	w := newWorld(t)
	w.f.Insecure.Image = true
	w.etags = true
	raw := acitest.Image("example.com/app", versionOne)
	w.files["example.com/app.aci"] = string(raw)
	w.files["example.com/moved.aci"] = "redirect:https://dl.example.com/app.aci"
	w.files["dl.example.com/app.aci"] = string(raw)
	w.files["example.com/down.aci"] = "redirect:http://example.com/app.aci"
	w.files["example.com/secret.aci"] = "401"
	for _, u := range []string{"https://example.com/app.aci", "https://example.com/moved.aci"} {
		if id, err := w.image(u); err != nil || id != acitest.ID(raw) {
			t.Errorf("%s: %s %v", u, id, err)
		}
	}
	w.f.Policy = Update
	w.log = nil
	if id, err := w.image("https://example.com/app.aci"); err != nil || id != acitest.ID(raw) || len(w.log) != 1 {
		t.Errorf("update: %s %v %v", id, err, w.log)
	}
	for u, want := range map[string]string{
		"https://example.com/down.aci":   "without TLS",
		"https://example.com/secret.aci": "auth.d",
		"https://example.com/none.aci":   "404",
		"http://example.com/app.aci":     "--insecure-options=http",
	} {
		_, err := w.image(u)
		wantError(t, err, want)
	}
	w.f.Insecure.HTTP = true
	if _, err := w.image("http://example.com/app.aci"); err != nil {
		t.Errorf("http, allowed: %v", err)
	}
	w.f.Policy = Never
	_, err := w.image("https://example.com/other.aci")
	wantError(t, err, "not in the local store")
}

func TestFiles(t *testing.T) {
	w := newWorld(t)
	raw := acitest.Image("example.com/app", versionOne)
	path := filepath.Join(t.TempDir(), "app.aci")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := w.image(path)
	wantError(t, err, "app.aci.asc")
	if err := os.WriteFile(path+".asc", []byte(w.sign(t, raw)), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = w.image(path)
	wantError(t, err, "no key is trusted")
	w.trust(t)
	for _, ref := range []string{path, "file://" + path} {
		if id, err := w.image(ref); err != nil || id != acitest.ID(raw) {
			t.Errorf("%s: %s %v", ref, id, err)
		}
	}
	if id, err := w.image(acitest.ID(raw)[:20]); err != nil || id != acitest.ID(raw) {
		t.Errorf("by ID: %s %v", id, err)
	}
	_, err = w.image("sha512-0000000000")
	wantError(t, err, "not in the local store")
	_, err = w.image(filepath.Dir(path))
	wantError(t, err, "not a regular file")
	_, err = w.image(path + ".gone")
	wantError(t, err, "no such file")
}

func TestDependencies(t *testing.T) {
	w := newWorld(t)
	w.trust(t)
	base := acitest.Image("example.com/base", versionOne)
	w.serve(t, "example.com/base", "1.0", base)
	top := func(name, more string) []byte {
		return acitest.Image(name, versionOne+`,"dependencies":[{"imageName":"example.com/base","labels":[{"name":"version","value":"1.0"}]`+more+`}]`)
	}
	w.serve(t, "example.com/wrong", "1.0", top("example.com/wrong", `,"imageID":"`+acitest.ID([]byte("x"))+`"`))
	_, err := w.image("example.com/wrong:1.0")
	wantError(t, err, "is asked for")
	w.serve(t, "example.com/short", "1.0", top("example.com/short", `,"size":12`))
	w.f.Policy = Update
	_, err = w.image("example.com/short:1.0")
	wantError(t, err, "should have (12)")
	w.f.Policy = New
	w.serve(t, "example.com/top", "1.0", top("example.com/top", fmt.Sprintf(`,"imageID":%q,"size":%d`, acitest.ID(base), len(base))))
	if _, err := w.image("example.com/top:1.0"); err != nil {
		t.Error(err)
	}
	w.serve(t, "example.com/lost", "1.0", acitest.Image("example.com/lost", versionOne+`,"dependencies":[{"imageName":"example.com/nowhere"}]`))
	_, err = w.image("example.com/lost:1.0")
	wantError(t, err, "example.com/nowhere")
	w.serve(t, "example.com/self", "1.0", acitest.Image("example.com/self", versionOne+`,"dependencies":[{"imageName":"example.com/self"}]`))
	_, err = w.image("example.com/self:1.0")
	wantError(t, err, "loop")
}

func TestClassify(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("local.aci", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]Kind{
		"sha512-abcd": ID, "example.com/app": Name, "example.com/app:v1,os=linux": Name, "docker://busybox": Docker, "docker:busybox": Docker,
		"oci:/x": Docker, "docker-archive:/x.tar:a:b": Docker, "https://e.com/x": URL, "http://e.com/x": URL, "/a/b": File, "./a": File,
		"../a": File, "file:///a": File, "local.aci": File, "gone.aci": Name,
	} {
		if got, err := Classify(s); err != nil || got != want {
			t.Errorf("%s is %d, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"": "no image", "cimd:appc:v=0:x": "cimd", "ftp://x": "scheme", "Example.COM": "neither", "a/../b": "neither", "a:b:c": "neither", "a,b": "neither",
	} {
		_, err := Classify(s)
		wantError(t, err, want)
	}
}

func TestDockerNeedsTheOption(t *testing.T) {
	w := newWorld(t)
	_, err := w.image("oci:/nowhere")
	wantError(t, err, "--insecure-options=image")
	w.f.Insecure.Image = true
	_, err = w.image("oci:/nowhere")
	wantError(t, err, "/nowhere")
	w.f.Signature = "x"
	_, err = w.image("oci:/nowhere")
	wantError(t, err, "signature file")
}

// FuzzDiscovery feeds discovery pages and names.
func FuzzDiscovery(f *testing.F) {
	f.Add("example.com/app:v1,os=linux", "public, max-age=3")
	f.Add("a,b=c,b=d", "max-age=99999999999999999999")
	f.Add("..", "no-cache")
	f.Fuzz(func(t *testing.T, name, cache string) {
		if a, err := ParseName(name); err == nil && strings.Contains(string(a.Name), "..") {
			t.Errorf("name %q", a.Name)
		}
		_, _ = Classify("\x00" + name)
		if d := maxAge(http.Header{"Cache-Control": {cache}}); d < 0 {
			t.Errorf("max-age %v", d)
		}
	})
}
