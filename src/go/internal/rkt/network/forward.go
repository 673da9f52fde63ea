package network

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"golang.org/x/sys/unix"
)

// chain is where rkt lets its bridges' traffic pass. Another container engine
// may have set the policy of FORWARD to drop (Docker does).
const chain = "RKT-FORWARD"

// lockFile guards the rules.
const lockFile = "/run/rkt/networks/forward.lock"

// bridges names the bridges of a network's plugins.
func bridges(l *libcni.NetworkConfigList) []string {
	var list []string
	for _, p := range l.Plugins {
		var conf struct {
			Type, Bridge string
		}
		if json.Unmarshal(p.Bytes, &conf) == nil && conf.Type == "bridge" && conf.Bridge != "" {
			list = append(list, conf.Bridge)
		}
	}
	return list
}

// rules is the pure part: the rules of a bridge, as iptables(8) takes them
// after -C or -A. What comes in is let through only when a port was exposed
// (DNAT) or a pod began the exchange.
func rules(bridge string) [][]string {
	return [][]string{
		{chain, "-i", bridge, "-j", "ACCEPT"},
		{chain, "-o", bridge, "-m", "conntrack", "--ctstate", "DNAT,RELATED,ESTABLISHED", "-j", "ACCEPT"},
	}
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
			if iptables(ctx, append([]string{"-C"}, r...)...) == nil {
				continue
			}
			if err := ensureChain(ctx); err != nil {
				return err
			}
			if err := iptables(ctx, append([]string{"-A"}, r...)...); err != nil {
				return err
			}
		}
		if iptables(ctx, "-C", "FORWARD", "-j", chain) == nil {
			continue
		}
		if err := iptables(ctx, "-I", "FORWARD", "1", "-j", chain); err != nil {
			return err
		}
	}
	return nil
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

func ensureChain(ctx context.Context) error {
	if iptables(ctx, "-n", "-L", chain) == nil {
		return nil
	}
	return iptables(ctx, "-N", chain)
}

func iptables(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "/usr/sbin/iptables", append([]string{"-w"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
