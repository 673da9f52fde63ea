package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
)

var ctx = context.Background()

// layerOf makes a layer of "name=contents" (".wh." names too), "dir/" and
// "link>target" (hard link).
func layerOf(t testing.TB, entries ...string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		file, body, isFile := strings.Cut(e, "=")
		h := &tar.Header{Name: file, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body)), ModTime: time.Unix(1700000000, 0)}
		if link, target, ok := strings.Cut(e, ">"); ok {
			h.Name, h.Typeflag, h.Linkname = link, tar.TypeLink, target
		} else if !isFile && strings.HasSuffix(e, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o1777
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func imageOf(t testing.TB, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Config.Cmd = "linux", arch, []string{"/bin/sh"}
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		t.Fatal(err)
	}
	return img
}

func TestParse(t *testing.T) {
	const digest = "sha256:a59906e33509d14c036c8678d687bd4eec81ed7c4b8ce907b888c607f6a1e0e6"
	for s, want := range map[string]string{
		"docker://redis": "docker://" + name.DefaultRegistry + "/library/redis:latest", "docker:///redis": "docker://" + name.DefaultRegistry + "/library/redis:latest",
		"docker:redis:3": "docker://" + name.DefaultRegistry + "/library/redis:3", "docker://registry.example/a/b@" + digest: "docker://registry.example/a/b@" + digest,
		"docker://localhost:5000/x:y": "docker://localhost:5000/x:y", "oci:/a/b": "oci:/a/b", "oci:/a/b:v1": "oci:/a/b:v1",
		"docker-archive:/x.tar:a/b:c": "docker-archive:/x.tar:a/b:c",
	} {
		r, err := Parse(s)
		if err != nil || r.String() != want {
			t.Errorf("%s: %s, %v", s, r, err)
			continue
		}
		if again, err := Parse(r.String()); err != nil || again.String() != want {
			t.Errorf("%s does not parse to itself: %v", want, err)
		}
	}
	for s, want := range map[string]string{
		"redis": "no transport", "docker://": "no image name", "oci:": "no path", "docker-archive:": "no path", "ftp:x": "unknown transport",
		"docker://UPPER": "image reference", "docker://a@sha256:12": "image reference",
	} {
		if _, err := Parse(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not say %q", s, err, want)
		}
	}
}

// tree lists a tar as "name=contents", sorted as it came.
func tree(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	var out []string
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			out = append(out, h.Name+"="+string(body))
		case tar.TypeLink:
			out = append(out, h.Name+">"+h.Linkname)
		}
	}
}

func TestFlatten(t *testing.T) {
	img := imageOf(t, "amd64",
		layerOf(t, "a=1", "hard>a", "gone=1", "d/x=1", "d/y=1", "o/x=1"),
		layerOf(t, "a=2", ".wh.gone=", "d/.wh.x=", "o/.wh..wh..opq=", "o/z=2"))
	if got := tree(t, Flatten(img)); got != "a=2 d/y=1 hard=1 o/z=2" {
		t.Errorf("flattened to %s", got)
	}
	one, err := io.ReadAll(Flatten(img))
	if err != nil {
		t.Fatal(err)
	}
	two, err := io.ReadAll(Flatten(img))
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("not the same bytes twice (%v)", err)
	}
}

// liar is a layer with other contents than its diff ID.
type liar struct{ v1.Layer }

func (l liar) DiffID() (v1.Hash, error) {
	return v1.NewHash("sha256:" + strings.Repeat("0", 64))
}

func TestWrongDiffID(t *testing.T) {
	img := imageOf(t, "amd64", liar{layerOf(t, "a=1")})
	if _, err := io.ReadAll(Flatten(img)); err == nil || !strings.Contains(err.Error(), "diff ID") {
		t.Errorf("flatten: %v", err)
	}
	s := Store{Root: t.TempDir()}
	if _, err := s.Add(ctx, img); err == nil || !strings.Contains(err.Error(), "diff ID") && !strings.Contains(err.Error(), "chown") {
		t.Errorf("add: %v", err)
	}
	for _, d := range []string{"images", "tmp"} {
		if left, _ := os.ReadDir(filepath.Join(s.Root, d)); len(left) != 0 {
			t.Errorf("%s holds %v", d, left)
		}
	}
}

