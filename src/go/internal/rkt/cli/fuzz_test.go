package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/rkt/podspec"
)

// FuzzOptions: options of a pod, one of each kind, are refused or make a pod
// manifest that is reified or refused, and that can be written and read again.
func FuzzOptions(f *testing.F) {
	f.Add("data,kind=host,source=/srv,readOnly=true", "volume=data,target=/data", "www:10.0.0.1:80", "A=b", "mode=retain,errno=EPERM,read", "CAP_CHOWN", "64Mi")
	f.Add("data,kind=empty,mode=7777,uid=-1,gid=99999999999", "target=/../..,volume=data", "www:65535", "=", "mode=,@appc.io/all", ",", "1e309")
	f.Add("a,kind=host,source=", "volume=a", "x:1.2.3:4", "a.b=\x00", "errno=", "cap_x", "-1")
	f.Fuzz(func(t *testing.T, volume, mount, port, variable, seccomp, caps, quantity string) {
		p, err := parse("--volume="+volume, "--port="+port, "--set-env="+variable, "image", "--mount="+mount,
			"--environment="+variable, "--seccomp="+seccomp, "--caps-retain="+caps, "--memory="+quantity, "--cpu="+quantity)
		if err != nil {
			return
		}
		image := &schema.ImageManifest{Name: "image", App: &types.App{Exec: types.Exec{"/x"}, User: "0", Group: "0",
			Ports: []types.Port{{Name: "www", Protocol: "tcp", Port: 80, Count: 1}}, MountPoints: []types.MountPoint{{Name: "data", Path: "/data"}}}}
		app := p.apps[0].app
		app.Manifest = image
		id, err := types.NewHash("sha512-" + strings.Repeat("0", 128))
		if err != nil {
			t.Fatal(err)
		}
		app.ID = *id
		m, err := podspec.Build(podspec.Pod{Apps: []podspec.App{app}, Volumes: p.volumes, Mounts: p.mounts, Ports: p.ports, Set: p.set})
		if err != nil {
			return
		}
		if _, err := podspec.Reify(m, func(types.ACName) (*schema.ImageManifest, error) { return image, nil }); err != nil {
			return
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("it cannot be written: %v", err)
		}
		if _, err := podspec.Parse(data); err != nil {
			t.Fatalf("it cannot be read again: %v\n%s", err, data)
		}
	})
}

func TestUpstreamsOtherNames(t *testing.T) {
	for _, c := range []struct{ option, same string }{
		{"--oom-score-adj=5", "--oom-score-adjust=5"}, {"--cap-retain=CAP_KILL", "--caps-retain=CAP_KILL"}, {"--cap-remove=kill", "--caps-remove=kill"},
	} {
		got, want := mustParse(t, "image", c.option).apps[0].app.Isolators, mustParse(t, "image", c.same).apps[0].app.Isolators
		if one, _ := json.Marshal(got); len(got) != 1 || string(one) != func() string { s, _ := json.Marshal(want); return string(s) }() {
			t.Errorf("%s: %s", c.option, one)
		}
	}
}

func TestAnnotationsOfAnApp(t *testing.T) {
	p := mustParse(t, "image", "--annotation=b.example/x=1", "--annotation=a=2=3")
	app := p.apps[0].app
	app.Manifest = &schema.ImageManifest{Name: "image"}
	m, err := podspec.Build(podspec.Pod{Apps: []podspec.App{app}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(m.Apps[0].Annotations); string(got) != `[{"name":"a","value":"2=3"},{"name":"b.example/x","value":"1"}]` {
		t.Errorf("%s", got)
	}
	app.Annotations = map[string]string{"Not A Name": "x"}
	if _, err := podspec.Build(podspec.Pod{Apps: []podspec.App{app}}); err == nil {
		t.Error("a name that is none")
	}
}
