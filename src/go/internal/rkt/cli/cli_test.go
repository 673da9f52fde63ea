package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/appc/spec/schema"
	"github.com/spf13/pflag"

	"photonbuild.invalid/compat/internal/rkt/stage1"
)

func parse(args ...string) (*podFlags, error) {
	p := &podFlags{}
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	p.bind(f)
	p.bindRuntime(f)
	return p, p.parse(f, args)
}

func mustParse(t *testing.T, args ...string) *podFlags {
	t.Helper()
	p, err := parse(args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return p
}

func TestOptionsBelongToTheImageBeforeThem(t *testing.T) {
	p := mustParse(t, "--volume", "logs,kind=host,source=/srv/logs", "--mount", "volume=logs,target=/all", "one", "--exec=/bin/ov", "--name", "a",
		"--mount", "volume=logs,target=/one", "--memory=64Mi", "--", "--loglevel", "verbose", "--net=none", "---", "two", "--user", "7", "--readonly-rootfs", "--net=host", "--", "x")
	if len(p.apps) != 2 || len(p.volumes) != 1 || len(p.mounts) != 1 {
		t.Fatalf("%+v", p)
	}
	one, two := p.apps[0], p.apps[1]
	if one.ref != "one" || one.app.Exec != "/bin/ov" || one.app.Name != "a" || !slices.Equal(one.app.Args, []string{"--loglevel", "verbose", "--net=none"}) {
		t.Errorf("first %+v", one)
	}
	if len(one.app.Mounts) != 1 || len(one.app.Isolators) != 1 || one.app.Isolators[0].Name != "resource/memory" {
		t.Errorf("first %+v", one.app)
	}
	if two.app.User != "7" || !*two.app.ReadOnlyRootFS || !slices.Equal(two.app.Args, []string{"x"}) || !slices.Equal(p.net, []string{"host"}) {
		t.Errorf("second %+v", two)
	}
}

func TestEveryValue(t *testing.T) {
	env := filepath.Join(t.TempDir(), "env")
	os.WriteFile(env, []byte("# note\n; note\n\nA=b c\nB=\n"), 0o600)
	p := mustParse(t, "--set-env-file", env, "--set-env=C=d", "--port=http:8080", "--port=x:127.0.0.1:90", "--dns=8.8.8.8", "--dns-search=example.com",
		"--hosts-entry=1.2.3.4=a,1.2.3.5=b", "--hostname=h", "--net", "--inherit-env", "--mds-register", "img", "--environment=E=f", "--caps-retain=net_admin,CAP_CHOWN",
		"--seccomp", "mode=retain,errno=EPERM,chmod,chown", "--cpu=500m", "--supplementary-gids=1024,2048", "--oom-score-adjust=5", "--working-dir=/tmp", "--stdout=null")
	if len(p.file) != 2 || p.file[0].Value != "b c" || len(p.set) != 1 || !p.inherit || !p.register || p.hostname != "h" {
		t.Errorf("%+v", p)
	}
	if p.ports[0].HostPort != 8080 || p.ports[1].HostIP.String() != "127.0.0.1" || !slices.Equal(p.net, []string{"default"}) {
		t.Errorf("%+v %v", p.ports, p.net)
	}
	if !reflect.DeepEqual(p.dns, stage1.DNS{Servers: []string{"8.8.8.8"}, Search: []string{"example.com"}}) || len(p.hosts) != 2 {
		t.Errorf("%+v %v", p.dns, p.hosts)
	}
	a := p.apps[0].app
	if len(a.Isolators) != 4 || !slices.Equal(a.SupplementaryGID, []int{1024, 2048}) || a.WorkingDir != "/tmp" || p.apps[0].stdout != "null" {
		t.Errorf("%+v", a)
	}
}

func TestBadCommandLinesSayWhatIsWrong(t *testing.T) {
	for args, want := range map[string]string{
		"--exec=/x img":                    "must follow an image",
		"--bad img":                        "unknown option --bad",
		"-x img":                           "unknown option",
		"img --exec":                       "needs a value",
		"-- x":                             "belong to an image",
		"img --memory=lots":                "not a quantity",
		"img --memory=-5M":                 "not a quantity",
		"--port=http img":                  "NAME:[IP:]HOSTPORT",
		"--port=http:99999 img":            "1-65535",
		"--port=http:::1:80 img":           "IPv4",
		"--volume=x img":                   "volume kind",
		"--mount=volume=x img":             "target=/ABSOLUTE/PATH",
		"--mount=volume=x,target=/y,z=1 i": "unknown key",
		"--dns=example.com img":            "not an IP address",
		"--dns=host --dns=1.2.3.4 img":     "go with no name server",
		"--set-env=1A=b img":               "not NAME=VALUE",
		"img --seccomp=chmod":              "mode=retain",
		"img --caps-retain=x --stdin=tty":  "--interactive",
		"--private-users img":              "does not have it",
		"--stage1-path=/x img":             "built in",
		"--hostname=a/b img":               "host name",
		"img --readonly-rootfs=maybe":      "true nor false",
		"--hosts-entry=a=b img":            "IP=HOST",
		"--ipc=all img":                    "choices",
		"--set-env-file=/no/such img":      "no such file",
	} {
		if _, err := parse(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if _, err := parse("--private-users=false", "--no-overlay=false", "img"); err != nil {
		t.Errorf("what asks for nothing: %v", err)
	}
	if _, err := parse("img", "--help"); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
}

// command runs rkt with a data directory of its own and returns both streams.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(append([]string{"--dir=" + t.TempDir(), "--local-config=" + t.TempDir(), "--system-config=" + t.TempDir()}, args...))
	err := root.Execute()
	return out.String(), err
}

func TestVersionSaysWhatItIs(t *testing.T) {
	out, err := command(t, "version")
	if err != nil || !strings.Contains(out, "independent implementation of the App Container specification 0.8.11") || !strings.Contains(out, "not upstream rkt") {
		t.Errorf("%s, %v", out, err)
	}
	if schema.AppContainerVersion.String() != specVersion {
		t.Errorf("the library follows %s, version says %s", schema.AppContainerVersion, specVersion)
	}
}

func TestRefusalsAreByNameWithAHint(t *testing.T) {
	for name := range refusedCommands {
		_, err := command(t, name, "--whatever", "x")
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.msg, "rkt "+name) || e.hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := command(t, "lst")
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.hint, "list") {
		t.Errorf("a near miss: %v", err)
	}
	if _, err := command(t, "--insecure-options=everything", "list"); err == nil || !strings.Contains(err.Error(), "everything") {
		t.Errorf("%v", err)
	}
}

func TestInsecureGroups(t *testing.T) {
	i := Insecure{}
	if err := i.Set("all-run,http"); err != nil || i.String() != "capabilities,http,paths,seccomp" {
		t.Errorf("%s, %v", i, err)
	}
}

func TestEmptyLists(t *testing.T) {
	if out, err := command(t, "list"); err != nil || out != "" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := command(t, "list", "--format=json"); err != nil || out != "[]\n" {
		t.Errorf("%q, %v", out, err)
	}
	for _, c := range []string{"status", "rm", "stop", "cat-manifest", "enter", "run-prepared"} {
		if _, err := command(t, c, "0123abcd"); err == nil || !strings.Contains(err.Error(), "no such pod") {
			t.Errorf("%s: %v", c, err)
		}
		if _, err := command(t, c); err == nil || !strings.Contains(err.Error(), "UUID") {
			t.Errorf("%s without a pod: %v", c, err)
		}
	}
}

func TestWaitFlag(t *testing.T) {
	for v, want := range map[string]waitFlag{"true": {true, 0}, "false": {}, "10s": {true, 10 * time.Second}, "-1s": {true, 0}, "0s": {}} {
		var f waitFlag
		if err := f.Set(v); err != nil || f != want {
			t.Errorf("%s: %+v, %v", v, f, err)
		}
	}
	if err := new(waitFlag).Set("soon"); err == nil {
		t.Error("soon is no time")
	}
}

// The committed pages are those that the commands make.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	if _, err := command(t, "man-pages", dir); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(made) < 20 {
		t.Fatalf("%d pages, %v", len(made), err)
	}
	for _, page := range made {
		want, _ := os.ReadFile(page)
		got, err := os.ReadFile(filepath.Join("..", "..", "..", "cmd", "rkt", "man", filepath.Base(page)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("cmd/rkt/man/%s is not up to date (%v): run rkt man-pages cmd/rkt/man", filepath.Base(page), err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "rkt-stage1.1")); err == nil {
		t.Error("a hidden command has a page")
	}
}
