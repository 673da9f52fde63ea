package depot

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/cgroup"
	"photonbuild.invalid/compat/internal/gdn/disk"
	"photonbuild.invalid/compat/internal/gdn/network"
	"photonbuild.invalid/compat/internal/gdn/proc"
)

// State is state.json of a container.
type State struct {
	Version    int               `json:"version"`
	ID         string            `json:"id"` // runc's, and of everything else on the machine
	Handle     string            `json:"handle"`
	Boot       string            `json:"boot"`
	Status     string            `json:"status"`
	Created    time.Time         `json:"created"`
	InitPID    int               `json:"init_pid"`
	InitStart  uint64            `json:"init_start"`
	Privileged bool              `json:"privileged"`
	Env        []string          `json:"env"`      // of the image, then of the spec
	SpecEnv    []string          `json:"spec_env"` // of the spec alone
	Properties map[string]string `json:"properties"`
	GraceTime  time.Duration     `json:"grace_time"`
	Limits     api.Limits        `json:"limits"`
	Image      string            `json:"image"` // id in the store, "" for a directory
	ImageUsage disk.Usage        `json:"image_usage"`
	Lease      network.Lease     `json:"lease"`
	Ports      []api.PortMapping `json:"ports"`
	NetOut     []api.NetOutRule  `json:"net_out"`
}

// Statuses of a container.
const (
	stateVersion = 1

	creating = "creating"
	active   = "active"
	stopped  = "stopped"
)

// container is one that the depot knows.
type container struct {
	// op is held for reading while a process is started or something of the container changed, for
	// writing while it is stopped or destroyed.
	op sync.RWMutex

	starts starts // processes that are being started

	over chan struct{} // closed when creation is over

	mu    sync.Mutex // guards the rest
	state State
	ready bool // creation is over
	gone  bool // destroyed
}

// get returns a copy of the state. What its maps and slices hold is never changed in place.
func (c *container) get() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// paths of a container.
func (d *Depot) dir(id string) string       { return filepath.Join(d.c.Depot, id) }
func (d *Depot) rootfs(id string) string    { return filepath.Join(d.dir(id), "rootfs") }
func (d *Depot) diskImage(id string) string { return filepath.Join(d.dir(id), "disk.img") }
func (d *Depot) diskDir(id string) string   { return filepath.Join(d.dir(id), "disk") }
func (d *Depot) processes(id string) string { return filepath.Join(d.dir(id), "p") }
func (d *Depot) stateFile(id string) string { return filepath.Join(d.dir(id), "state.json") }
func (d *Depot) sidecars(id string) string  { return filepath.Join(d.dir(id), "sidecars") }
func (d *Depot) upper(s State) string {
	if s.Limits.Disk.ByteHard != 0 {
		return filepath.Join(d.diskDir(s.ID), "upper")
	}
	return filepath.Join(d.dir(s.ID), "upper")
}

func (d *Depot) save(s State) error { return proc.WriteJSON(d.stateFile(s.ID), s) }

// update changes the state and saves it; nothing changes when it cannot be saved.
func (d *Depot) update(c *container, change func(*State) error) error {
	return d.carryOut(c, change, nil)
}

// carryOut changes the state, saves it, and then does what the state says. When that fails the
// state is as before. What is saved comes first: after a crash it is done again.
func (d *Depot) carryOut(c *container, change func(*State) error, do func(State) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return api.ContainerNotFound(c.state.Handle)
	}
	next := c.state
	if err := change(&next); err != nil {
		return err
	}
	if err := d.save(next); err != nil {
		return err
	}
	if do != nil {
		if err := do(next); err != nil {
			return errors.Join(err, d.save(c.state))
		}
	}
	c.state = next
	return nil
}

// load reads a state file; what cannot be read is an error that wraps errNoState.
func load(path string) (State, error) {
	var s State
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || !s.usable() {
		return s, errors.Join(errNoState, err)
	}
	return s, nil
}

// usable says whether a state has what the rest needs: one that has not is no container's, and
// would keep the server from finding all others.
func (s State) usable() bool {
	if s.Version != stateVersion || s.Handle == "" || !isID(s.ID) {
		return false
	}
	for _, r := range s.NetOut {
		if r.Check() != nil {
			return false
		}
	}
	return s.Status == creating || s.Lease.IP.Is4() && s.Lease.Gateway.Is4() && s.Lease.Subnet.IsValid()
}

var errNoState = errors.New("no usable state file")

func (s State) alive() bool         { return proc.Alive(s.InitPID, s.InitStart) }
func (s State) group() cgroup.Group { return cgroup.Of(s.ID) }
func (s State) endpoint() network.Endpoint {
	return network.Endpoint{ID: s.ID, Handle: s.Handle, Lease: s.Lease, Ports: s.Ports, NetOut: s.NetOut}
}

// root is the container's root directory: as its processes see it, mounts included, while it
// has any, else the bare file system.
func (d *Depot) root(s State) string {
	if s.alive() {
		return filepath.Join("/proc", strconv.Itoa(s.InitPID), "root")
	}
	return d.rootfs(s.ID)
}
