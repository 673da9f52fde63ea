package podspec

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
)

const id = "sha512-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func image(t *testing.T, app string) *schema.ImageManifest {
	t.Helper()
	m := &schema.ImageManifest{}
	text := `{"acVersion":"0.8.11","acKind":"ImageManifest","name":"example.com/some/web_app"` + app + `}`
	if err := json.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	return m
}

const full = `,"app":{"exec":["/bin/web","-q"],"user":"1","group":"2","workingDirectory":"/w",
"environment":[{"name":"IMAGE","value":"i"},{"name":"BOTH","value":"i"}],
"mountPoints":[{"name":"data","path":"/data","readOnly":true},{"name":"log","path":"/log"}],
"ports":[{"name":"http","protocol":"tcp","port":80},{"name":"many","protocol":"udp","port":100,"count":3}],
"isolators":[{"name":"resource/memory","value":{"limit":"1G"}},{"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_KILL"]}},
{"name":"resource/network-bandwidth","value":{"default":true,"limit":"1G"}}]}`

func app(t *testing.T, manifest string) App {
	t.Helper()
	hash, err := types.NewHash(id)
	if err != nil {
		t.Fatal(err)
	}
	return App{ID: *hash, Manifest: image(t, manifest)}
}

func build(t *testing.T, p Pod) *schema.PodManifest {
	t.Helper()
	m, err := Build(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheCommandLineOverridesTheImage(t *testing.T) {
	a := app(t, full)
	caps, err := NewIsolator(types.LinuxCapabilitiesRetainSetName, map[string]any{"set": []string{"CAP_CHOWN"}})
	if err != nil {
		t.Fatal(err)
	}
	a.Exec, a.Args, a.User, a.Isolators = "/bin/other", []string{"x"}, "9", []types.Isolator{caps}
	r := build(t, Pod{Apps: []App{a}}).Apps[0]
	if r.Name != "web-app" || r.Image.Name.String() != "example.com/some/web_app" {
		t.Errorf("name %s, image %v", r.Name, r.Image.Name)
	}
	if !slices.Equal(r.App.Exec, []string{"/bin/other", "x"}) || r.App.User != "9" || r.App.Group != "2" || r.App.WorkingDirectory != "/w" {
		t.Errorf("app %+v", r.App)
	}
	var names []string
	for _, i := range r.App.Isolators {
		names = append(names, i.Name.String())
	}
	want := []string{"resource/memory", "resource/network-bandwidth", "os/linux/capabilities-retain-set"}
	if !slices.Equal(names, want) {
		t.Errorf("isolators %v, want %v", names, want)
	}
	if len(a.Manifest.App.Exec) != 2 {
		t.Error("the image's manifest was changed")
	}
}

func TestArgumentsFollowTheImagesOwnCommand(t *testing.T) {
	a := app(t, full)
	a.Args = []string{"x"}
	if got := build(t, Pod{Apps: []App{a}}).Apps[0].App.Exec; !slices.Equal(got, []string{"/bin/web", "-q", "x"}) {
		t.Errorf("exec %v", got)
	}
}

func TestEnvironmentPrecedence(t *testing.T) {
	a := app(t, full)
	a.Environment = []Variable{{"BOTH", "app"}}
	p := Pod{Apps: []App{a},
		Inherited: []Variable{{"IMAGE", "parent"}, {"PARENT", "parent"}, {"bad name", "x"}},
		Set:       []Variable{{"BOTH", "file"}, {"SET", "file"}, {"SET", "line"}}}
	env := build(t, p).Apps[0].App.Environment
	for name, want := range map[string]string{"IMAGE": "i", "PARENT": "parent", "BOTH": "app", "SET": "line"} {
		if got, _ := env.Get(name); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if len(env) != 4 {
		t.Errorf("environment %v", env)
	}
}

func reify(t *testing.T, m *schema.PodManifest) ([]string, error) {
	t.Helper()
	return Reify(m, func(types.ACName) (*schema.ImageManifest, error) { return image(t, full), nil })
}

func TestReifyFillsWhatIsMissing(t *testing.T) {
	m := build(t, Pod{Apps: []App{app(t, full)}})
	host, err := types.VolumeFromString("log,kind=host,source=/var/log")
	if err != nil {
		t.Fatal(err)
	}
	m.Volumes = []types.Volume{*host}
	warnings, err := reify(t, m)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "network-bandwidth") {
		t.Errorf("warnings %v", warnings)
	}
	a := &m.Apps[0]
	if len(a.Mounts) != 2 || len(m.Volumes) != 2 {
		t.Fatalf("mounts %v, volumes %v", a.Mounts, m.Volumes)
	}
	for _, c := range []struct {
		mount    int
		kind     string
		readOnly bool
	}{{0, "empty", true}, {1, "host", false}} {
		v, ro, err := MountVolume(m, a, a.Mounts[c.mount])
		if err != nil || v.Kind != c.kind || ro != c.readOnly {
			t.Errorf("mount %d: %s %v %v", c.mount, v.Kind, ro, err)
		}
	}
}

func TestReifyRefuses(t *testing.T) {
	for want, change := range map[string]func(m *schema.PodManifest){
		"--exec":           func(m *schema.PodManifest) { m.Apps[0].App.Exec = nil },
		"socket-activated": func(m *schema.PodManifest) { m.Apps[0].App.Ports[0].SocketActivated = true },
		"overlap": func(m *schema.PodManifest) {
			m.Apps[0].Mounts = []schema.Mount{{Volume: "data", Path: "/log/deep"}}
			m.Apps[0].App.MountPoints[0].Path = "/log/deep"
		},
		"no volume":         func(m *schema.PodManifest) { m.Apps[0].Mounts = []schema.Mount{{Volume: "none", Path: "/x"}} },
		"not absolute":      func(m *schema.PodManifest) { m.Apps[0].Mounts = []schema.Mount{{Volume: "data", Path: "/.."}} },
		"no app has a port": func(m *schema.PodManifest) { m.Ports = []types.ExposedPort{{Name: "none", HostPort: 1}} },
		"not all of 1-":     func(m *schema.PodManifest) { m.Ports = []types.ExposedPort{{Name: "many", HostPort: 65534}} },
		"cannot be forwarded": func(m *schema.PodManifest) {
			m.Ports = []types.ExposedPort{{Name: "x", HostPort: 1, PodPort: &types.Port{Name: "x", Protocol: "icmp", Port: 1}}}
		},
	} {
		m := build(t, Pod{Apps: []App{app(t, full)}})
		change(m)
		if _, err := reify(t, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %q", err, want)
		}
	}
}

func TestPortMappings(t *testing.T) {
	m := build(t, Pod{Apps: []App{app(t, full)}})
	m.Ports = []types.ExposedPort{{Name: "http", HostPort: 8080}, {Name: "many", HostPort: 9000}}
	list, err := PortMappings(m)
	if err != nil {
		t.Fatal(err)
	}
	want := []Mapping{{8080, 80, "tcp", ""}, {9000, 100, "udp", ""}, {9001, 101, "udp", ""}, {9002, 102, "udp", ""}}
	if !slices.Equal(list, want) {
		t.Errorf("mappings %v", list)
	}
}

func TestTwoAppsOfOneNameAreRefused(t *testing.T) {
	if _, err := Build(Pod{Apps: []App{app(t, full), app(t, full)}}); err == nil || !strings.Contains(err.Error(), "--name") {
		t.Errorf("error %v", err)
	}
	if _, err := Build(Pod{}); err == nil {
		t.Error("a pod of no apps")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", `{"acVersion":"0.8.11","acKind":"PodManifest","apps":[]}`, `{"acKind":"ImageManifest"}`,
		`{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"a"}]}`, strings.Repeat(" ", maxManifest+1)} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "manifest") && !strings.Contains(err.Error(), "image id") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// FuzzParse: any text is refused with an error or is a pod that can be reified
// or refused; what is accepted can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"a","image":{"id":"` + id + `"},"app":{"exec":["/x"],"user":"0","group":"0"},"mounts":[{"volume":"v","path":"/v"}]}],"volumes":[{"name":"v","kind":"empty"}],"ports":[{"name":"p","hostPort":80,"podPort":{"name":"p","protocol":"tcp","port":80}}],"isolators":[{"name":"os/unix/sysctl","value":{"net.a":"1"}}]}`))
	f.Add([]byte(`{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"a","image":{"id":"` + id + `"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		if _, err := Reify(m, func(types.ACName) (*schema.ImageManifest, error) { return &schema.ImageManifest{}, nil }); err != nil {
			return
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("a reified manifest cannot be written: %v", err)
		}
		if _, err := Parse(out); err != nil {
			t.Fatalf("a reified manifest cannot be read again: %v\n%s", err, out)
		}
	})
}

func TestImplicitVolumesAreTheAppsOwn(t *testing.T) {
	one, two := app(t, full), app(t, full)
	one.Name, two.Name = "one", "two"
	m := build(t, Pod{Apps: []App{one, two}})
	shared, err := types.VolumeFromString("log,kind=empty")
	if err != nil {
		t.Fatal(err)
	}
	m.Volumes = []types.Volume{*shared}
	if _, err := reify(t, m); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"one /data": "one-data", "two /data": "two-data", "one /log": "log", "two /log": "log"}
	for i := range m.Apps {
		for _, mt := range m.Apps[i].Mounts {
			key := m.Apps[i].Name.String() + " " + mt.Path
			v, _, err := MountVolume(m, &m.Apps[i], mt)
			if err != nil || v.Name.String() != want[key] {
				t.Errorf("%s: volume %s, want %s, %v", key, v.Name, want[key], err)
			}
		}
	}
	if len(m.Volumes) != 3 {
		t.Errorf("volumes %v", m.Volumes)
	}
	if _, err := reify(t, m); err != nil || len(m.Volumes) != 3 {
		t.Errorf("reified again: %v, %v", m.Volumes, err)
	}
}

func TestAnImplicitVolumeIsNeverAnothersByName(t *testing.T) {
	one := app(t, full)
	one.Name = "one"
	m := build(t, Pod{Apps: []App{one}})
	foreign, err := types.VolumeFromString("one-data,kind=host,source=/etc")
	if err != nil {
		t.Fatal(err)
	}
	m.Volumes = []types.Volume{*foreign}
	if _, err := reify(t, m); err != nil {
		t.Fatal(err)
	}
	if v, _, err := MountVolume(m, &m.Apps[0], m.Apps[0].Mounts[0]); err != nil || v.Kind != "empty" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestPortsOutOfRangeEnd(t *testing.T) {
	const huge = ^uint(0)
	for _, c := range []struct{ host, port, count uint }{{1, 1, huge}, {huge, 1, 2}, {2, huge - 1, huge - 1}, {65535, 1, 2}, {1, 65535, 2}, {0, 1, 1}, {1, 0, 1}, {1, 1, 65535}} {
		m := build(t, Pod{Apps: []App{app(t, full)}})
		m.Ports = []types.ExposedPort{{Name: "x", HostPort: c.host, PodPort: &types.Port{Name: "x", Protocol: "tcp", Port: c.port, Count: c.count}}}
		if list, err := PortMappings(m); err == nil {
			t.Errorf("%+v: %d mappings", c, len(list))
		}
	}
}
