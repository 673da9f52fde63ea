package shim

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/gdn/cgroup"
	"photonbuild.invalid/compat/internal/gdn/sidecar"
)

// fakeRunc creates a process that waits in a fifo for start, and says so with status 5.
const fakeRunc = `#!/bin/sh
dir=$(dirname "$0")
echo "$@" >> "$dir/calls"
while [ $# -gt 0 ]; do
	case $1 in
	--pid-file) pidfile=$2; shift;;
	create) mkfifo "$dir/fifo"; op=create;;
	start) test -e "$dir/refuse" && exit 1; echo go > "$dir/fifo";;
	delete) rm -rf "$dir/root";;
	esac
	shift
done
exec 3<&0
if [ "$op" = create ]; then
	sh -c 'read go < "$0"; read line; echo "$go $line"; exit 5' "$dir/fifo" <&3 3<&- &
	echo $! > "$pidfile"
fi
`

func sidecarKeeper(t *testing.T) (*keeper, string) {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"p", "side/bundle", "cgroup", "root/c-s"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "runc"), []byte(fakeRunc), 0o755); err != nil {
		t.Fatal(err)
	}
	k := &keeper{outputs: map[byte]*os.File{}, program: filepath.Join(dir, "runc")}
	k.c = Config{ProcessID: "p", Container: "c", RuncRoot: filepath.Join(dir, "root"), Dir: filepath.Join(dir, "p"),
		Socket: filepath.Join(dir, "s"), Process: &specs.Process{},
		Sidecar: &sidecar.Sidecar{ID: "c-s", Dir: filepath.Join(dir, "side"), Cgroup: filepath.Join(dir, "cgroup")}}
	return k, dir
}

// TestSidecar: it is created, put into the container's cgroup, started, streamed and cleaned up.
func TestSidecar(t *testing.T) {
	k, dir := sidecarKeeper(t)
	listener, err := k.start()
	if err != nil {
		t.Fatal(err)
	}
	if pid, _ := os.ReadFile(filepath.Join(dir, "cgroup/cgroup.procs")); string(pid) != strconv.Itoa(k.pid) {
		t.Errorf("%q is in the container's cgroup, not %d", pid, k.pid)
	}
	if r, _, running, err := Read(k.c.Dir); err != nil || !running || r.Sidecar != k.c.Sidecar.Dir {
		t.Errorf("%+v %v %v", r, running, err)
	}
	done := make(chan struct{})
	go func() { k.stay(listener); close(done) }()
	c, err := Dial(k.c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Stdin([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, c); string(m.Data) != "go line\n" {
		t.Errorf("%+v", m)
	}
	if m := next(t, c); m.Exit == nil || m.Exit.Status != 5 {
		t.Errorf("%+v", m)
	}
	if err := c.Delivered(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the shim stays")
	}
	for _, left := range []string{"side", "p", "s", "root"} {
		if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
			t.Errorf("%s is left", left)
		}
	}
	calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
	if lines := strings.Split(strings.TrimSpace(string(calls)), "\n"); len(lines) != 3 || !strings.Contains(lines[0], "--bundle "+dir+"/side/bundle c-s") || !strings.HasSuffix(lines[1], "start c-s") {
		t.Errorf("runc was called so: %q", lines)
	}
}

// TestSidecarThatCannotStart leaves no process that waits.
func TestSidecarThatCannotStart(t *testing.T) {
	k, dir := sidecarKeeper(t)
	if err := os.WriteFile(filepath.Join(dir, "refuse"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.start(); err == nil {
		t.Fatal("it started")
	}
	if exit := k.wait(); exit.Status != 137 {
		t.Errorf("%+v", exit)
	}
}

// TestKillIn: what is in the namespace dies, and nothing else.
func TestKillIn(t *testing.T) {
	left := exec.Command("sleep", "60")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(left.Process.Pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		t.Skip(err)
	}
	if n := killIn(cgroup.Group(dir), other); n != 0 {
		t.Errorf("%d killed that are elsewhere", n)
	}
	own, err := os.Stat("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	if n := killIn(cgroup.Group(dir), own); n != 1 {
		t.Errorf("%d killed", n)
	}
	if err := left.Wait(); err == nil {
		t.Error("it was not killed")
	}
}
