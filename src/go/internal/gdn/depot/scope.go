package depot

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"photonbuild.invalid/compat/internal/gdn/cgroup"
)

// stopLimit is how long systemd waits for what is in a scope when the machine goes down.
const stopLimit = 10 * time.Second

// scopes moves processes out of the server's unit, so that they outlive it: each into a
// transient scope of its own (systemd's D-Bus interface, org.freedesktop.systemd1(5)).
type scopes struct {
	mu   sync.Mutex
	conn *dbus.Conn
}

type property struct {
	Name  string
	Value dbus.Variant
}

type auxUnit struct {
	Name       string
	Properties []property
}

func (s *scopes) bus() (*dbus.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.conn.Connected() {
		return s.conn, nil
	}
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	s.conn = conn
	return conn, nil
}

// move puts pid into a new scope below our slice.
func (s *scopes) move(ctx context.Context, unit, description string, pid int) error {
	conn, err := s.bus()
	if err != nil {
		return err
	}
	properties := []property{
		{"Description", dbus.MakeVariant(description)},
		{"Slice", dbus.MakeVariant(cgroup.Slice)},
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		{"PIDs", dbus.MakeVariant([]uint32{uint32(pid)})},
		{"TimeoutStopUSec", dbus.MakeVariant(uint64(stopLimit / time.Microsecond))},
	}
	call := conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").CallWithContext(ctx,
		"org.freedesktop.systemd1.Manager.StartTransientUnit", 0, unit, "fail", properties, []auxUnit{})
	if call.Err != nil {
		return fmt.Errorf("start %s: %w", unit, call.Err)
	}
	return nil
}
