// Package depot keeps containers: it makes them with runc, remembers them on disk, finds them
// again after a restart, and takes them away without a trace. It implements what Garden's API
// document and the documentation of Garden's Go interface say of containers.
package depot

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"photonbuild.invalid/compat/internal/kit/overlay"
)

// Config is what the command line decides.
type Config struct {
	Depot, Graph, Run string // state, unpacked images, what does not outlive a boot
	Program           string // this program: the init of every container
	DefaultRootFS     string
	DefaultGraceTime  time.Duration
	MaxContainers     uint64 // 0: as many as the network pool has subnets

	Registry           string   // of docker:///name
	InsecureRegistries []string // plain http allowed
	GraphThreshold     int64    // MiB of unpacked images above which unused ones go; negative: never

	NetworkPool       netip.Prefix
	AllowHostAccess   bool
	DenyNetworks      []netip.Prefix
	DNS, MoreDNS      []netip.Addr
	HostEntries       []string
	ExternalIP        string
	PortStart, Ports  uint32
	MTU               int
	IPTables          string
	UIDStart, UIDSize uint32

	Log *slog.Logger
}

// check also makes the directories. Those on the way to a root file system can be searched,
// and no more, by the group that stands for root in the containers.
func (c Config) check() error {
	for _, p := range []string{c.Depot, c.Graph, c.Run, c.Program} {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("%q is not an absolute path", p)
		}
	}
	if c.UIDStart < c.UIDSize || c.UIDSize < 65536 || uint64(c.UIDStart)+uint64(c.UIDSize) > maxID {
		return fmt.Errorf("uid map of %d ids from %d: it needs at least 65536 ids, the first not below their number, none of them 4294967294 or above", c.UIDSize, c.UIDStart)
	}
	if c.MTU < 0 || c.MTU > 65535 {
		return fmt.Errorf("MTU %d is not within 0 and 65535", c.MTU)
	}
	for _, d := range []string{filepath.Dir(c.Depot), c.Depot} {
		if err := c.searchable(d); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.Run, 0o711); err != nil { // the socket lies in it
		return err
	}
	for _, d := range []string{c.Graph, c.runcRoot(), c.sockets()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) searchable(dir string) error {
	if _, err := os.Stat(dir); err == nil && dir != c.Depot {
		return nil // somebody else's
	}
	if err := os.MkdirAll(dir, 0o710); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o710); err != nil {
		return err
	}
	return os.Chown(dir, 0, int(c.UIDStart))
}

func (c Config) runcRoot() string { return filepath.Join(c.Run, "runc") }
func (c Config) sockets() string  { return filepath.Join(c.Run, "s") }

// maxID is the largest id that there can be.
const maxID = 1<<32 - 2

// mapping is the id mapping of containers that are not privileged, over the whole range but for
// the ids that it starts at: those below UIDSize, where a machine's own users are, lie where
// nobody else's do; higher ones, which no user of the machine has, are the same on both sides.
func (c Config) mapping() []specs.LinuxIDMapping {
	end := c.UIDStart + c.UIDSize
	list := []specs.LinuxIDMapping{{ContainerID: 0, HostID: c.UIDStart, Size: c.UIDSize}}
	if c.UIDStart > c.UIDSize {
		list = append(list, specs.LinuxIDMapping{ContainerID: c.UIDSize, HostID: c.UIDSize, Size: c.UIDStart - c.UIDSize})
	}
	return append(list, specs.LinuxIDMapping{ContainerID: end, HostID: end, Size: maxID - end})
}

func (c Config) idMap(privileged bool) *overlay.IDMap {
	if privileged {
		return nil
	}
	return &overlay.IDMap{UID: c.mapping(), GID: c.mapping()}
}

// hostID is the id on the host of an id in a container.
func (c Config) hostID(privileged bool, id uint32) int {
	if privileged {
		return int(id)
	}
	if !c.mapped(privileged, id) {
		id = 65534
	}
	if id < c.UIDSize {
		id += c.UIDStart
	}
	return int(id)
}

// mapped says whether a container can have a user or group of that id.
func (c Config) mapped(privileged bool, id uint32) bool {
	return privileged || id < c.UIDSize || id < maxID && (id < c.UIDStart || id >= c.UIDStart+c.UIDSize)
}
