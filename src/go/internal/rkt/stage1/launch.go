package stage1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	sd "github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
	"golang.org/x/term"

	"photonbuild.invalid/compat/internal/rkt/pod"
)

// startWithin is how long the supervisor may take to come up.
const startWithin = 90 * time.Second

// UnitName is the pod's transient service.
func UnitName(uuid string) string { return "rkt-" + uuid + ".service" }

// Launch runs a pod that is in the run phase and locked by this process, and
// waits for its end. Signals of this process go to the pod. It returns the exit
// status of the pod: of the app that failed first, or 0.
func Launch(ctx context.Context, p *pod.Pod, dataDir string, limits []sd.Property) (status int, err error) {
	l, err := listenControl(p.UUID)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	defer func() {
		if err != nil && p.LockFile() != nil { // it never came to be the supervisor's
			err = errors.Join(err, cleanup(p, ""))
		}
	}()
	manager, err := sd.NewSystemdConnectionContext(ctx)
	if err != nil {
		return 0, fmt.Errorf("systemd: %w", err)
	}
	defer manager.Close()
	if _, err := manager.StartTransientUnitContext(ctx, UnitName(p.UUID), "replace", append(unit(p.UUID, dataDir), limits...), nil); err != nil {
		return 0, fmt.Errorf("systemd: start of %s: %w", UnitName(p.UUID), err)
	}
	c, err := acceptSupervisor(ctx, l, manager, p.UUID)
	if err != nil {
		manager.StopUnitContext(context.Background(), UnitName(p.UUID), "replace", nil)
		return 0, err
	}
	defer c.Close()
	if err := handOver(c, [4]*os.File{p.LockFile(), os.Stdin, os.Stdout, os.Stderr}); err != nil {
		return 0, fmt.Errorf("supervisor of the pod: %w", err)
	}
	p.Unlock() // the supervisor's copy holds it now
	return converse(c)
}

// unit describes the transient service. KillMode=mixed: the supervisor alone
// gets SIGTERM, and when it is gone systemd kills whatever it left. The
// supervisor's mounts are in a namespace that ends with it.
func unit(uuid, dataDir string) []sd.Property {
	program, err := os.Executable()
	if err != nil {
		program = "/usr/bin/rkt"
	}
	command := func(sub string) []execCommand {
		return []execCommand{{program, []string{program, "--dir=" + dataDir, sub, uuid}, false}}
	}
	prop := func(name string, value any) sd.Property {
		return sd.Property{Name: name, Value: godbus.MakeVariant(value)}
	}
	return []sd.Property{
		prop("Description", "rkt pod "+uuid),
		prop("Type", "simple"),
		prop("ExecStart", command("stage1")),
		prop("ExecStopPost", command("stage1-cleanup")),
		prop("KillMode", "mixed"),
		prop("TimeoutStopUSec", uint64(60*time.Second/time.Microsecond)),
		prop("Delegate", true),
		prop("PrivateMounts", true),
		prop("CollectMode", "inactive-or-failed"),
		prop("OOMPolicy", "continue"),
		prop("TasksMax", uint64(1<<64-1)),
		prop("LimitNOFILE", uint64(1048576)),
		prop("SyslogIdentifier", "rkt"),
	}
}

// execCommand is systemd's a(sasb).
type execCommand struct {
	Path    string
	Args    []string
	Unclean bool
}

// acceptSupervisor waits for the supervisor, or for the news that it failed.
func acceptSupervisor(ctx context.Context, l *net.UnixListener, manager *sd.Conn, uuid string) (*net.UnixConn, error) {
	deadline := time.Now().Add(startWithin)
	for time.Now().Before(deadline) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.SetDeadline(time.Now().Add(500 * time.Millisecond))
		c, err := l.AcceptUnix()
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("supervisor of the pod: %w", err)
		}
		state, err := manager.GetUnitPropertyContext(ctx, UnitName(uuid), "ActiveState")
		if err != nil || state.Value.Value() == "failed" || state.Value.Value() == "inactive" {
			return nil, fmt.Errorf("supervisor of the pod did not start; see journalctl -u %s", UnitName(uuid))
		}
	}
	return nil, fmt.Errorf("supervisor of the pod did not start within %s; see journalctl -u %s", startWithin, UnitName(uuid))
}

// converse passes signals on until the result comes. The terminal, which runc
// sets to raw mode, is set back in any case.
func converse(c *net.UnixConn) (int, error) {
	if state, err := term.GetState(int(os.Stdin.Fd())); err == nil {
		defer term.Restore(int(os.Stdin.Fd()), state)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH)
	defer signal.Stop(signals)
	go func() {
		stops := 0
		for s := range signals {
			switch {
			case s == syscall.SIGWINCH:
				c.Write([]byte{msgWinch})
			case stops > 0:
				c.Write([]byte{msgKill})
			default:
				stops++
				c.Write([]byte{msgStop})
			}
		}
	}()
	var r Result
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return 0, fmt.Errorf("supervisor of the pod ended without a result: %w", err)
	}
	io.Copy(io.Discard, c) // until the lock is free
	if r.Error != "" {
		return 0, errors.New(r.Error)
	}
	return r.Status, nil
}

// Stop asks systemd to stop a pod: gracefully, or all its processes at once.
func Stop(ctx context.Context, uuid string, force bool) error {
	manager, err := sd.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	defer manager.Close()
	if force {
		if err := manager.KillUnitWithTarget(ctx, UnitName(uuid), sd.All, int32(syscall.SIGKILL)); err != nil {
			return fmt.Errorf("systemd: kill of %s: %w", UnitName(uuid), err)
		}
	}
	if _, err := manager.StopUnitContext(ctx, UnitName(uuid), "replace", nil); err != nil && !force {
		return fmt.Errorf("systemd: stop of %s: %w", UnitName(uuid), err)
	}
	return nil
}

// Limits makes the unit's properties of the pod's isolators, which bound the apps'.
func Limits(memory, cpuMilli int64) []sd.Property {
	var list []sd.Property
	if memory > 0 {
		list = append(list, sd.Property{Name: "MemoryMax", Value: godbus.MakeVariant(uint64(memory))},
			sd.Property{Name: "MemorySwapMax", Value: godbus.MakeVariant(uint64(0))})
	}
	if cpuMilli > 0 {
		list = append(list, sd.Property{Name: "CPUQuotaPerSecUSec", Value: godbus.MakeVariant(uint64(cpuMilli * 1000))})
	}
	return list
}

// PodLimits is Limits of the pod's own isolators.
func PodLimits(m *schema.PodManifest) []sd.Property {
	var mem, milli int64
	for _, i := range m.Isolators {
		switch v := i.Value().(type) {
		case *types.ResourceMemory:
			if l := v.Limit(); l != nil {
				mem = l.Value()
			}
		case *types.ResourceCPU:
			if l := v.Limit(); l != nil {
				milli = l.MilliValue()
			}
		}
	}
	return Limits(mem, milli)
}
