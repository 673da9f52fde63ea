package store

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/acitest"
)

var ctx = context.Background()

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "cas"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Store, raw []byte) string {
	t.Helper()
	id, err := s.Put(ctx, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPut(t *testing.T) {
	s := open(t)
	raw := acitest.Image("example.com/app", `"labels":[{"name":"version","value":"1"}]`, acitest.File("bin/a", "hello"))
	id := put(t, s, raw)
	if id != acitest.ID(raw) {
		t.Errorf("ID is %s, should be the hash of the archive", id)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if again := put(t, s, z.Bytes()); again != id {
		t.Errorf("the compressed image has ID %s", again)
	}
	m, err := s.Manifest(id)
	if err != nil || m.Name != "example.com/app" {
		t.Errorf("manifest %v, %v", m, err)
	}
	for _, prefix := range []string{id, id[:20], id[:len("sha512-")+4]} {
		if got, err := s.Resolve(prefix); err != nil || got != id {
			t.Errorf("Resolve(%s) = %s, %v", prefix, got, err)
		}
	}
	for _, bad := range []string{"", "sha512-", "sha512-abc", "sha512-zzzz", "sha256-abcd", id + "0", "sha512-../../x"} {
		if got, err := s.Resolve(bad); err == nil {
			t.Errorf("Resolve(%q) = %s", bad, got)
		}
	}
	if list, err := s.List(); err != nil || len(list) != 1 || list[0].Size != int64(len(raw)) {
		t.Errorf("list %v %v", list, err)
	}
	if err := s.Remove(id); err != nil {
		t.Fatal(err)
	}
	var gone *NotFoundError
	if _, err := s.Info(id); !errors.As(err, &gone) {
		t.Errorf("after removal: %v", err)
	}
	if err := s.Remove(id); !errors.As(err, &gone) {
		t.Errorf("second removal: %v", err)
	}
}

func TestPutRefuses(t *testing.T) {
	good := acitest.Image("example.com/a", "")
	f := acitest.File
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":             {nil, "archive is empty"},
		"wrong magic":       {[]byte(strings.Repeat("no image", 200)), "not a tar archive"},
		"truncated":         {good[:560], "truncated"},
		"no manifest":       {acitest.Tar(acitest.Dir("rootfs")), `no "manifest"`},
		"no rootfs":         {acitest.Tar(f("manifest", acitest.Manifest("example.com/a", ""))), `no "rootfs"`},
		"two manifests":     {acitest.Tar(f("manifest", "{}"), acitest.Dir("rootfs"), f("./manifest", "{}")), "twice"},
		"file twice":        {acitest.Image("example.com/a", "", f("f", "1"), f("f", "2")), "twice"},
		"another file":      {acitest.Image("example.com/a", "", acitest.Raw(tar.Header{Name: "evil", Typeflag: tar.TypeReg})), "only"},
		"rootfsomething":    {acitest.Image("example.com/a", "", acitest.Raw(tar.Header{Name: "rootfs2/x", Typeflag: tar.TypeReg})), "only"},
		"dot dot":           {acitest.Image("example.com/a", "", acitest.Raw(tar.Header{Name: "rootfs/../../x", Typeflag: tar.TypeReg})), `".."`},
		"hard link out":     {acitest.Image("example.com/a", "", acitest.Raw(tar.Header{Name: "rootfs/x", Typeflag: tar.TypeLink, Linkname: "manifest"})), "outside rootfs"},
		"hard link up":      {acitest.Image("example.com/a", "", acitest.Raw(tar.Header{Name: "rootfs/x", Typeflag: tar.TypeLink, Linkname: "rootfs/../../x"})), `".."`},
		"manifest a folder": {acitest.Tar(acitest.Dir("manifest"), acitest.Dir("rootfs")), "not a regular file"},
		"rootfs a file":     {acitest.Tar(f("manifest", acitest.Manifest("example.com/a", "")), f("rootfs", "")), "not a folder"},
		"not JSON":          {acitest.Tar(f("manifest", "{"), acitest.Dir("rootfs")), "image manifest"},
		"wrong kind":        {acitest.Tar(f("manifest", `{"acKind":"PodManifest","acVersion":"0.8.11","name":"a"}`), acitest.Dir("rootfs")), "ImageManifest"},
		"other version":     {acitest.Tar(f("manifest", `{"acKind":"ImageManifest","acVersion":"9.0.0","name":"a"}`), acitest.Dir("rootfs")), "major version"},
		"name with dots":    {acitest.Image("a/../../etc", ""), "not an AC Identifier"},
		"port without name": {acitest.Image("a", `"app":{"exec":["/x"],"user":"0","group":"0","ports":[{"protocol":"tcp","port":1}]}`), "ACName cannot be empty"},
		"empty isolator":    {acitest.Image("a", `"app":{"exec":["/x"],"user":"0","group":"0","isolators":[{"name":"resource/memory"}]}`), "isolator resource/memory has no value"},
		"bad whitelist":     {acitest.Image("a", `"pathWhitelist":["etc"]`), "absolute"},
		"bad dependency":    {acitest.Image("a", `"dependencies":[{"imageName":"b","imageID":"sha512-12"}]`), "not an image ID"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			id, err := s.Put(ctx, bytes.NewReader(c.raw))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %v: does not say %q", id, err, c.want)
			}
			for _, d := range []string{"blob", "info", "tmp"} {
				if left, _ := os.ReadDir(s.path(d)); len(left) != 0 {
					t.Errorf("%s holds %v", d, left)
				}
			}
		})
	}
}

