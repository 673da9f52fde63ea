package depot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/disk"
	"photonbuild.invalid/compat/internal/gdn/network"
	"photonbuild.invalid/compat/internal/gdn/proc"
	"photonbuild.invalid/compat/internal/kit/bundle"
	"photonbuild.invalid/compat/internal/kit/image"
)

// Depot is a server.Backend.
type Depot struct {
	c      Config
	log    *slog.Logger
	runc   bundle.Runc
	store  image.Store
	pool   *network.Pool
	ports  *network.Ports
	filter *network.Filter
	scopes *scopes
	boot   string
	lock   *os.File

	mu         sync.Mutex
	containers map[string]*container // by handle
	attached   map[string]int        // streams attached to processes, by id
	collecting sync.RWMutex          // held for reading while an image is about to be used

	reading  sync.Mutex // held while an archive file is read
	usageMu  sync.Mutex
	usages   map[string]disk.Usage // of layers
	archives map[string]string     // image ids of archive files, by archiveKey
}

// Open takes the depot, finds the containers in it again, and cleans up after those that are
// gone. Only one process may have a depot open.
func Open(c Config) (*Depot, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	d := &Depot{c: c, log: c.Log, boot: proc.BootID(), containers: map[string]*container{}, attached: map[string]int{}, usages: map[string]disk.Usage{}, archives: map[string]string{},
		runc:  bundle.Runc{Root: c.runcRoot(), SystemdCgroup: true, Log: c.Run},
		store: image.Store{Root: c.Graph}, scopes: &scopes{}}
	var err error
	if d.lock, err = os.OpenFile(filepath.Join(c.Depot, ".lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("depot %s is in use by another gdn server", c.Depot)
	}
	if d.pool, err = network.NewPool(c.NetworkPool); err != nil {
		return nil, err
	}
	if d.ports, err = network.NewPorts(c.PortStart, c.Ports); err != nil {
		return nil, err
	}
	d.filter = network.NewFilter(network.Policy{AllowHostAccess: c.AllowHostAccess, Deny: c.DenyNetworks}, c.IPTables)
	if d.c.ExternalIP == "" {
		d.c.ExternalIP = network.ExternalIP()
	}
	if err := network.Forward(); err != nil {
		return nil, fmt.Errorf("let the host forward packets: %w", err)
	}
	return d, d.recover()
}

// Ping says that the depot is there.
func (d *Depot) Ping() error {
	if _, err := os.Stat(d.c.Depot); err != nil {
		return &api.Error{Type: api.TypeUnrecoverable, Message: "the depot is gone: " + err.Error()}
	}
	return nil
}

// Capacity is that of the machine.
func (d *Depot) Capacity() (api.Capacity, error) {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return api.Capacity{}, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(d.c.Depot, &fs); err != nil {
		return api.Capacity{}, err
	}
	size := fs.Blocks * uint64(fs.Bsize)
	return api.Capacity{MemoryInBytes: uint64(info.Totalram) * uint64(info.Unit), DiskInBytes: size,
		SchedulableDiskInBytes: size, MaxContainers: d.most()}, nil
}

func (d *Depot) most() uint64 {
	if d.c.MaxContainers != 0 {
		return min(d.c.MaxContainers, d.pool.Size())
	}
	return d.pool.Size()
}

// find returns a container that is there and whose creation is over.
func (d *Depot) find(handle string) (*container, error) {
	d.mu.Lock()
	c := d.containers[handle]
	d.mu.Unlock()
	if c == nil {
		return nil, api.ContainerNotFound(handle)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready || c.gone {
		return nil, api.ContainerNotFound(handle)
	}
	return c, nil
}

// Handles lists the containers with all these properties.
func (d *Depot) Handles(properties map[string]string) ([]string, error) {
	d.mu.Lock()
	all := maps.Clone(d.containers)
	d.mu.Unlock()
	var out []string
	for handle, c := range all {
		c.mu.Lock()
		ok := c.ready && !c.gone
		for key, value := range properties {
			got, has := c.state.Properties[key]
			ok = ok && has && got == value
		}
		c.mu.Unlock()
		if ok {
			out = append(out, handle)
		}
	}
	slices.Sort(out)
	return out, nil
}

// newID is 16 hexadecimal digits.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func isID(s string) bool { return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == "" }

// Destroy takes a container away; one that is just being made, by a client that may be gone,
// when it is there.
func (d *Depot) Destroy(ctx context.Context, handle string) error {
	d.mu.Lock()
	known := d.containers[handle]
	d.mu.Unlock()
	if known == nil {
		return api.ContainerNotFound(handle)
	}
	select {
	case <-known.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := d.find(handle) // if that one failed, there may be another by now
	if err != nil {
		return err
	}
	c.starts.interrupt()
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return api.ContainerNotFound(handle)
	}
	s := c.state
	c.mu.Unlock()
	if err := d.teardown(ctx, s); err != nil {
		return fmt.Errorf("destroy container %s: %w", handle, err)
	}
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	d.forget(c, handle)
	d.log.Info("container destroyed", "handle", handle, "id", s.ID)
	go d.collect()
	return nil
}

func (d *Depot) forget(c *container, handle string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.containers[handle] == c {
		delete(d.containers, handle)
	}
}

// collect removes unpacked images that no container uses when there are too many.
func (d *Depot) collect() {
	if d.c.GraphThreshold < 0 || !d.collecting.TryLock() {
		return
	}
	defer d.collecting.Unlock()
	if err := d.collectAbove(uint64(d.c.GraphThreshold) << 20); err != nil {
		d.log.Warn("cannot clean the image graph", "error", err)
	}
}
