//go:build garden

package gardensuite

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/gardentest"
)

func TestLifecycleOfContainers(t *testing.T) {
	limits := api.Limits{Memory: api.MemoryLimits{LimitInBytes: 128 * mib}, CPU: api.CPULimits{LimitInShares: 50}}
	c := create(t, api.ContainerSpec{Limits: limits, Handle: "7132-ec774112a9cd-101f8293-230e-4fa8-4138-e8244e6dcfa1"})
	t.Run("limits of the spec are in force", func(t *testing.T) {
		if m := must(c.MemoryLimits()); m != limits.Memory {
			t.Errorf("memory %+v", m)
		}
		if l := must(c.CPULimits()); l != limits.CPU {
			t.Errorf("cpu %+v", l)
		}
	})
	t.Run("limits that nobody asked for are none", func(t *testing.T) {
		if d, b := must(c.DiskLimits()), must(c.BandwidthLimits()); d != (api.DiskLimits{}) || b != (api.BandwidthLimits{}) {
			t.Errorf("%+v %+v", d, b)
		}
	})
	t.Run("one after the other is made and destroyed", func(t *testing.T) {
		for range 2 {
			create(t, api.ContainerSpec{Limits: api.Limits{Disk: api.DiskLimits{ByteHard: 2 << 30}}})
		}
	})
	t.Run("a handle is used once", func(t *testing.T) {
		_, err := client.Create(api.ContainerSpec{Handle: c.Handle, Image: api.ImageRef{URI: rootfs}})
		if err == nil || err.Error() != "Handle '"+c.Handle+"' already in use" {
			t.Errorf("%v", err)
		}
	})
	t.Run("destroying none is an error with its type", func(t *testing.T) {
		err := client.Destroy("potato-sandwich-policy")
		if gardentest.TypeOf(err) != api.TypeContainerNotFound || err.Error() != "unknown handle: potato-sandwich-policy" {
			t.Errorf("%v", err)
		}
	})
	t.Run("/dev/shm is tmpfs for everybody", func(t *testing.T) {
		says(t, out(t, c, as("alice", sh("dd if=/dev/urandom of=/dev/shm/some-data count=64 bs=1k && cat /proc/mounts"))), "^tmpfs /dev/shm tmpfs rw,nodev,relatime")
	})
	t.Run("the host name is the end of the handle", func(t *testing.T) {
		says(t, out(t, c, as("alice", program("hostname"))), "^ec774112a9cd-101f8293-230e-4fa8-4138-e8244e6dcfa1$")
		short := create(t, api.ContainerSpec{})
		says(t, out(t, short, program("hostname")), "^"+short.Handle+"$")
	})
	t.Run("the first process is garden-init", func(t *testing.T) {
		says(t, out(t, c, program("head", "-n1", "/proc/1/status")), "garden-init")
	})
	t.Run("it is listed", func(t *testing.T) {
		says(t, strings.Join(must(client.List(nil)), "\n"), "^"+c.Handle+"$")
	})
	t.Run("it is active", func(t *testing.T) {
		if info := must(c.Info()); info.State != "active" {
			t.Errorf("%+v", info)
		}
	})
	t.Run("attaching to no process is an error with its type", func(t *testing.T) {
		_, err := c.Attach("idontexist", gardentest.IO{})
		if gardentest.TypeOf(err) != api.TypeProcessNotFound || err.Error() != "unknown process: idontexist" {
			t.Errorf("%v", err)
		}
	})
	t.Run("it goes after its grace time", func(t *testing.T) {
		g := create(t, api.ContainerSpec{})
		if err := g.SetGraceTime(500 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is gone", func() bool { return !strings.Contains(strings.Join(must(client.List(nil)), " "), g.Handle) })
	})
	t.Run("capacity", func(t *testing.T) {
		if got := must(client.Capacity()); got.MemoryInBytes == 0 || got.DiskInBytes == 0 || got.MaxContainers == 0 || got.SchedulableDiskInBytes == 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("ping", func(t *testing.T) {
		if err := client.Ping(); err != nil {
			t.Error(err)
		}
	})
}

func TestLifecycleOfProcesses(t *testing.T) {
	c := create(t, api.ContainerSpec{})
	t.Run("as root", func(t *testing.T) { says(t, out(t, c, as("root", program("whoami"))), "^root$") })
	t.Run("output and exit status", func(t *testing.T) {
		spec := as("alice", sh("sleep 0.5; echo $FIRST; sleep 0.5; echo $SECOND >&2; exit 42"))
		spec.Env = []string{"FIRST=hello", "SECOND=goodbye"}
		if r := ran(t, c, spec); r != (result{42, "hello\n", "goodbye\n"}) {
			t.Errorf("%+v", r)
		}
	})
	t.Run("all who are attached learn of the end, as often as they ask", func(t *testing.T) {
		p := must(c.Run(sh("sleep 3; exit 12"), gardentest.IO{}))
		var all sync.WaitGroup
		for range 6 {
			attached, err := c.Attach(p.ID, gardentest.IO{})
			if err != nil {
				t.Error(err)
				break
			}
			all.Go(func() {
				if code, err := attached.Wait(); code != 12 || err != nil {
					t.Errorf("%d %v", code, err)
				}
			})
		}
		all.Wait()
		for range 3 {
			if code := wait(t, p); code != 12 {
				t.Error(code)
			}
		}
	})
	t.Run("all who are attached get all output", func(t *testing.T) {
		const size = 10_000_000
		for range 2 {
			var run, attach [2]buffer
			p := must(c.Run(sh(fmt.Sprintf(`read go; printf "%%0%dd" 1; printf "%%0%[1]dd" 1 >&2`, size)),
				gardentest.IO{Stdin: slow(3*time.Second, "go\n"), Stdout: &run[0], Stderr: &run[1]}))
			a := must(c.Attach(p.ID, gardentest.IO{Stdout: &attach[0], Stderr: &attach[1]}))
			if wait(t, p) != 0 || wait(t, a) != 0 {
				t.Error("exit status")
			}
			for i := range 2 {
				if len(run[i].String()) != size || len(attach[i].String()) != size {
					t.Errorf("%d: %d and %d bytes", i+1, len(run[i].String()), len(attach[i].String()))
				}
			}
		}
	})
	for _, user := range []string{"alice", "root"} {
		t.Run("TERM to a process of "+user, func(t *testing.T) {
			p, said := started(t, c, as(user, sh("trap 'echo termed; exit 42' TERM; while true; do echo waiting; sleep 1; done")), "waiting")
			signal(t, p, api.SignalTerminate)
			if code := wait(t, p); code != 42 || !said.has("termed")() {
				t.Errorf("%d %q", code, said)
			}
		})
	}
	t.Run("signals need no program of the container's", func(t *testing.T) {
		n := create(t, api.ContainerSpec{})
		out(t, n, program("rm", "/bin/kill"))
		p, _ := started(t, n, as("alice", sh("trap wait TERM; while true; do echo waiting; sleep 1; done")), "waiting")
		signal(t, p, api.SignalKill)
		if code := wait(t, p); code != 137 {
			t.Error(code)
		}
		p, _ = started(t, n, as("alice", sh("while true; do echo waiting; sleep 1; done")), "waiting")
		signal(t, p, api.SignalTerminate)
		if code := wait(t, p); code == 0 {
			t.Error(code)
		}
		saysNot(t, out(t, n, program("ps", "-o", "args")), "while true")
		p, said := started(t, n, as("alice", sh("while true; do echo stillhere; sleep 1; done")), "stillhere")
		signal(t, p, api.SignalKill)
		wait(t, p)
		before := said.String()
		time.Sleep(2 * time.Second)
		if said.String() != before {
			t.Error("it is still there")
		}
	})
	t.Run("KILL right after the start", func(t *testing.T) {
		for range 5 {
			p := must(c.Run(as("alice", sh("while true; do echo -n x; sleep 1; done")), gardentest.IO{Stdout: io.Discard}))
			signal(t, p, api.SignalKill)
			if code := wait(t, p); code == 0 {
				t.Error(code)
			}
		}
	})
	t.Run("output of a process that ends at once", func(t *testing.T) {
		for range 10 {
			var said buffer
			p := must(c.Run(as("alice", sh("cat <&0")), gardentest.IO{Stdin: strings.NewReader("hi stdout"), Stdout: &said}))
			if code := wait(t, p); code != 0 || said.String() != "hi stdout" {
				t.Errorf("%d %q", code, said.String())
			}
		}
	})
	t.Run("input", func(t *testing.T) {
		var said buffer
		p := must(c.Run(as("alice", program("cat")), gardentest.IO{Stdin: strings.NewReader("hello\nworld"), Stdout: &said}))
		if code := wait(t, p); code != 0 || said.String() != "hello\nworld" {
			t.Errorf("%d %q", code, said.String())
		}
	})
	t.Run("exit status though input is still being sent", func(t *testing.T) {
		for range 5 {
			p := must(c.Run(as("alice", program("ls")), gardentest.IO{Stdin: io.LimitReader(endless{}, 10*mib)}))
			if code := wait(t, p); code != 0 {
				t.Error(code)
			}
		}
	})
	t.Run("in a working directory", func(t *testing.T) {
		spec := as("alice", program("pwd"))
		spec.Dir = "/usr"
		says(t, out(t, c, spec), "^/usr$")
		spec.Dir = "/home/alice/made/for/it"
		says(t, out(t, c, spec), "^/home/alice/made/for/it$")
		says(t, out(t, c, program("stat", "-c", "%U %U", "/home/alice/made")), "^alice")
	})
	t.Run("a program that is not there is an error with its type", func(t *testing.T) {
		_, err := c.Run(program("no-such-program"), gardentest.IO{})
		fails(t, err, "executable file not found in $PATH")
		if gardentest.TypeOf(err) != api.TypeExecutableNotFound {
			t.Errorf("type %q", gardentest.TypeOf(err))
		}
	})
	t.Run("environment", func(t *testing.T) {
		e := create(t, api.ContainerSpec{Env: []string{"CONTAINER_ENV=1", "TEST=hi"}})
		spec := as("alice", program("env"))
		spec.Env = []string{"TEST=hello", "FRUIT=banana"}
		says(t, out(t, e, spec), `\ACONTAINER_ENV=1\nTEST=hello\nFRUIT=banana\nPATH=\S+\nUSER=alice\nHOME=/home/alice\n`)
	})
	t.Run("its end is not that of its children", func(t *testing.T) {
		p, _ := started(t, c, as("alice", sh("trap 'exit 42' TERM; echo trapping; sleep 1000 & wait")), "trapping")
		signal(t, p, api.SignalTerminate)
		if code := wait(t, p); code != 42 {
			t.Error(code)
		}
		p, _ = started(t, c, as("alice", sh("trap 'kill $child; exit 42' TERM; sleep 1000 & child=$!; echo trapping; wait")), "trapping")
		signal(t, p, api.SignalTerminate)
		if code := wait(t, p); code != 42 {
			t.Error(code)
		}
	})
	t.Run("TERM right after the start", func(t *testing.T) {
		p := must(c.Run(as("alice", sh("sleep 10; exit 12")), gardentest.IO{Stdout: io.Discard}))
		signal(t, p, api.SignalTerminate)
		if code := wait(t, p); code == 12 {
			t.Error(code)
		}
	})
}

// slow gives a text after a time.
func slow(after time.Duration, text string) io.Reader {
	r, w := io.Pipe()
	time.AfterFunc(after, func() { _, _ = io.WriteString(w, text); w.Close() })
	return r
}

func TestTerminals(t *testing.T) {
	c := create(t, api.ContainerSpec{})
	tty := func(spec api.ProcessSpec, columns, rows uint16) api.ProcessSpec {
		spec.TTY = &api.TTYSpec{}
		if columns > 0 {
			spec.TTY.WindowSize = &api.WindowSize{Columns: columns, Rows: rows}
		}
		return spec
	}
	t.Run("default size", func(t *testing.T) {
		says(t, out(t, c, tty(as("alice", program("stty", "-a")), 0, 0)), "rows 24; columns 80;")
	})
	t.Run("given size", func(t *testing.T) {
		says(t, out(t, c, tty(as("alice", program("stty", "-a")), 123, 456)), "rows 456; columns 123;")
	})
	t.Run("lines end as terminals have it", func(t *testing.T) {
		says(t, out(t, c, tty(sh(`echo -e "new\nline"`), 0, 0)), "new\r\nline")
	})
	t.Run("another size", func(t *testing.T) {
		in, feed := io.Pipe()
		var said buffer
		p := must(c.Run(tty(as("alice", sh(`trap "stty -a" WINCH; while true; do echo waiting; if read x; then exit 0; fi; done`)), 13, 46),
			gardentest.IO{Stdin: in, Stdout: &said}))
		eventually(t, "it waits", said.has("waiting"))
		if err := p.SetTTY(api.TTYSpec{WindowSize: &api.WindowSize{Columns: 123, Rows: 456}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the size changes", said.has("rows 456; columns 123;"))
		_, _ = io.WriteString(feed, "ok\n")
		if code := wait(t, p); code != 0 {
			t.Error(code)
		}
	})
	const size = 5_000_000
	t.Run("all output comes", func(t *testing.T) {
		if got := out(t, c, tty(as("alice", sh(fmt.Sprintf(`printf "%%0%dd" 1`, size))), 0, 0)); len(got) != size {
			t.Errorf("%d bytes", len(got))
		}
	})
	t.Run("all who are attached get all output", func(t *testing.T) {
		in, feed := io.Pipe()
		var run, attach buffer
		p := must(c.Run(tty(sh(fmt.Sprintf(`stty -echo; echo go; read x; printf "%%0%dd" 1`, size)), 0, 0), gardentest.IO{Stdin: in, Stdout: &run}))
		eventually(t, "it waits", run.has("go\r\n"))
		a := must(c.Attach(p.ID, gardentest.IO{Stdout: &attach}))
		_, _ = io.WriteString(feed, "ok\n")
		if wait(t, p) != 0 || wait(t, a) != 0 || len(run.String()) != size+4 || len(attach.String()) != size {
			t.Errorf("%d and %d bytes", len(run.String()), len(attach.String()))
		}
	})
}

func TestStop(t *testing.T) {
	c := create(t, api.ContainerSpec{})
	t.Run("all processes are told", func(t *testing.T) {
		p, _ := started(t, c, as("alice", sh("trap 'exit 42' TERM; while true; do echo waiting; sleep 1; done")), "waiting")
		q, _ := started(t, c, as("alice", sh(`trap wait TERM; sh -c 'trap wait TERM; sleep 100 & wait' & echo waiting; wait`)), "waiting")
		began := time.Now()
		if err := c.Stop(false); err != nil {
			t.Fatal(err)
		}
		if code := wait(t, p); code != 42 {
			t.Error(code)
		}
		if code := wait(t, q); code != 143 && code != 0 {
			t.Error(code)
		}
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("it is stopped", func(t *testing.T) {
		if info := must(c.Info()); info.State != "stopped" {
			t.Errorf("%+v", info)
		}
	})
	t.Run("processes can be started again", func(t *testing.T) { says(t, out(t, c, program("echo", "again")), "^again$") })
	t.Run("who does not listen is killed", func(t *testing.T) {
		p, _ := started(t, c, as("alice", sh(`trap "echo cannot touch this" TERM; echo waiting; while true; do sleep 1000; done`)), "waiting")
		began := time.Now()
		if err := c.Stop(false); err != nil {
			t.Fatal(err)
		}
		if code := wait(t, p); code != 137 && code != 255 {
			t.Error(code)
		}
		if took := time.Since(began); took < 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("at once", func(t *testing.T) {
		p, _ := started(t, c, sh(`trap "" TERM; echo waiting; while true; do sleep 1000; done`), "waiting")
		if err := c.Stop(true); err != nil {
			t.Fatal(err)
		}
		if code := wait(t, p); code != 137 {
			t.Error(code)
		}
	})
}

func someTar(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{{Name: "./some-temp-dir", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "./some-temp-dir/some-temp-file", Size: 9, Mode: 0o755}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = w.Write([]byte("some-body"))
		}
	}
	w.Close()
	return b.Bytes()
}

func TestStreams(t *testing.T) {
	for _, privileged := range []bool{false, true} {
		c := create(t, api.ContainerSpec{Privileged: privileged})
		in := func(t *testing.T, path, user string) error {
			t.Helper()
			return c.StreamIn(path, user, bytes.NewReader(someTar(t)))
		}
		name := fmt.Sprintf("privileged %v: ", privileged)
		t.Run(name+"where the user may not", func(t *testing.T) { fails(t, in(t, "/home/alice", "bob"), "Permission denied") })
		t.Run(name+"as a user, to a path", func(t *testing.T) {
			if err := in(t, "/home/alice", "alice"); err != nil {
				t.Fatal(err)
			}
			says(t, out(t, c, as("alice", program("ls", "-l", "/home/alice/some-temp-dir"))), `alice +alice +9 .* some-temp-file`)
		})
		t.Run(name+"as root when no user is named", func(t *testing.T) {
			if err := in(t, "/root/there", ""); err != nil {
				t.Fatal(err)
			}
			says(t, out(t, c, program("ls", "-l", "/root/there/some-temp-dir")), `root +root +9 .* some-temp-file`)
		})
		t.Run(name+"to /", func(t *testing.T) {
			if err := in(t, "/", ""); err != nil {
				t.Error(err)
			}
		})
		t.Run(name+"as nobody that there is", func(t *testing.T) { fails(t, in(t, "/home/alice", "batman"), "error streaming in") })
		for _, path := range []string{".", ""} {
			t.Run(name+"to the home directory by "+fmt.Sprintf("%q", path), func(t *testing.T) {
				if err := in(t, path, "bob"); err != nil {
					t.Fatal(err)
				}
				out(t, c, as("bob", program("test", "-f", "some-temp-dir/some-temp-file")))
			})
		}
		t.Run(name+"half of it is an error", func(t *testing.T) {
			if err := c.StreamIn("/tmp/some-container-dir", "alice", bytes.NewReader(someTar(t)[:10])); err == nil {
				t.Error("it is accepted")
			}
		})
		outer := sh("mkdir -p some-outer-dir/some-inner-dir && touch some-outer-dir/some-inner-dir/some-file")
		out(t, c, as("alice", outer))
		for _, user := range []string{"alice", ""} {
			t.Run(name+"a folder out, as user "+user, func(t *testing.T) {
				says(t, list(t, c, "/home/alice/some-outer-dir/some-inner-dir", user), `\Asome-inner-dir/ some-inner-dir/some-file\z`)
			})
		}
		t.Run(name+"what is in a folder, from the home directory", func(t *testing.T) {
			says(t, list(t, c, "some-outer-dir/some-inner-dir/", "alice"), `\A\./ \./some-file\z`)
		})
		t.Run(name+"what is not there", func(t *testing.T) {
			r, err := c.StreamOut("/nowhere", "")
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

// list is the names in a stream.
func list(t *testing.T, c *gardentest.Container, path, user string) string {
	t.Helper()
	r, err := c.StreamOut(path, user)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}
