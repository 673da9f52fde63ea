//go:build garden

package gardensuite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/gardentest"
)

func TestSecurity(t *testing.T) {
	c := create(t, api.ContainerSpec{})
	mounts := out(t, c, program("cat", "/proc/mounts"))
	t.Run("only processes of the container are seen", func(t *testing.T) {
		must(c.Run(as("alice", program("sleep", "989898")), gardentest.IO{}))
		if got := strings.Count(out(t, c, as("alice", sh("ps | tail -n +2"))), "\n"); got != 5 { // init, sleep, sh, ps, tail
			t.Errorf("%d processes", got)
		}
	})
	t.Run("no descriptor leaks", func(t *testing.T) { says(t, out(t, c, program("ls", "/proc/self/fd")), `\A0\n1\n2\n3\n\z`) })
	t.Run("/tmp is everybody's", func(t *testing.T) { says(t, out(t, c, program("ls", "-al", "/tmp")), "^drwxrwxrwt") })
	t.Run("/dev/shm is tmpfs", func(t *testing.T) { says(t, mounts, "^tmpfs /dev/shm tmpfs") })
	t.Run("/sys is read-only", func(t *testing.T) { says(t, mounts, "^sysfs /sys sysfs ro") })
	t.Run("cgroups are read-only", func(t *testing.T) { says(t, mounts, "^cgroup /sys/fs/cgroup cgroup2 ro") })
	t.Run("it is in a cgroup", func(t *testing.T) { says(t, out(t, c, program("cat", "/proc/self/cgroup")), "^0::/") })
	t.Run("rlimits", func(t *testing.T) {
		limit := uint64(4567)
		spec := sh("ulimit -a")
		spec.Limits.Nproc = &limit
		says(t, out(t, c, spec), `process.*\W4567`)
	})
	t.Run("setuid bits of the image stay", func(t *testing.T) { says(t, out(t, c, as("alice", program("ls", "-l", "/bin/busybox"))), "^-rws") })
	t.Run("ids of a user, and no other groups", func(t *testing.T) {
		says(t, out(t, c, as("alice", sh("id -u; id -g; id -G"))), `\A1001\n1001\n1001\n\z`)
		says(t, out(t, c, as("root", sh("id -u; id -g; id -G"))), `\A0\n0\n0\n\z`)
		says(t, out(t, c, as("alice", program("cat", "/proc/self/status"))), `^Groups:\s*$`)
	})
	t.Run("HOME, USER and PATH", func(t *testing.T) {
		says(t, out(t, c, as("alice", sh("env | sort"))), `\AHOME=/home/alice\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=/home/alice\nSHLVL=1\nUSER=alice\n\z`)
		says(t, out(t, c, as("root", sh("env | sort"))), `\AHOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/root\nSHLVL=1\nUSER=root\n\z`)
		spec := as("alice", sh("env"))
		spec.Env = []string{"HOME=/nowhere", "USER=nobody"}
		text := out(t, c, spec)
		says(t, text, "^HOME=/nowhere$")
		says(t, text, "^USER=nobody$")
	})
	t.Run("the home directory is where a process begins", func(t *testing.T) {
		says(t, out(t, c, as("alice", program("/bin/pwd"))), "^/home/alice$")
		says(t, out(t, c, as("root", program("/bin/pwd"))), "^/root$")
	})
	t.Run("/sbin is searched for root alone", func(t *testing.T) {
		_, err := c.Run(as("alice", program("ifconfig")), gardentest.IO{})
		fails(t, err, "executable file not found")
		out(t, c, as("root", program("ifconfig")))
	})
	t.Run("what is the host's is not root's", func(t *testing.T) {
		if r := ran(t, c, sh("echo h > /proc/sysrq-trigger")); r.code == 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("root writes in /root", func(t *testing.T) { out(t, c, program("touch", "/root/potato")) })
	t.Run("a large user id", func(t *testing.T) {
		says(t, out(t, c, as("1000000000:1000000000", program("id"))), "uid=1000000000 gid=1000000000")
		says(t, out(t, c, as("large", program("id", "-u"))), "^700000$")
	})
	t.Run("the ids of the machine's users are nobody's in a container", func(t *testing.T) {
		says(t, out(t, c, program("cat", "/proc/self/uid_map")), `\A\s+0 2130706432\s+65536\n\s+65536\s+65536 2130640896\n\s+2130771968 2130771968 2164195326\n\z`)
	})
	t.Run("files of the image have their owners", func(t *testing.T) {
		text := out(t, c, program("ls", "-ln", "/bin", "/dev/pts", "/dev/ptmx", "/dev/pts/ptmx"))
		saysNot(t, text, "65534")
		says(t, out(t, c, as("alice", sh("touch mine; ls -la /home/alice"))), "alice .* mine")
		says(t, out(t, c, program("cat", "/.foo")), "a file with a dot")
	})
	for _, in := range []struct {
		name string
		spec func(api.ProcessSpec) api.ProcessSpec
	}{{"container", func(s api.ProcessSpec) api.ProcessSpec { return s }}, {"pea", inPea}} {
		t.Run("seccomp in a "+in.name, func(t *testing.T) {
			says(t, out(t, c, in.spec(program("grep", "Seccomp:", "/proc/self/status"))), `Seccomp:\s+2`)
			if r := ran(t, c, in.spec(program("unshare", "-U", "whoami"))); r.code == 0 || !strings.Contains(r.errors, "not permitted") {
				t.Errorf("%+v", r)
			}
		})
		t.Run("capabilities in a "+in.name, func(t *testing.T) {
			for user, effective := range map[string]string{"root": "00000000a80425fb", "1000:1000": "0000000000000000"} {
				text := out(t, c, in.spec(as(user, program("cat", "/proc/self/status"))))
				for set, want := range map[string]string{"Prm": effective, "Eff": effective, "Bnd": "00000000a80425fb", "Amb": "0000000000000000"} {
					says(t, text, "^Cap"+set+`:\s+`+want)
				}
			}
		})
	}
	t.Run("capabilities of the first process", func(t *testing.T) {
		says(t, out(t, c, program("cat", "/proc/1/status")), `CapBnd:\s+00000000a80425fb`)
	})
	t.Run("masked", func(t *testing.T) {
		for _, path := range []string{"/proc/kcore", "/proc/timer_list"} {
			says(t, out(t, c, sh("if [ -e "+path+" ]; then stat -c '%F %t,%T' "+path+"; else echo none; fi")), "character special file 1,3|none")
		}
		says(t, out(t, c, sh("ls -A /proc/scsi 2>/dev/null; true")), `\A\z`)
	})
	t.Run("processes are killed for memory like any other", func(t *testing.T) {
		for _, spec := range []api.ProcessSpec{program("cat", "/proc/self/oom_score_adj"), inPea(program("cat", "/proc/self/oom_score_adj"))} {
			says(t, out(t, c, spec), `\A0\n\z`)
		}
	})
	t.Run("a stream gives no rights", func(t *testing.T) { streamedCapability(t, c) })
}

func TestPrivileged(t *testing.T) {
	c := create(t, api.ContainerSpec{Privileged: true})
	mounts := out(t, c, program("cat", "/proc/mounts"))
	t.Run("/proc can be written", func(t *testing.T) { says(t, mounts, "^proc /proc proc rw") })
	t.Run("/sys is read-only", func(t *testing.T) { says(t, mounts, "^sysfs /sys sysfs ro") })
	t.Run("no cgroup is mounted", func(t *testing.T) { saysNot(t, mounts, "cgroup") })
	t.Run("root has all capabilities", func(t *testing.T) {
		text := out(t, c, program("cat", "/proc/self/status"))
		for _, set := range []string{"Prm", "Eff", "Bnd"} {
			says(t, text, "^Cap"+set+`:\s+0000003fffffffff`)
		}
	})
	t.Run("others have few, and CAP_SYS_ADMIN to gain", func(t *testing.T) {
		text := out(t, c, as("alice", program("cat", "/proc/self/status")))
		says(t, text, `^CapEff:\s+0000000000000000`)
		says(t, text, `^CapBnd:\s+00000000a82425fb`)
	})
	t.Run("no other groups", func(t *testing.T) {
		saysNot(t, out(t, c, as("root", program("cat", "/proc/self/status"))), `^Groups:\s*0`)
	})
	t.Run("root writes in /root", func(t *testing.T) { out(t, c, program("touch", "/root/potato")) })
	t.Run("no disk of the machine", func(t *testing.T) {
		text := out(t, c, sh("find /dev -type b; { mknod /tmp/disk b 7 0 && dd if=/tmp/disk of=/dev/null bs=1 count=1; } 2>&1; true"))
		says(t, text, "not permitted")
		saysNot(t, text, "^/dev/")
	})
	t.Run("fuse", func(t *testing.T) { says(t, out(t, c, program("ls", "-l", "/dev/fuse")), `10,\s+229`) })
}

func TestDevices(t *testing.T) {
	c := create(t, api.ContainerSpec{})
	for device, numbers := range map[string]string{"tty": "5, +0", "random": "1, +8", "urandom": "1, +9", "null": "1, +3", "zero": "1, +5", "full": "1, +7", "pts/ptmx": "5, +2"} {
		t.Run("/dev/"+device, func(t *testing.T) { says(t, out(t, c, program("ls", "-l", "/dev/"+device)), numbers) })
	}
	for link, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		t.Run("/dev/"+link, func(t *testing.T) { says(t, out(t, c, program("ls", "-l", "/dev/"+link)), "/dev/"+link+" -> "+target) })
	}
	t.Run("/dev/pts is mounted", func(t *testing.T) {
		says(t, out(t, c, program("cat", "/proc/mounts")), "^devpts /dev/pts devpts rw,nosuid,noexec,relatime,.*mode=620,ptmxmode=666")
	})
	for _, user := range []string{"root", "alice", "1000000000:1000000000"} {
		t.Run("standard streams can be opened by "+user, func(t *testing.T) {
			var said, complaint buffer
			p := must(c.Run(as(user, sh("cat /dev/stdin > /dev/stdout; echo no >> /dev/stderr")),
				gardentest.IO{Stdin: strings.NewReader("through"), Stdout: &said, Stderr: &complaint}))
			if code := wait(t, p); code != 0 || said.String() != "through" || complaint.String() != "no\n" {
				t.Errorf("%d %q %q", code, said.String(), complaint.String())
			}
		})
	}
}

// streamedCapability: a file that comes with a capability has none, and a stream into a folder of
// the host changes nothing there that the container's root could not.
func streamedCapability(t *testing.T, c *gardentest.Container) {
	t.Helper()
	body := "#!/bin/sh\n"
	if err := c.StreamIn("/home/alice", "alice", tarWith(t, "tool", body, map[string]string{
		"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x80\x00\x00\x00" + strings.Repeat("\x00", 12)})); err != nil {
		t.Fatal(err)
	}
	saysNot(t, out(t, c, sh("getfattr -m - /home/alice/tool 2>/dev/null; true")), "capability")
}

func TestStreamsAreNotTheHostsRoot(t *testing.T) {
	host := filepath.Join(folder, "host")
	if err := errors.Join(os.MkdirAll(host, 0o755), os.WriteFile(filepath.Join(host, "hosts-own"), []byte("untouched"), 0o644)); err != nil {
		t.Fatal(err)
	}
	c := create(t, api.ContainerSpec{BindMounts: []api.BindMount{{SrcPath: host, DstPath: "/host", Mode: api.BindRW}}})
	out(t, c, sh("ln -s /host /root/link"))
	for _, path := range []string{"/host", "/root/link"} {
		if err := c.StreamIn(path, "", tarWith(t, "hosts-own", "changed", nil)); err == nil {
			t.Errorf("a stream to %s overwrites what is the host's", path)
		}
	}
	spec := program("true")
	spec.Dir = "/host/made"
	if _, err := c.Run(spec, gardentest.IO{}); err == nil {
		t.Error("a working directory is made in a folder of the host's")
	}
	data, err := os.ReadFile(filepath.Join(host, "hosts-own"))
	if err != nil || string(data) != "untouched" {
		t.Errorf("%q %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(host, "made")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func tarWith(t *testing.T, name, body string, records map[string]string) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(writeTar(w, name, body, records)) }()
	return r
}

func TestABindMount(t *testing.T) {
	host := filepath.Join(folder, "shared")
	if err := errors.Join(os.MkdirAll(host, 0o777), os.Chmod(host, 0o777)); err != nil {
		t.Fatal(err)
	}
	for mode, writes := range map[uint8]bool{api.BindRO: false, api.BindRW: true} {
		t.Run(fmt.Sprintf("mode %d", mode), func(t *testing.T) {
			c := create(t, api.ContainerSpec{BindMounts: []api.BindMount{{SrcPath: host, DstPath: "/shared", Mode: mode}}})
			if r := ran(t, c, as("alice", program("touch", "/shared/file"))); (r.code == 0) != writes {
				t.Errorf("%+v", r)
			}
		})
	}
}