func TestFind(t *testing.T) {
	s := open(t)
	at := time.Unix(1000, 0)
	s.now = func() time.Time { at = at.Add(time.Second); return at }
	v := func(version string) []byte {
		return acitest.Image("example.com/app", `"labels":[{"name":"version","value":"`+version+`"}]`)
	}
	one := put(t, s, v("1"))
	latest, err := s.PutLatest(ctx, bytes.NewReader(v("2")))
	if err != nil {
		t.Fatal(err)
	}
	three := put(t, s, v("3"))
	for _, c := range []struct{ version, want string }{{"", latest}, {"1", one}, {"3", three}} {
		labels := labelMap("version", c.version)
		if got, err := s.Find("example.com/app", labels); err != nil || got != c.want {
			t.Errorf("version %q: %s, %v", c.version, got, err)
		}
	}
	if _, err := s.Find("example.com/app", labelMap("version", "4")); err == nil {
		t.Error("a version that is not there was found")
	}
	if _, err := s.Find("example.com/ap", nil); err == nil {
		t.Error("another name was found")
	}
}

// files lists a rendered tree as "name=contents".
func files(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		out = append(out, strings.TrimPrefix(p, dir+"/")+"="+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func needChown(t *testing.T) {
	t.Helper()
	f := filepath.Join(t.TempDir(), "f")
	if err := errors.Join(os.WriteFile(f, nil, 0o600), unix.Chown(f, 0, 0)); err != nil {
		t.Skipf("cannot change owners here: %v", err)
	}
}

func dep(name string, more string) string {
	return fmt.Sprintf(`"dependencies":[{"imageName":%q%s}]`, name, more)
}

func TestRender(t *testing.T) {
	needChown(t)
	s := open(t)
	f := acitest.File
	put(t, s, acitest.Image("b", "", f("x", "b"), f("y", "b"), f("lib/b", "b")))
	put(t, s, acitest.Image("d", "", f("x", "d"), f("z", "d"), f("secret", "d")))
	put(t, s, acitest.Image("c", dep("d", "")+`,"pathWhitelist":["/z","/only-c"]`, f("only-c", "c"), f("hidden", "c")))
	a := put(t, s, acitest.Image("a", `"dependencies":[{"imageName":"b"},{"imageName":"c"}]`, f("y", "a")))
	dir, tree, err := s.Render(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); got != "lib/b=b only-c=c x=b y=a z=d" {
		t.Errorf("rendered: %s", got)
	}
	if again, tree2, err := s.Render(ctx, a); err != nil || again != dir || tree2 != tree {
		t.Errorf("rendered again as %s %s, %v", again, tree2, err)
	}
	if err := s.Verify(ctx, a); err != nil {
		t.Errorf("verify: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "y"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(ctx, a); err == nil || !strings.Contains(err.Error(), "changed on disk") {
		t.Errorf("verify after a change: %v", err)
	}
	alone, done, err := s.Tree(ctx, a, true)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, ok := alone.ReadFile("x", 10); ok {
		t.Error("an image alone has files of its dependencies")
	}
}

func TestRenderWhitelistKeepsHardLinks(t *testing.T) {
	needChown(t)
	s := open(t)
	id := put(t, s, acitest.Image("a", `"pathWhitelist":["/etc/two"]`, acitest.File("etc/one", "1"),
		acitest.Raw(tar.Header{Name: "rootfs/etc/two", Typeflag: tar.TypeLink, Linkname: "rootfs/etc/one"})))
	dir, _, err := s.Render(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); got != "etc/two=1" {
		t.Errorf("rendered: %s", got)
	}
}

func TestRenderRefuses(t *testing.T) {
	base := acitest.Image("base", "", acitest.File("x", "1"))
	other := acitest.ID(acitest.Image("other", ""))
	for name, c := range map[string]struct {
		have [][]byte
		top  string
		want string
	}{
		"missing":        {nil, dep("base", ""), "base is not in the local store"},
		"missing by ID":  {nil, dep("base", `,"imageID":"`+acitest.ID(base)+`"`), "is not in the local store"},
		"wrong ID":       {[][]byte{base}, dep("base", `,"imageID":"`+other+`"`), "is not in the local store"},
		"ID of other":    {[][]byte{base, acitest.Image("other", "")}, dep("base", `,"imageID":"`+other+`"`), "is named other"},
		"wrong label":    {[][]byte{base}, dep("base", `,"labels":[{"name":"version","value":"7"}]`), "version=7 is not in"},
		"label of ID":    {[][]byte{base}, dep("base", `,"imageID":"`+acitest.ID(base)+`","labels":[{"name":"version","value":"7"}]`), "other labels"},
		"loop":           {[][]byte{acitest.Image("p", dep("top", ""))}, dep("p", ""), "loop"},
		"loop to itself": {nil, dep("top", ""), "loop"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for _, raw := range c.have {
				put(t, s, raw)
			}
			id := put(t, s, acitest.Image("top", c.top))
			_, _, err := s.Render(ctx, id)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

func TestRenderCountsDependencies(t *testing.T) {
	s := open(t)
	put(t, s, acitest.Image("l0", ""))
	last := ""
	for i := 1; i < 12; i++ { // 2^11 places
		d := fmt.Sprintf(`{"imageName":"l%d"}`, i-1)
		last = put(t, s, acitest.Image(fmt.Sprintf("l%d", i), `"dependencies":[`+d+","+d+"]"))
	}
	if _, _, err := s.Render(ctx, last); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error %v", err)
	}
}

func TestGC(t *testing.T) {
	needChown(t)
	s := open(t)
	now := time.Unix(1e9, 0)
	s.now = func() time.Time { return now }
	held := put(t, s, acitest.Image("held", "", acitest.File("a", "1")))
	idle := put(t, s, acitest.Image("idle", "", acitest.File("b", "1")))
	_, tree, err := s.RenderFor(ctx, held, "pod-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RenderFor(ctx, idle, "pod-2"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetRemote(Remote{URL: "https://example.com/idle.aci", ID: idle}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tmp/left", "blob/sha512-1"} {
		if err := os.WriteFile(s.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(48 * time.Hour)
	res, err := s.GC(GCOptions{Grace: time.Hour, Alive: func(o string) bool { return o == "pod-1" }})
	if err != nil || len(res.Trees) != 1 || len(res.Images) != 1 || res.Images[0].ID != idle {
		t.Fatalf("GC removed %+v, %v", res, err)
	}
	for _, d := range []string{"tmp", "remote"} {
		if left, _ := os.ReadDir(s.path(d)); len(left) != 0 {
			t.Errorf("%s holds %v", d, left)
		}
	}
	if _, err := os.Stat(s.path("tree", tree)); err != nil {
		t.Error("a tree that a pod holds was removed")
	}
	if err := s.Release("pod-1"); err != nil {
		t.Fatal(err)
	}
	if res, err = s.GC(GCOptions{Grace: 0}); err != nil || len(res.Trees) != 1 || len(res.Images) != 1 {
		t.Errorf("GC removed %+v, %v", res, err)
	}
	if blobs, _ := os.ReadDir(s.path("blob")); len(blobs) != 0 {
		t.Errorf("blobs are left: %v", blobs)
	}
	for _, bad := range []string{"", "../x", ".x", "a\nb"} {
		if s.Hold("tree", bad) == nil {
			t.Errorf("owner %q was taken", bad)
		}
	}
}

func TestSeveralAtOnce(t *testing.T) {
	needChown(t)
	dir := t.TempDir()
	raw := acitest.Image("app", "", acitest.File("f", strings.Repeat("x", 100000)))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			id, err := s.Put(ctx, bytes.NewReader(raw))
			if err != nil {
				t.Error(err)
				return
			}
			if _, _, err := s.RenderFor(ctx, id, fmt.Sprintf("pod-%d", i)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
}

func TestRemote(t *testing.T) {
	s := open(t)
	id := put(t, s, acitest.Image("app", ""))
	const url = "https://example.com/app.aci"
	if _, ok, err := s.Remote(url); ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	want := Remote{URL: url, ID: id, ETag: `"1"`, MaxAge: time.Minute, Fetched: time.Now()}
	if err := s.SetRemote(want); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.Remote(url)
	if err != nil || !ok || got.ETag != want.ETag || !got.Fresh(time.Now()) || got.Fresh(time.Now().Add(time.Hour)) {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	if err := s.Remove(id); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := s.Remote(url); ok {
		t.Error("the record of a removed image is used")
	}
}
