//go:build garden

package gardensuite

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/gardentest"
)

func writeTar(w io.Writer, name, body string, records map[string]string) error {
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o755, PAXRecords: records}); err != nil {
		return err
	}
	if _, err := io.WriteString(tw, body); err != nil {
		return err
	}
	return tw.Close()
}

func dd(user, to string, count int) api.ProcessSpec {
	return as(user, program("dd", "if=/dev/zero", "of="+to, "bs=1M", fmt.Sprintf("count=%d", count)))
}

func TestMemoryLimits(t *testing.T) {
	c := create(t, api.ContainerSpec{Limits: api.Limits{Memory: api.MemoryLimits{LimitInBytes: 64 * mib}, CPU: api.CPULimits{LimitInShares: 100}}})
	t.Run("they are told", func(t *testing.T) {
		if m, l := must(c.MemoryLimits()), must(c.CPULimits()); m.LimitInBytes != 64*mib || l.LimitInShares != 100 || l.Weight != 0 {
			t.Errorf("%+v %+v", m, l)
		}
	})
	t.Run("within them", func(t *testing.T) { out(t, c, dd("alice", "/dev/shm/almost", 50)) })
	t.Run("beyond them", func(t *testing.T) {
		if r := ran(t, c, dd("alice", "/dev/shm/too-big", 65)); r.code == 0 {
			t.Errorf("%+v", r)
		}
	})
	w := create(t, api.ContainerSpec{Limits: api.Limits{CPU: api.CPULimits{Weight: 200}}})
	t.Run("a weight is told as one", func(t *testing.T) {
		if l := must(w.CPULimits()); l != (api.CPULimits{Weight: 200}) {
			t.Errorf("%+v", l)
		}
	})
}