func TestFetchRegistry(t *testing.T) {
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	secure, plain := httptest.NewUnstartedServer(handler), httptest.NewServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	defer plain.Close()
	if c, err := net.Dial("tcp", plain.Listener.Addr().String()); err != nil {
		t.Skipf("no loopback network here: %v", err)
	} else {
		c.Close()
	}
	good := imageOf(t, "amd64", layerOf(t, "a=1"))
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageOf(t, "arm64", layerOf(t, "a=arm")), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: good, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	foreign := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageOf(t, "arm64", layerOf(t, "a=arm")), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	host := strings.TrimPrefix(plain.URL, "http://")
	push := func(repo string) name.Reference {
		r, err := name.ParseReference(host+"/"+repo, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, err := range []error{
		remote.Write(push("one"), good), remote.WriteIndex(push("multi"), index), remote.WriteIndex(push("foreign"), foreign),
		remote.Write(push("arm"), imageOf(t, "arm64")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	secureHost := strings.TrimPrefix(secure.URL, "https://")
	for _, c := range []struct {
		ref  string
		o    FetchOptions
		want string
	}{
		{host + "/one", FetchOptions{Insecure: true}, ""},
		{secureHost + "/multi", FetchOptions{InsecureTLS: true}, ""},
		{host + "/one", FetchOptions{}, "plain http"},
		{secureHost + "/one", FetchOptions{}, "certificate"},
		{secureHost + "/none", FetchOptions{InsecureTLS: true}, "NAME_UNKNOWN"},
		{secureHost + "/foreign", FetchOptions{InsecureTLS: true}, "linux/amd64"},
		{secureHost + "/arm", FetchOptions{InsecureTLS: true}, "it is for linux/arm64"},
	} {
		ref, err := Parse("docker://" + c.ref)
		if err != nil {
			t.Fatal(err)
		}
		img, err := Fetch(ctx, ref, c.o)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v does not say %q", c.ref, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.ref, err)
			continue
		}
		if got := tree(t, Flatten(img)); got != "a=1" {
			t.Errorf("%s holds %s", c.ref, got)
		}
	}
}

func TestFetchLocal(t *testing.T) {
	dir := t.TempDir()
	img := imageOf(t, "amd64", layerOf(t, "a=1"))
	p, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"v1", "v2"} {
		if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{refName: ref, fullName: "example.com/team/app:" + ref})); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := name.NewTag("example.com/team/app:3")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(filepath.Join(dir, "a.tar"), tag, img); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"oci:@/layout:v1": "", "docker-archive:@/a.tar": "", "docker-archive:@/a.tar:example.com/team/app:3": "",
		"oci:@/layout": "2 images match", "oci:@/layout:v3": "no such image", "oci:@/none": "no such file",
		"docker-archive:@/a.tar:other:1": "not found", "docker-archive:@/none": "no such file", "docker-archive:@/layout/index.json": "docker archive",
	} {
		r, err := Parse(strings.Replace(ref, "@", dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Fetch(ctx, r, FetchOptions{})
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v does not say %q", ref, err, want)
			}
			continue
		}
		if err != nil || tree(t, Flatten(got)) != "a=1" {
			t.Errorf("%s: %v", ref, err)
		}
	}
	r, _ := Parse("oci:" + dir + "/layout:v2")
	if reg, repo, tag, ok := r.StoredName(); !ok || reg != "example.com" || repo != "team/app" || tag != "v2" {
		t.Errorf("stored name %s %s %s %v", reg, repo, tag, ok)
	}
	r, _ = Parse("docker-archive:" + dir + "/a.tar")
	if reg, repo, tag, ok := r.StoredName(); !ok || reg != "example.com" || repo != "team/app" || tag != "3" {
		t.Errorf("stored name %s %s %s %v", reg, repo, tag, ok)
	}
}

