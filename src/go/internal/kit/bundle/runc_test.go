package bundle

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// fake puts a program in runc's place that keeps its argv and does what body says;
// $log is the log file.
func fake(t *testing.T, body string) (Runc, func() []string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" > " + dir + "/argv\nlog=$4\n" + body + "\n"
	if err := os.WriteFile(dir+"/runc", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := os.ReadDir(logs); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return Runc{Root: "/root", Log: logs, Path: dir + "/runc"}, func() []string {
		data, err := os.ReadFile(dir + "/argv")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
}

func TestRunGivesTheStatusOfTheProcess(t *testing.T) {
	r, argv := fake(t, "exit 7")
	p, err := r.Run(context.Background(), "id", "/b", StartOptions{PidFile: "/p"})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := p.Wait(); status != 7 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	a := argv()
	if !slices.Equal(a[:2], []string{"--root", "/root"}) || !slices.Equal(a[6:], []string{"run", "--pid-file", "/p", "--bundle", "/b", "id"}) {
		t.Errorf("argv %q", a)
	}
}

func TestRuncsOwnFailureNamesItsCause(t *testing.T) {
	r, _ := fake(t, `echo '{"level":"warning","msg":"w"}
{"level":"error","msg":"no such bundle"}' > $log; exit 1`)
	err := r.Create(context.Background(), "id", "/b", StartOptions{})
	var e *RuncError
	if !errors.As(err, &e) || e.Error() != "runc create id: no such bundle" {
		t.Errorf("error %v", err)
	}
	if _, err := r.State(context.Background(), "id"); err == nil || !strings.Contains(err.Error(), "no such bundle") {
		t.Errorf("state: %v", err)
	}
}

func TestKillDeleteUpdateState(t *testing.T) {
	r, argv := fake(t, `case $7 in state) echo '{"id":"x","status":"running","pid":5}';; update) cat >/dev/null;; esac`)
	ctx := context.Background()
	if err := r.Kill(ctx, "x", 15, true); err != nil || !slices.Equal(argv()[6:], []string{"kill", "--all", "x", "15"}) {
		t.Errorf("kill %v %q", err, argv())
	}
	if err := r.Delete(ctx, "x", true); err != nil || !slices.Equal(argv()[6:], []string{"delete", "--force", "x"}) {
		t.Errorf("delete %v %q", err, argv())
	}
	if err := r.Update(ctx, "x", &specs.LinuxResources{}); err != nil {
		t.Error(err)
	}
	if s, err := r.State(ctx, "x"); err != nil || s.Pid != 5 || s.Status != specs.StateRunning {
		t.Errorf("state %+v, %v", s, err)
	}
}

func TestExecHandsTheProcessOver(t *testing.T) {
	r, argv := fake(t, `grep -q '"cwd":"/w"' "$9" || exit 9`)
	c := simple()
	c.Cwd = "/w"
	p, err := r.Exec(context.Background(), "x", ExecOptions{Process: c.Process()})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := p.Wait(); status != 0 || err != nil {
		t.Errorf("status %d, %v, argv %q", status, err, argv())
	}
	for range 1000 { // the file goes right after runc
		if left, _ := os.ReadDir(r.Log); len(left) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAMissingRuncIsAnError(t *testing.T) {
	r := Runc{Path: "/no/such/runc", Log: t.TempDir()}
	if err := r.Start(context.Background(), "x"); err == nil || !strings.Contains(err.Error(), "/no/such/runc") {
		t.Errorf("error %v", err)
	}
}
