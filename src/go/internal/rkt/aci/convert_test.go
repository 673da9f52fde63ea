package aci_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	gcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"photonbuild.invalid/compat/internal/acitest"
	"photonbuild.invalid/compat/internal/rkt/aci"
)

func dockerImage(t *testing.T, config gcr.Config, entries ...acitest.Entry) gcr.Image {
	t.Helper()
	raw := acitest.Tar(entries...)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Author, cf.Config = "linux", "amd64", "Alice", config
	cf.Created = gcr.Time{Time: time.Unix(1500000000, 0)}
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		t.Fatal(err)
	}
	return img
}

func TestConvert(t *testing.T) {
	img := dockerImage(t, gcr.Config{
		Entrypoint: []string{"/bin/app"}, Cmd: []string{"-v"}, User: "web", WorkingDir: "/srv/new",
		Env:          []string{"PATH=/bin", "A=b=c", "bad name=1", "PATH=/usr/bin"},
		ExposedPorts: map[string]struct{}{"6379/tcp": {}, "53/udp": {}, "8000-8003/tcp": {}},
		Volumes:      map[string]struct{}{"/var/tmp": {}, "/data": {}}, Labels: map[string]string{"k": "v"},
	}, acitest.File("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:44::/:/bin/sh\n"), acitest.File("etc/group", "web:x:44:\nlog:x:50:a,web\n"))
	src := aci.Source{Name: "registry.example/library/My__App", Version: "1.2", Registry: "registry.example", Repository: "library/my_app", Original: "docker://my__app"}
	var one, two bytes.Buffer
	for _, b := range []*bytes.Buffer{&one, &two} {
		if err := aci.Convert(context.Background(), img, src, t.TempDir(), b); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("not the same bytes twice")
	}
	m, err := aci.Check(context.Background(), bytes.NewReader(one.Bytes()), int64(one.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"name":"registry.example/library/my_app"`,
		`"labels":[{"name":"arch","value":"amd64"},{"name":"os","value":"linux"},{"name":"version","value":"1.2"}]`,
		`"exec":["/bin/app","-v"]`, `"user":"web","group":"44","supplementaryGIDs":[50],"workingDirectory":"/srv/new"`,
		`"environment":[{"name":"PATH","value":"/usr/bin"},{"name":"A","value":"b=c"}]`,
		`{"name":"volume-data","path":"/data"},{"name":"volume-var-tmp","path":"/var/tmp"}`,
		`{"name":"53-udp","protocol":"udp","port":53,"count":1,"socketActivated":false}`,
		`{"name":"6379-tcp","protocol":"tcp","port":6379,"count":1,"socketActivated":false}`,
		`{"name":"8000-8003-tcp","protocol":"tcp","port":8000,"count":4,"socketActivated":false}`,
		`"userLabels":{"k":"v"}`, `{"name":"authors","value":"Alice"},{"name":"created","value":"2017-07-14T02:40:00Z"}`,
		`{"name":"appc.io/docker/cmd","value":"[\"-v\"]"}`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the manifest has no %s:\n%s", want, got)
		}
	}
	if !strings.Contains(fmt.Sprint(tarNames(t, one.Bytes())), "rootfs/srv/new/") {
		t.Error("the working directory is missing")
	}
}

func tarNames(t *testing.T, raw []byte) (names []string) {
	t.Helper()
	tr := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestConvertRefuses(t *testing.T) {
	for port, want := range map[string]string{"x/tcp": "not a port", "0": "not a port", "99999": "not a port", "9-8": "not a port"} {
		img := dockerImage(t, gcr.Config{ExposedPorts: map[string]struct{}{port: {}}}, acitest.Dir("etc"))
		err := aci.Convert(context.Background(), img, aci.Source{Name: "a"}, t.TempDir(), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("port %s: %v", port, err)
		}
	}
	img := dockerImage(t, gcr.Config{}, acitest.Dir("etc"))
	if err := aci.Convert(context.Background(), img, aci.Source{Name: "___"}, t.TempDir(), io.Discard); err == nil {
		t.Error("an image without a name")
	}
}

func TestSanitizeName(t *testing.T) {
	for in, want := range map[string]string{
		"registry.example/A__b": "registry.example/a_b", "localhost:5000/x": "localhost-5000/x", "./a//b-": "a/b", "a-/b": "a/b", "Ä/b": "b",
	} {
		if got, err := aci.SanitizeName(in); err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v", in, got, err)
		}
	}
}

// FuzzImage feeds whole archives to the checks.
func FuzzImage(f *testing.F) {
	f.Add(acitest.Image("example.com/app", ""))
	f.Add(acitest.Image("a", `"dependencies":[{"imageName":"b"}],"pathWhitelist":["/x"]`, acitest.File("x", "1")))
	f.Add(acitest.Tar(acitest.File("manifest", "{"), acitest.Dir("rootfs")))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := aci.Check(context.Background(), bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if p, err := aci.Peek(bytes.NewReader(data)); err != nil || p.Name != m.Name {
			t.Errorf("Peek says %v, %v of what Check took", p, err)
		}
	})
}

// FuzzManifest feeds manifests; one that is taken can be written and read again.
func FuzzManifest(f *testing.F) {
	for _, more := range []string{
		"", `"app":{"exec":["/x"],"user":"0","group":"0","ports":[{"name":"a","protocol":"tcp","port":1}]}`,
		`"dependencies":[{"imageName":"b","imageID":"sha512-` + strings.Repeat("0", 128) + `","size":3}],"pathWhitelist":["/x"]`,
		`"labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],"annotations":[{"name":"created","value":"x"}]`,
		`"app":{"exec":[],"user":"0","group":"0","isolators":[{"name":"resource/memory","value":{"limit":"1G"}},{"name":"os/linux/seccomp-retain-set","value":{"set":["a"]}}]}`,
	} {
		f.Add([]byte(acitest.Manifest("example.com/app", more)))
	}
	f.Add([]byte(acitest.Manifest("a/../../b", "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := aci.ParseManifest(data)
		if err != nil {
			return
		}
		if strings.Contains("/"+string(m.Name)+"/", "/../") {
			t.Errorf("name %q", m.Name)
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("a manifest that was read cannot be written: %v", err)
		}
		if _, err := aci.ParseManifest(out); err != nil {
			t.Errorf("a manifest that was written cannot be read: %v", err)
		}
	})
}

// FuzzConvert: configurations of images of Docker's, and their files of users,
// make an image that the checks take, or an error.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(`{"User":"web","Env":["A=b","=","x"],"ExposedPorts":{"80/tcp":{},"1-65535/udp":{}},"Volumes":{"/a b/../c":{},"":{}},"WorkingDir":"../x"}`),
		"web:x:33:44::/:/bin/sh\n", "log:x:50:web\nbad:x:-1:web\n", "example.com/a", "latest")
	f.Add([]byte(`{"Entrypoint":[""],"Cmd":["\u0000"],"Labels":{"":"x"},"User":"1:2","Volumes":{"/\u00e9":{},"/e":{}}}`), "", "", "A__b", "sha256:12")
	f.Fuzz(func(t *testing.T, config []byte, passwd, group, name, version string) {
		var c gcr.Config
		if json.Unmarshal(config, &c) != nil {
			return
		}
		img := dockerImage(t, c, acitest.File("etc/passwd", passwd), acitest.File("etc/group", group))
		var out bytes.Buffer
		src := aci.Source{Name: name, Version: version, Registry: "r", Repository: name}
		if err := aci.Convert(context.Background(), img, src, t.TempDir(), &out); err != nil {
			return
		}
		m, err := aci.Check(context.Background(), bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatalf("the image is refused: %v", err)
		}
		seen := map[string]bool{}
		for _, p := range m.App.MountPoints {
			if seen[p.Name.String()] || !strings.HasPrefix(p.Path, "/") || strings.Contains(p.Path+"/", "/../") {
				t.Errorf("mount points %v", m.App.MountPoints)
			}
			seen[p.Name.String()] = true
		}
		for _, p := range m.App.Ports {
			if p.Port < 1 || p.Port+max(p.Count, 1) > 65536 {
				t.Errorf("port %+v", p)
			}
		}
	})
}