func TestLayoutIsVerified(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	img := imageOf(t, "amd64", layerOf(t, "a=1"))
	if err := p.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	id, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(dir, "blobs", "sha256", id.Hex)
	data, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, bytes.Replace(data, []byte("/bin/sh"), []byte("/bin/xx"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	r, _ := Parse("oci:" + dir)
	if _, err := Fetch(ctx, r, FetchOptions{}); err == nil || !strings.Contains(err.Error(), "does not match its digest") {
		t.Errorf("a changed configuration: %v", err)
	}
}

func needLayers(t *testing.T) {
	t.Helper()
	d := t.TempDir()
	if err := errors.Join(unix.Chown(d, 0, 0), unix.Mknod(d+"/n", unix.S_IFCHR, 0), unix.Setxattr(d, "trusted.overlay.opaque", []byte("y"), 0)); err != nil {
		t.Skipf("cannot unpack layers here: %v", err)
	}
}

func TestStore(t *testing.T) {
	needLayers(t)
	s := Store{Root: t.TempDir()}
	base := layerOf(t, "tmp/", "tmp/old=1", "etc/a=1")
	one := imageOf(t, "amd64", base, layerOf(t, "tmp/.wh.old=", "tmp/new=2"))
	two := imageOf(t, "amd64", base)
	u, err := s.Add(ctx, one)
	if err != nil || len(u.Layers) != 2 || len(u.Config.Cmd) != 1 {
		t.Fatalf("%+v %v", u, err)
	}
	// The second layer has no entry for tmp: its mode comes from below.
	if st, err := os.Stat(filepath.Join(u.Layers[1], "tmp")); err != nil || st.Mode()&os.ModeSticky == 0 {
		t.Errorf("tmp of the upper layer: %v %v", st, err)
	}
	if !strings.HasPrefix(filepath.Base(u.Layers[1]), "chain-") {
		t.Errorf("a layer that depends on those below is stored as %s", u.Layers[1])
	}
	v, err := s.Add(ctx, two)
	if err != nil || len(v.Layers) != 1 || v.Layers[0] != u.Layers[0] {
		t.Errorf("the common layer is stored twice: %+v %v", v, err)
	}
	if got, ok, err := s.Lookup(strings.TrimPrefix(u.ID, "sha256:")); err != nil || !ok || got.ID != u.ID {
		t.Errorf("lookup: %+v %v %v", got, ok, err)
	}
	if _, _, err := s.Lookup("../x"); err == nil {
		t.Error("a bad ID was looked up")
	}
	if err := s.Remove(u.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := s.Lookup(u.ID); ok {
		t.Error("a removed image is there")
	}
	if _, err := os.Stat(v.Layers[0]); err != nil {
		t.Errorf("a layer of another image was removed: %v", err)
	}
	if err := os.Mkdir(filepath.Join(s.Root, "tmp", "left"), 0o700); err != nil {
		t.Fatal(err)
	}
	freed, err := s.GC(func(string) bool { return false })
	if err != nil || freed == 0 {
		t.Errorf("GC freed %d, %v", freed, err)
	}
	for _, d := range []string{"images", "layers", "tmp"} {
		if left, _ := os.ReadDir(filepath.Join(s.Root, d)); len(left) != 0 {
			t.Errorf("%s holds %v", d, left)
		}
	}
}

func TestStoreSeveralAtOnce(t *testing.T) {
	needLayers(t)
	root := t.TempDir()
	img := imageOf(t, "amd64", layerOf(t, "a="+strings.Repeat("x", 1<<16)), layerOf(t, "b=1"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if u, err := (Store{Root: root}).Add(ctx, img); err != nil || len(u.Layers) != 2 {
				t.Errorf("%+v %v", u, err)
			}
		}()
	}
	wg.Wait()
}

func TestStoreOfNoLayers(t *testing.T) {
	s := Store{Root: t.TempDir()}
	u, err := s.Add(ctx, imageOf(t, "amd64"))
	if err != nil || len(u.Layers) != 1 {
		t.Fatalf("%+v %v", u, err)
	}
	if names, err := os.ReadDir(u.Layers[0]); err != nil || len(names) != 0 {
		t.Errorf("%v %v", names, err)
	}
}

func TestTopmost(t *testing.T) {
	if got := fmt.Sprint(topmost([]string{"a", "b", "a", "c"})); got != "[b a c]" {
		t.Errorf("layers %s", got)
	}
}
