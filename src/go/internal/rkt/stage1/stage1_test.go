package stage1

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/kit/bundle"
	"photonbuild.invalid/compat/internal/rkt/network"
)

func isolators(t *testing.T, text string) types.Isolators {
	t.Helper()
	var list types.Isolators
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func isolated(t *testing.T, text string, o Options) bundle.Container {
	t.Helper()
	var c bundle.Container
	if err := isolate(&c, isolators(t, text), o); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestResources(t *testing.T) {
	c := isolated(t, `[{"name":"resource/memory","value":{"request":"32Mi","limit":"64Mi"}},{"name":"resource/cpu","value":{"request":"250m","limit":"500m"}},
{"name":"os/linux/oom-score-adj","value":250},{"name":"os/linux/no-new-privileges","value":true}]`, Options{})
	m, cpu := c.Resources.Memory, c.Resources.CPU
	if *m.Limit != 64<<20 || *m.Swap != 64<<20 || *m.Reservation != 32<<20 {
		t.Errorf("memory %d %d %d", *m.Limit, *m.Swap, *m.Reservation)
	}
	if *cpu.Quota != 50000 || *cpu.Period != 100000 || *cpu.Shares != 256 {
		t.Errorf("cpu %d/%d %d", *cpu.Quota, *cpu.Period, *cpu.Shares)
	}
	if *c.OOMScoreAdj != 250 || !c.NoNewPrivileges {
		t.Error("oom-score-adj or no-new-privileges was lost")
	}
}

func TestCapabilities(t *testing.T) {
	if c := isolated(t, `[]`, Options{}); len(c.Capabilities) != 14 || c.Seccomp == nil {
		t.Errorf("default: %v", c.Capabilities)
	}
	remove := isolated(t, `[{"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_SYS_CHROOT","CAP_MKNOD","CAP_SYS_ADMIN"]}}]`, Options{})
	if len(remove.Capabilities) != 12 || slices.Contains(remove.Capabilities, "CAP_MKNOD") {
		t.Errorf("remove: %v", remove.Capabilities)
	}
	retain := isolated(t, `[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_NET_ADMIN","CAP_NET_BIND_SERVICE"]}}]`, Options{})
	if !slices.Equal(retain.Capabilities, []string{"CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"}) {
		t.Errorf("retain: %v", retain.Capabilities)
	}
	if open := isolated(t, `[]`, Options{AllCapabilities: true, NoSeccomp: true}); len(open.Capabilities) < 38 || open.Seccomp != nil {
		t.Error("insecure options have no effect")
	}
}

// verdict is what the filter does with a call without arguments that matter.
func verdict(p *specs.LinuxSeccomp, name string) specs.LinuxSeccompAction {
	if p == nil {
		return "none"
	}
	for _, s := range p.Syscalls {
		if len(s.Args) == 0 && slices.Contains(s.Names, name) {
			return s.Action
		}
	}
	return p.DefaultAction
}

// The cases are those of ace.md and of rkt's seccomp guide.
func TestSeccomp(t *testing.T) {
	const allow, kill, errno = specs.ActAllow, specs.ActKillProcess, specs.ActErrno
	for _, c := range []struct {
		isolator string
		want     map[string]specs.LinuxSeccompAction
	}{
		{`"os/linux/seccomp-remove-set","value":{"errno":"ENOTSUP","set":["clock_settime","reboot"]}`, map[string]specs.LinuxSeccompAction{"reboot": errno, "mount": allow, "read": allow}},
		{`"os/linux/seccomp-remove-set","value":{"set":["reboot"]}`, map[string]specs.LinuxSeccompAction{"reboot": kill, "read": allow}},
		{`"os/linux/seccomp-remove-set","value":{"set":["@appc.io/empty","reboot"]}`, map[string]specs.LinuxSeccompAction{"reboot": "none"}},
		{`"os/linux/seccomp-remove-set","value":{"set":["@rkt/default-blacklist","socket"]}`, map[string]specs.LinuxSeccompAction{"socket": kill, "umount2": kill, "read": allow}},
		{`"os/linux/seccomp-retain-set","value":{"set":["accept","bind"]}`, map[string]specs.LinuxSeccompAction{"bind": allow, "socket": kill, "exit": allow}},
		{`"os/linux/seccomp-retain-set","value":{"errno":"EPERM","set":["bind"]}`, map[string]specs.LinuxSeccompAction{"socket": errno}},
		{`"os/linux/seccomp-retain-set","value":{"set":["@appc.io/all"]}`, map[string]specs.LinuxSeccompAction{"reboot": "none"}},
		{`"os/linux/seccomp-retain-set","value":{"set":["@docker/default-whitelist","umount2"]}`, map[string]specs.LinuxSeccompAction{"umount2": allow, "mount": kill, "read": allow}},
	} {
		container := isolated(t, `[{"name":`+c.isolator+`}]`, Options{})
		for call, want := range c.want {
			if got := verdict(container.Seccomp, call); got != want {
				t.Errorf("%s: %s is %s, want %s", c.isolator, call, got, want)
			}
		}
	}
	for _, bad := range []string{`"os/linux/seccomp-retain-set","value":{"errno":"ENOPONY","set":["bind"]}`,
		`"os/linux/seccomp-retain-set","value":{"set":["@systemd/clock"]}`, `"os/linux/seccomp-remove-set","value":{"set":["@appc.io/all"]}`} {
		var cont bundle.Container
		if err := isolate(&cont, isolators(t, `[{"name":`+bad+`}]`), Options{}); err == nil || !strings.Contains(err.Error(), "seccomp") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestSysctlsOfTheNetworkOnly(t *testing.T) {
	list := isolators(t, `[{"name":"os/unix/sysctl","value":{"net.ipv4.tcp_mtu_probing":"1"}}]`)
	if got, err := sysctls(list, true); err != nil || got["net.ipv4.tcp_mtu_probing"] != "1" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := sysctls(list, false); err == nil {
		t.Error("the host's network was changed")
	}
	if _, err := sysctls(isolators(t, `[{"name":"os/unix/sysctl","value":{"kernel.panic":"1"}}]`), true); err == nil {
		t.Error("kernel.panic was allowed")
	}
}

// The text is that of rkt's Documentation/networking/dns.md.
func TestResolvConf(t *testing.T) {
	d := DNS{Servers: []string{"8.8.8.8", "4.2.2.2"}, Search: []string{"example.com", "example.gov"}, Options: []string{"debug", "rotate"}, Domain: "example.org"}
	want := "# Generated by rkt run\n\nsearch example.com example.gov\nnameserver 8.8.8.8\nnameserver 4.2.2.2\noptions debug rotate\ndomain example.org\n"
	if got := d.ResolvConf(); got != want {
		t.Errorf("%s", got)
	}
	hosts := hostsFile("pod1", []string{"172.16.28.2"}, []string{"198.51.100.0=host1", "198.51.100.1=host2", "198.51.100.0=host3"})
	for _, line := range []string{"127.0.0.1 localhost", "172.16.28.2 pod1\n", "198.51.100.0 host1 host3\n198.51.100.1 host2\n"} {
		if !strings.Contains(hosts, line) {
			t.Errorf("no %q in\n%s", line, hosts)
		}
	}
}

func targets(f etcFiles, root string, list []mounted) []string {
	var out []string
	for _, m := range f.mounts(root, list) {
		out = append(out, m.Destination+"<"+filepath.Base(m.Source))
	}
	return out
}

func TestPrecedenceOfEtcFiles(t *testing.T) {
	root := t.TempDir()
	plugin := []network.Attachment{{DNS: network.DNS{Servers: []string{"9.9.9.9"}}, IPs: []net.IP{net.ParseIP("10.0.0.2")}}}
	for _, c := range []struct {
		o     Options
		nets  []network.Attachment
		image bool
		vols  []mounted
		want  []string
	}{
		{Options{}, nil, false, nil, []string{"/etc/hosts<hosts"}},
		{Options{}, nil, true, nil, nil},
		{Options{}, nil, false, []mounted{{target: "/etc"}}, nil},
		{Options{Hosts: []string{"1.2.3.4=a"}}, nil, true, nil, []string{"/etc/hosts<hosts"}},
		{Options{DNS: DNS{Servers: []string{"8.8.8.8"}}}, plugin, true, nil, []string{"/etc/resolv.conf<resolv.conf"}},
		{Options{}, plugin, true, nil, []string{"/etc/resolv.conf<resolv.conf"}},
		{Options{DNS: DNS{Mode: "none"}}, plugin, true, nil, nil},
	} {
		os.RemoveAll(root + "/etc")
		if c.image {
			os.Mkdir(root+"/etc", 0o755)
			os.WriteFile(root+"/etc/hosts", nil, 0o644)
		}
		f, err := makeEtc(t.TempDir(), c.o, "h", c.nets)
		if err != nil {
			t.Fatal(err)
		}
		if got := targets(f, root, c.vols); !slices.Equal(got, c.want) {
			t.Errorf("%+v image %v: %v, want %v", c.o.DNS, c.image, got, c.want)
		}
	}
}

func TestHostVolumes(t *testing.T) {
	withMounts(t, func() {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		os.Mkdir(dir+"/d", 0o755)
		os.WriteFile(dir+"/f", nil, 0o644)
		os.Symlink("d", dir+"/link")
		for source, want := range map[string]string{"/d": "dir", "/f": "file", "/link": "symbolic link", "/link/..": "symbolic link", "/none": "no such file"} {
			directory, err := pin(dir+source, filepath.Join(dir, "pins", filepath.Base(source)), false)
			switch {
			case want == "dir" || want == "file":
				if err != nil || directory != (want == "dir") {
					t.Errorf("%s: %v %v", source, directory, err)
				}
			case err == nil || !strings.Contains(err.Error(), want):
				t.Errorf("%s: %v, want %s", source, err, want)
			}
		}
	})
}

func TestTargetsOfVolumes(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(root+"/full/x", 0o755)
	os.Mkdir(root+"/empty", 0o755)
	os.WriteFile(root+"/file", nil, 0o644)
	outside := t.TempDir()
	os.WriteFile(outside+"/passwd", nil, 0o644)
	os.Symlink(outside, root+"/out")
	for target, want := range map[string]string{"/full": "hidden", "/empty": "", "/none/deep": "", "/file": "gives way", "/out/passwd": ""} {
		warning, err := prepareTarget(root, mounted{target: target, directory: true})
		if err != nil || (want == "") != (warning == "") || !strings.Contains(warning, want) {
			t.Errorf("%s: %q, %v", target, warning, err)
		}
	}
	if st, err := os.Stat(root + "/file"); err != nil || !st.IsDir() {
		t.Error("the file is still there")
	}
	if st, err := os.Stat(outside + "/passwd"); err != nil || st.IsDir() {
		t.Error("a link of the image led to the host")
	}
	vols := []mounted{{source: root + "/full", target: "/data", directory: true}}
	for dir, want := range map[string]bool{"/data/x": true, "/data/y": false, "/full/x": true, "/nothing": false, "/": true, "/dev/shm": true, "/file/../full": true} {
		if got := existsIn(root, vols, dir); got != want {
			t.Errorf("existsIn(%s) = %v", dir, got)
		}
	}
}

func TestEnvironmentOfAnApp(t *testing.T) {
	r := &schema.RuntimeApp{Name: "main", App: &types.App{Environment: types.Environment{{Name: "PATH", Value: "/own"}, {Name: "AC_APP_NAME", Value: "forged"}, {Name: "A", Value: "b"}}}}
	s := &supervisor{mdsURL: "http://127.0.0.1:1/token"}
	got := environment(r, bundle.User{Home: "/root", Name: "root"}, s)
	for _, want := range []string{"PATH=/own", "AC_APP_NAME=main", "AC_METADATA_URL=http://127.0.0.1:1/token", "container=rkt", "A=b", "HOME=/root"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %v", want, got)
		}
	}
	r.App.Environment = nil
	if got := environment(r, bundle.User{}, s); got[0] != "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" {
		t.Errorf("PATH is %s", got[0])
	}
}

func TestDescriptorsAreHandedOver(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	files := [4]*os.File{}
	for i := range files {
		if files[i], err = os.CreateTemp(t.TempDir(), ""); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
	}
	sent := make(chan error, 1)
	go func() {
		c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
		if err == nil {
			err = errors.Join(handOver(c, files), c.Close())
		}
		sent <- err
	}()
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := takeOver(c)
	if err = errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	got[2].WriteString("x")
	got[2].Close()
	if data, _ := os.ReadFile(files[2].Name()); string(data) != "x" {
		t.Errorf("the third file has %q", data)
	}
	if _, err := takeOver(c); err == nil {
		t.Error("nothing came, and no error")
	}
}

func TestFindExec(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(root+"/usr/bin", 0o755)
	os.Symlink("/usr/bin", root+"/bin")
	os.WriteFile(root+"/usr/bin/tool", nil, 0o755)
	os.WriteFile(root+"/usr/bin/data", nil, 0o644)
	for name, found := range map[string]bool{"/bin/tool": true, "tool": true, "bin/tool": true, "./tool": false, "/usr/bin": false, "/bin/data": false, "nothing": false} {
		if err := findExec(root, nil, name, "/", "/sbin:/bin"); (err == nil) != found {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := findExec(root, []mounted{{target: "/v"}}, "/v/tool", "/", ""); err != nil {
		t.Errorf("it may lie in a volume: %v", err)
	}
}
