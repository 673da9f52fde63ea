package fetch

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"photonbuild.invalid/compat/internal/acitest"
	"photonbuild.invalid/compat/internal/rkt/config"
)

// dockerArchive writes what "docker save" does.
func dockerArchive(t *testing.T, path, body string) {
	t.Helper()
	raw := acitest.Tar(acitest.File("bin/a", body))
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.com/team/app:3")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
}

func TestDockerArchive(t *testing.T) {
	w := newWorld(t)
	w.f.Insecure.Image = true
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.tar"), filepath.Join(dir, "two.tar")
	dockerArchive(t, one, "x")
	dockerArchive(t, two, "x")
	id, err := w.image("docker-archive:" + one)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"docker-archive:" + one, "docker-archive:" + two, "docker-archive:" + two + ":example.com/team/app:3"} {
		if again, err := w.image(ref); err != nil || again != id {
			t.Errorf("%s: %s, %v; the same image was %s", ref, again, err, id)
		}
	}
	if got, err := Local(w.f.Store, "docker-archive:"+one); err != nil || got != id {
		t.Errorf("by reference: %s %v", got, err)
	}
	if got, err := Local(w.f.Store, "example.com/team/app:3"); err != nil || got != id {
		t.Errorf("by name: %s %v", got, err)
	}
	dockerArchive(t, one, "y")
	if changed, err := w.image("docker-archive:" + one); err != nil || changed == id {
		t.Errorf("a changed file gave %s, %v", changed, err)
	}
	_, err = Local(w.f.Store, "docker://never/fetched")
	wantError(t, err, "not in the local store")
}

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	w.f.Insecure.Image = true
	raw := string(acitest.Image("example.com/app", versionOne))
	w.files["example.com/app.aci"], w.files["example.com/away.aci"] = raw, "redirect:https://elsewhere.example.com/app.aci"
	w.files["elsewhere.example.com/app.aci"] = raw
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "auth.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := `{"rktKind":"auth","rktVersion":"v1","domains":["example.com"],"type":"oauth","credentials":{"token":"secret"}}`
	if err := os.WriteFile(filepath.Join(dir, "auth.d", "a.json"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.f.Config, err = config.Load(dir); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	w.seen = func(r *http.Request) { seen[r.Host] += r.Header.Get("Authorization") + ";" }
	for _, u := range []string{"https://example.com/app.aci", "https://example.com/away.aci"} {
		if _, err := w.image(u); err != nil {
			t.Error(err)
		}
	}
	if seen["example.com"] != "Bearer secret;Bearer secret;" || strings.Trim(seen["elsewhere.example.com"], ";") != "" {
		t.Errorf("sent: %v", seen)
	}
}