func TestDiskLimits(t *testing.T) {
	limited := func(t *testing.T, size uint64, scope uint8, privileged bool) *gardentest.Container {
		t.Helper()
		return create(t, api.ContainerSpec{Privileged: privileged, Limits: api.Limits{Disk: api.DiskLimits{ByteSoft: size, ByteHard: size, Scope: scope}}})
	}
	t.Run("metrics", func(t *testing.T) {
		c := limited(t, 100*mib, api.DiskScopeTotal, false)
		before := must(c.Metrics()).DiskStat
		out(t, c, dd("alice", "/home/alice/some-file", 3))
		out(t, c, dd("alice", "/home/alice/another-file", 10))
		eventually(t, "13 MiB more", func() bool {
			now := must(c.Metrics()).DiskStat
			near := func(a, b uint64) bool { return a-b > 12*mib && a-b < 14*mib }
			return near(now.ExclusiveBytesUsed, before.ExclusiveBytesUsed) && near(now.TotalBytesUsed, before.TotalBytesUsed)
		})
	})
	for _, privileged := range []bool{false, true} {
		name := fmt.Sprintf("privileged %v: ", privileged)
		exclusive := limited(t, 12*mib, api.DiskScopeExclusive, privileged)
		t.Run(name+"within it", func(t *testing.T) { out(t, exclusive, dd("alice", "/home/alice/test", 8)) })
		t.Run(name+"another user of the same container", func(t *testing.T) {
			if r := ran(t, exclusive, dd("bob", "/home/bob/test", 5)); r.code == 0 {
				t.Errorf("%+v", r)
			}
		})
		t.Run(name+"beyond it", func(t *testing.T) {
			if r := ran(t, exclusive, dd("root", "/root/test", 13)); r.code == 0 {
				t.Errorf("%+v", r)
			}
		})
		t.Run(name+"/etc/hosts counts", func(t *testing.T) {
			if r := ran(t, exclusive, sh("dd if=/dev/zero of=/etc/hosts bs=1M count=20")); r.code == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("the image counts in the total", func(t *testing.T) {
		total, used := limited(t, 100*mib, api.DiskScopeTotal, false), limited(t, 100*mib, api.DiskScopeExclusive, false)
		a, b := must(total.Metrics()).DiskStat, must(used.Metrics()).DiskStat
		if a.TotalBytesUsed < a.ExclusiveBytesUsed || b.ExclusiveBytesUsed > 4*mib {
			t.Errorf("%+v %+v", a, b)
		}
	})
	t.Run("each container has its own", func(t *testing.T) {
		for range 2 {
			out(t, limited(t, 50*mib, api.DiskScopeExclusive, false), dd("alice", "/tmp/some-file", 40))
		}
	})
}

func TestPeas(t *testing.T) {
	c := create(t, api.ContainerSpec{Limits: api.Limits{CPU: api.CPULimits{LimitInShares: 1024}, Disk: api.DiskLimits{ByteHard: 1 << 30},
		Memory: api.MemoryLimits{LimitInBytes: 64 * mib}, Pid: api.PidLimits{Max: 10}}})
	for _, privileged := range []bool{false, true} {
		t.Run(fmt.Sprintf("privileged %v: all namespaces but that of mounts are shared", privileged), func(t *testing.T) {
			p := create(t, api.ContainerSpec{Privileged: privileged})
			for _, kind := range []string{"mnt", "net", "ipc", "pid", "user", "uts"} {
				link := program("readlink", "/proc/self/ns/"+kind)
				if shared := out(t, p, link) == out(t, p, inPea(link)); shared == (kind == "mnt") {
					t.Errorf("%s: shared %v", kind, shared)
				}
			}
		})
	}
	t.Run("a root file system of its own", func(t *testing.T) { says(t, out(t, c, inPea(program("cat", "/etc/name"))), "^pea$") })
	for user, want := range map[string]string{"": "0:0", "1001:1002": "1001:1002", "alice": "1001:1001"} {
		t.Run("user "+user, func(t *testing.T) {
			says(t, out(t, c, inPea(as(user, sh("echo $(id -u):$(id -g)")))), "^"+want+"$")
		})
	}
	t.Run("a user that is not in its passwd", func(t *testing.T) {
		_, err := c.Run(inPea(as("nobody-there", program("true"))), gardentest.IO{})
		fails(t, err, "unable to find user nobody-there: no matching entries in passwd file")
	})
	t.Run("exit status and output", func(t *testing.T) {
		if r := ran(t, c, inPea(sh("echo stdout; echo stderr >&2; exit 123"))); r != (result{123, "stdout\n", "stderr\n"}) {
			t.Errorf("%+v", r)
		}
	})
	for _, file := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		t.Run(file+" is the container's", func(t *testing.T) {
			out(t, c, inPea(sh("echo foobar >> "+file)))
			says(t, out(t, c, program("cat", file)), "^foobar$")
		})
	}
	t.Run("it begins in /", func(t *testing.T) {
		says(t, out(t, c, inPea(program("pwd"))), "^/$")
		says(t, out(t, c, inPea(as("alice", program("pwd")))), "^/$")
	})
	t.Run("TERM", func(t *testing.T) {
		p, said := started(t, c, inPea(sh("trap 'echo termed; exit 42' TERM; while true; do echo waiting; sleep 1; done")), "waiting")
		signal(t, p, api.SignalTerminate)
		if code := wait(t, p); code != 42 || !said.has("termed")() {
			t.Errorf("%d %q", code, said.String())
		}
	})
	big := inPea(dd("", "/dev/shm/too-big", 70))
	t.Run("the container's limits hold", func(t *testing.T) {
		if r := ran(t, c, big); r.code == 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("limits that are empty are none", func(t *testing.T) {
		spec := big
		spec.OverrideContainerLimits = &api.ProcessLimits{}
		out(t, c, spec)
		many := inPea(sh("for i in $(seq 15); do sleep 360 & done; ps | grep -c 'sleep 360'; kill $(jobs -p)"))
		many.OverrideContainerLimits = &api.ProcessLimits{}
		out(t, c, many)
	})
	t.Run("limits of its own", func(t *testing.T) {
		spec := inPea(dd("", "/dev/shm/too-big", 33))
		spec.OverrideContainerLimits = &api.ProcessLimits{Memory: api.MemoryLimits{LimitInBytes: 32 * mib}}
		if r := ran(t, c, spec); r.code == 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("its metrics", func(t *testing.T) {
		p, _ := started(t, c, inPea(sh("echo hi; sleep 600")), "hi")
		got := must(client.BulkMetrics(p.ID))
		if entry, ok := got[p.ID]; !ok || entry.Err != nil || entry.Metrics.MemoryStat.TotalUsageTowardLimit == 0 {
			t.Errorf("%+v", got)
		}
		signal(t, p, api.SignalKill)
		wait(t, p)
	})
	t.Run("a program that is not there", func(t *testing.T) {
		_, err := c.Run(inPea(program("does-not-exist")), gardentest.IO{})
		fails(t, err, "executable file not found in $PATH")
	})
	t.Run("it ends with the container", func(t *testing.T) {
		p, _ := started(t, c, inPea(sh("echo there; exec sleep 10000")), "there")
		if err := c.Destroy(); err != nil {
			t.Fatal(err)
		}
		if code := wait(t, p); code != 137 {
			t.Error(code)
		}
	})
}

func TestInformation(t *testing.T) {
	c := create(t, api.ContainerSpec{Properties: map[string]string{"foo": "bar", "a": "b"}, Limits: api.Limits{Pid: api.PidLimits{Max: 128}}})
	other := create(t, api.ContainerSpec{Properties: map[string]string{"foo": "baz", "a": "b"}})
	t.Run("properties", func(t *testing.T) {
		if p := must(c.Info()).Properties; p["foo"] != "bar" || p["a"] != "b" {
			t.Errorf("%v", p)
		}
		if err := c.SetProperty("bar", "baz"); err != nil {
			t.Fatal(err)
		}
		if p := must(c.Properties()); p["foo"] != "bar" || p["bar"] != "baz" {
			t.Errorf("%v", p)
		}
		if v := must(c.Property("foo")); v != "bar" {
			t.Error(v)
		}
		if err := c.RemoveProperty("a"); err != nil {
			t.Fatal(err)
		}
		if p := must(c.Info()).Properties; p["a"] != "" {
			t.Errorf("%v", p)
		}
	})
	t.Run("containers by a property", func(t *testing.T) {
		if got := must(client.List(map[string]string{"foo": "bar"})); len(got) != 1 || got[0] != c.Handle {
			t.Errorf("%v", got)
		}
		if got := must(client.List(map[string]string{"matthew": "mcconaughey"})); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
	t.Run("several at once", func(t *testing.T) {
		got := must(client.BulkInfo(c.Handle, other.Handle, "none"))
		if got[c.Handle].Err != nil || got[other.Handle].Info.State != "active" || gardentest.TypeOf(got["none"].Err) != api.TypeContainerNotFound {
			t.Errorf("%+v", got)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		must(c.Run(sh("while true; do ls -la > /dev/null; done"), gardentest.IO{}))
		eventually(t, "it uses something", func() bool {
			m := must(c.Metrics())
			return m.CPUStat.Usage > 0 && m.MemoryStat.TotalUsageTowardLimit > 0 && m.PidStat.Current > 0 && m.PidStat.Max == 128 && m.Age > 0
		})
		if m := must(other.Metrics()); m.PidStat.Max != 0 || m.MemoryStat.Anon == 0 && m.MemoryStat.File == 0 {
			t.Errorf("%+v", m)
		}
		if got := must(client.BulkMetrics(c.Handle)); got[c.Handle].Metrics.MemoryStat.TotalUsageTowardLimit == 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestNetwork(t *testing.T) {
	c := create(t, api.ContainerSpec{})
	t.Run("a mapped port", func(t *testing.T) {
		must(c.Run(sh("while true; do echo hallo | nc -l -p 8080; done"), gardentest.IO{}))
		ports := must(c.NetIn(api.NetIn{ContainerPort: 8080}))
		eventually(t, "it answers", func() bool {
			conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", ports.HostPort), time.Second)
			if err != nil {
				return false
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
			data := make([]byte, 5)
			_, _ = io.ReadFull(conn, data)
			return string(data) == "hallo"
		})
		if info := must(c.Info()); len(info.MappedPorts) != 1 || info.ContainerIP == "" || info.HostIP == "" || info.ExternalIP == "" {
			t.Errorf("%+v", info)
		}
	})
	t.Run("rules of every kind", func(t *testing.T) {
		code := uint8(0)
		rules := []api.NetOutRule{{Protocol: api.ProtocolTCP, Networks: []api.IPRange{{Start: net.IPv4(8, 8, 8, 8)}}, Ports: []api.PortRange{{Start: 53, End: 54}}, Log: true},
			{Protocol: api.ProtocolUDP}, {Protocol: api.ProtocolICMP, ICMPs: &api.ICMPControl{Type: 8, Code: &code}}, {Protocol: api.ProtocolICMPv6},
			{Networks: []api.IPRange{{Start: net.ParseIP("2001:db8::1"), End: net.ParseIP("2001:db8::ff")}}}}
		if err := c.BulkNetOut(rules); err != nil {
			t.Error(err)
		}
		if err := c.NetOut(rules[0]); err != nil {
			t.Error(err)
		}
		create(t, api.ContainerSpec{NetOut: rules})
	})
	t.Run("other containers and the host are out of reach", func(t *testing.T) {
		d := create(t, api.ContainerSpec{})
		if r := ran(t, d, program("nc", "-w", "2", must(d.Info()).HostIP, "22")); r.code == 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestDebugEndpoint(t *testing.T) {
	address := os.Getenv("GARDEN_DEBUG")
	if address == "" {
		t.Fatal("GARDEN_DEBUG names no address")
	}
	answer := must(http.Get("http://" + address + "/debug/vars"))
	defer answer.Body.Close()
	var vars struct{ Memstats struct{ Alloc uint64 } }
	if err := json.NewDecoder(answer.Body).Decode(&vars); err != nil || vars.Memstats.Alloc == 0 {
		t.Errorf("%+v %v", vars, err)
	}
	if strings.Contains(address, "0.0.0.0") {
		t.Error("it listens on all addresses")
	}
}
