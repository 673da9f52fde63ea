package depot

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/network"
	"photonbuild.invalid/compat/internal/gdn/shim"
)

// oneContainer is a depot with a container and a packet filter that notes what it is given.
func oneContainer(t *testing.T) (*Depot, *container, func() string) {
	t.Helper()
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules")
	script := "#!/bin/sh\ntest ! -e " + dir + "/broken || exit 1\ncat > " + rules + "\n"
	if err := os.WriteFile(filepath.Join(dir, "iptables-restore"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ports, err := network.NewPorts(1000, 10)
	if err != nil {
		t.Fatal(err)
	}
	d := &Depot{c: Config{Depot: dir}, containers: map[string]*container{}, ports: ports,
		filter: network.NewFilter(network.Policy{}, filepath.Join(dir, "iptables"))}
	c := &container{ready: true, state: State{Version: stateVersion, ID: someID, Handle: "h", Lease: someLease()}}
	d.containers["h"] = c
	if err := os.Mkdir(d.dir(someID), 0o700); err != nil {
		t.Fatal(err)
	}
	return d, c, func() string { data, _ := os.ReadFile(rules); return string(data) }
}

// TestRulesThatCannotBeSavedAreNotApplied: else they would be the next owner's of the address.
func TestRulesThatCannotBeSavedAreNotApplied(t *testing.T) {
	d, c, rules := oneContainer(t)
	if err := os.RemoveAll(d.dir(someID)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.NetIn(context.Background(), "h", api.NetIn{HostPort: 1005}); err == nil {
		t.Error("a port that cannot be saved is mapped")
	}
	if err := d.NetOut(context.Background(), "h", []api.NetOutRule{{}}); err == nil {
		t.Error("a rule that cannot be saved is accepted")
	}
	if got := rules(); got != "" {
		t.Errorf("applied: %s", got)
	}
	if len(c.get().Ports)+len(c.get().NetOut) != 0 {
		t.Errorf("%+v", c.get())
	}
	if err := d.ports.Take(1005); err != nil {
		t.Errorf("the port is lost: %v", err)
	}
}

// TestRulesThatCannotBeAppliedAreNotKept: neither in memory nor on disk.
func TestRulesThatCannotBeAppliedAreNotKept(t *testing.T) {
	d, c, _ := oneContainer(t)
	if err := os.WriteFile(filepath.Join(d.c.Depot, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.NetIn(context.Background(), "h", api.NetIn{HostPort: 1005}); err == nil {
		t.Error("a port that is not mapped is told as mapped")
	}
	saved, err := load(d.stateFile(someID))
	if err != nil || len(saved.Ports)+len(c.get().Ports) != 0 {
		t.Errorf("%+v %v", saved, err)
	}
}

// TestAStartHoldsUpNoDestroy: a container can stop what runc runs in it.
func TestAStartHoldsUpNoDestroy(t *testing.T) {
	var s starts
	ctx, end := s.begin(context.Background())
	defer end()
	s.interrupt()
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the start goes on")
	}
	if !errors.Is(context.Cause(ctx), errInterrupted) {
		t.Errorf("%v", context.Cause(ctx))
	}
	next, done := s.begin(context.Background())
	defer done()
	if next.Err() != nil {
		t.Error("a later start is interrupted too")
	}
}

// TestAStuckShimIsKilled: with all that it started.
func TestAStuckShimIsKilled(t *testing.T) {
	d, c, _ := oneContainer(t)
	d.scopes, d.log = &scopes{}, slog.New(slog.DiscardHandler)
	d.c.Program = filepath.Join(d.c.Depot, "shim")
	mark := filepath.Join(d.c.Depot, "child")
	script := "#!/bin/sh\nsleep 1000 &\necho $! > " + mark + "\nwait\n"
	if err := os.WriteFile(d.c.Program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	ctx, end := c.starts.begin(context.Background())
	defer end()
	go func() {
		failed <- d.startShim(ctx, shim.Config{Dir: t.TempDir()}, c.get(), api.ProcessSpec{ID: "p", Path: "x"})
	}()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		if data, _ := os.ReadFile(mark); len(data) > 1 {
			break
		}
	}
	c.starts.interrupt()
	select {
	case err := <-failed:
		if !errors.Is(err, errInterrupted) {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the start goes on")
	}
}

func TestLimitsInSharesAreAnsweredInShares(t *testing.T) {
	d, c, _ := oneContainer(t)
	c.state.Limits.CPU = api.CPULimits{LimitInShares: 50}
	if l, err := d.Limits("h"); err != nil || l.CPU != (api.CPULimits{LimitInShares: 50}) {
		t.Errorf("%+v %v", l, err)
	}
}

func TestADuplicateHandleHasGardensMessage(t *testing.T) {
	d, _, _ := oneContainer(t)
	_, err := d.reserve(api.ContainerSpec{Handle: "h"})
	if err == nil || err.Error() != "Handle 'h' already in use" {
		t.Errorf("%v", err)
	}
}

func TestAnUnknownUserHasGardensMessage(t *testing.T) {
	d, c, _ := oneContainer(t)
	root := t.TempDir()
	for user, want := range map[string]string{
		"alice":  "unable to find user alice: no matching entries in passwd file",
		"1:pets": "unable to find group pets: no matching entries in group file",
	} {
		if _, err := d.user(c.get(), root, user); err == nil || err.Error() != want {
			t.Errorf("%s: %v", user, err)
		}
	}
	if u, err := d.user(c.get(), root, "root"); err != nil || u.UID != 0 || u.Home != "/root" {
		t.Errorf("root without a passwd file: %+v %v", u, err)
	}
	d.c.UIDStart, d.c.UIDSize = 1<<20, 65536
	if u, err := d.user(c.get(), root, "1000000000:1000000000"); err != nil || u.UID != 1_000_000_000 || u.GID != 1_000_000_000 {
		t.Errorf("%+v %v", u, err)
	}
	if _, err := d.user(c.get(), root, "1048577"); err == nil {
		t.Error("an id that is not mapped is accepted")
	}
}

func TestALimitOfInodesKeepsADiskAsItIs(t *testing.T) {
	d, c, _ := oneContainer(t)
	c.state.Limits.Disk = api.DiskLimits{ByteHard: 1 << 20, InodeHard: 10}
	if err := d.SetDisk(context.Background(), "h", api.DiskLimits{ByteHard: 2 << 20}); err == nil {
		t.Error("the disk would have more inodes")
	}
}

// TestEtcLiesOnTheLimitedDisk: what a container writes there counts.
func TestEtcLiesOnTheLimitedDisk(t *testing.T) {
	d, c, _ := oneContainer(t)
	if got := d.etcDir(c.get()); got != filepath.Join(d.dir(someID), "etc") {
		t.Error(got)
	}
	c.state.Limits.Disk.ByteHard = 1
	for _, m := range d.etcMounts(c.get()) {
		if filepath.Dir(m.Source) != filepath.Join(d.diskDir(someID), "etc") || !slices.Contains([]string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}, m.Destination) {
			t.Errorf("%+v", m)
		}
	}
}
