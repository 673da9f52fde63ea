package network

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"golang.org/x/sys/unix"
)

// chain is, in the table filter, where rkt lets its bridges' traffic pass:
// another container engine may have set the policy of FORWARD to drop (Docker
// does). It is the last rule of FORWARD, so that what other engines drop at their
// own bridges stays dropped. In the table mangle, whose FORWARD comes before any
// engine's rules of filter, it keeps others away from rkt's own bridges.
const chain = "RKT-FORWARD"

// lockFile guards the rules.
const lockFile = "/run/rkt/networks/forward.lock"

// bridge is one of a network. A closed one is entered only through exposed ports
// and by answers: it is rkt's own, or what leaves it is masqueraded. Others may be
// routed to.
type bridge struct {
	name   string
	closed bool
}

// bridges finds the bridges of a network's plugins.
func bridges(l *libcni.NetworkConfigList) []bridge {
	var list []bridge
	for _, p := range l.Plugins {
		var conf struct {
			Type, Bridge string
			IPMasq       bool
		}
		if json.Unmarshal(p.Bytes, &conf) == nil && conf.Type == "bridge" && conf.Bridge != "" {
			list = append(list, bridge{conf.Bridge, conf.IPMasq || conf.Bridge == restrictedBridge})
		}
	}
	return list
}

// rule is a rule of a table's chain, as iptables(8) takes it after -C or -A.
type rule struct {
	table string
	spec  []string
}

// rules is the pure part: the rules of a bridge. What comes in is let through
// only when a port was exposed (DNAT) or a pod began the exchange.
func rules(b bridge) []rule {
	const known = "DNAT,RELATED,ESTABLISHED"
	list := []rule{
		{"filter", []string{chain, "-i", b.name, "-j", "ACCEPT"}},
		{"filter", []string{chain, "-o", b.name, "-m", "conntrack", "--ctstate", known, "-j", "ACCEPT"}},
	}
	if b.closed {
		list = append(list, rule{"mangle", []string{chain, "!", "-i", b.name, "-o", b.name, "-m", "conntrack", "!", "--ctstate", known, "-j", "DROP"}})
	}
	return list
}

// forward makes the rules of the network's bridges that are not there. They
// belong to the bridge, not to the pod, and stay with it.
func forward(ctx context.Context, l *libcni.NetworkConfigList) error {
	if len(bridges(l)) == 0 {
		return nil
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, b := range bridges(l) {
		for _, r := range rules(b) {
			if _, err := iptables(ctx, append([]string{"-t", r.table, "-C"}, r.spec...)...); err == nil {
				continue
			}
			if err := ensureChain(ctx, r.table); err != nil {
				return err
			}
			if _, err := iptables(ctx, append([]string{"-t", r.table, "-A"}, r.spec...)...); err != nil {
				return err
			}
		}
	}
	if slices.ContainsFunc(bridges(l), func(b bridge) bool { return b.closed }) {
		if err := ensureHook(ctx); err != nil {
			return err
		}
	}
	return moveLast(ctx)
}

// ensureHook leads mangle's FORWARD into our chain there.
func ensureHook(ctx context.Context) error {
	if _, err := iptables(ctx, "-t", "mangle", "-C", "FORWARD", "-j", chain); err == nil {
		return nil
	}
	_, err := iptables(ctx, "-t", "mangle", "-A", "FORWARD", "-j", chain)
	return err
}

// moveLast makes the jump to our chain of filter the last rule of FORWARD.
func moveLast(ctx context.Context) error {
	listed, err := iptables(ctx, "-S", "FORWARD")
	if err != nil {
		return err
	}
	stale, last := jumps(listed)
	if last && stale == 0 {
		return nil
	}
	if !last {
		if _, err := iptables(ctx, "-A", "FORWARD", "-j", chain); err != nil {
			return err
		}
	}
	for ; stale > 0; stale-- { // the first that matches goes
		if _, err := iptables(ctx, "-D", "FORWARD", "-j", chain); err != nil {
			return err
		}
	}
	return nil
}

// jumps reads what `iptables -S FORWARD` lists: how many jumps to our chain come
// before the last rule, and whether the last rule is one.
func jumps(listed string) (before int, last bool) {
	lines := strings.Split(strings.TrimSpace(listed), "\n")
	for i, l := range lines {
		if strings.TrimSpace(l) != "-A FORWARD -j "+chain {
			continue
		}
		if i == len(lines)-1 {
			last = true
		} else {
			before++
		}
	}
	return before, last
}

// lock lets one pod at a time look for rules and make them.
func lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(lockFile), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	return func() { f.Close() }, nil
}

func ensureChain(ctx context.Context, table string) error {
	if _, err := iptables(ctx, "-t", table, "-n", "-L", chain); err == nil {
		return nil
	}
	_, err := iptables(ctx, "-t", table, "-N", chain)
	return err
}

func iptables(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "/usr/sbin/iptables", append([]string{"-w"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("iptables %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
