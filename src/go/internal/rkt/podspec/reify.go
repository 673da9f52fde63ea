package podspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/rkt/aci"
)

// maxManifest bounds a pod manifest, which anyone may have written.
const maxManifest = 4 << 20

// Parse reads a pod manifest as --pod-manifest gives it.
func Parse(data []byte) (*schema.PodManifest, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("pod manifest is larger than %d bytes", maxManifest)
	}
	m := &schema.PodManifest{}
	if err := aci.Decode(data, m); err != nil {
		return nil, fmt.Errorf("pod manifest: %w", err)
	}
	if len(m.Apps) == 0 {
		return nil, errors.New("pod manifest has no apps")
	}
	for _, a := range m.Apps {
		if a.Name.Empty() {
			return nil, errors.New("pod manifest has an app without a name")
		}
		if a.Image.ID.Empty() {
			return nil, fmt.Errorf("app %s has no image id", a.Name)
		}
	}
	return m, nil
}

// Images gives the image manifest of an app.
type Images func(app types.ACName) (*schema.ImageManifest, error)

// Reify completes the manifest as pods.md demands before a pod runs: every app
// has its app object, every mount point its volume (an empty one is made where
// none is given), every exposed port its app. It returns what the user should know.
func Reify(m *schema.PodManifest, images Images) (warnings []string, err error) {
	if m.Volumes == nil {
		m.Volumes = []types.Volume{}
	}
	for i := range m.Apps {
		a := &m.Apps[i]
		if a.App == nil {
			image, err := images(a.Name)
			if err != nil {
				return nil, err
			}
			if a.App, err = appOf(image); err != nil {
				return nil, err
			}
		}
		if len(a.App.Exec) == 0 || a.App.Exec[0] == "" {
			return nil, fmt.Errorf("app %s has nothing to execute: its image names no command, give one by --exec", a.Name)
		}
		for _, p := range a.App.Ports {
			if p.SocketActivated {
				return nil, fmt.Errorf("app %s wants port %s socket-activated, which this implementation does not do", a.Name, p.Name)
			}
		}
		if err := mounts(m, a); err != nil {
			return nil, fmt.Errorf("app %s: %w", a.Name, err)
		}
		warnings = append(warnings, ignored("app "+a.Name.String(), a.App.Isolators, appIsolators)...)
	}
	if _, err := PortMappings(m); err != nil {
		return nil, err
	}
	if _, err := json.Marshal(m); err != nil {
		return nil, fmt.Errorf("pod manifest: %w", err)
	}
	return append(warnings, ignored("the pod", m.Isolators, podIsolators)...), nil
}

// mounts satisfies the app's mount points. A mount of the same path comes first,
// then a volume of the mount point's name; else the app gets one that no other
// app has.
func mounts(m *schema.PodManifest, a *schema.RuntimeApp) error {
	for _, mp := range a.App.MountPoints {
		if mountsPath(a.Mounts, mp.Path) {
			continue
		}
		name := mp.Name
		if volume(m, name) == nil {
			var err error
			if name, err = ownVolume(m, a.Name, mp.Name); err != nil {
				return err
			}
		}
		a.Mounts = append(a.Mounts, schema.Mount{Volume: name, Path: mp.Path})
	}
	for i := range a.Mounts {
		mt := &a.Mounts[i]
		if !strings.HasPrefix(mt.Path, "/") || path.Clean(mt.Path) == "/" {
			return fmt.Errorf("mount of volume %s at %q: the path is not absolute, or it is the root itself", mt.Volume, mt.Path)
		}
		if mt.AppVolume == nil && volume(m, mt.Volume) == nil {
			if !isMountPoint(a.App.MountPoints, *mt) {
				return fmt.Errorf("no volume is named %q, which is to be mounted at %s", mt.Volume, mt.Path)
			}
			name, err := ownVolume(m, a.Name, mt.Volume)
			if err != nil {
				return err
			}
			mt.Volume = name
		}
	}
	return overlap(a.Mounts)
}

// ownVolume adds an empty volume for an app's mount point. Where a volume has
// its name already, which is then another's, the name gets a number.
func ownVolume(m *schema.PodManifest, app, mountPoint types.ACName) (types.ACName, error) {
	base := app.String() + "-" + mountPoint.String()
	name := base
	for n := 2; volume(m, types.ACName(name)) != nil; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	empty, err := types.VolumeFromString(name + ",kind=empty")
	if err != nil {
		return "", err
	}
	m.Volumes = append(m.Volumes, *empty)
	return empty.Name, nil
}

func mountsPath(list []schema.Mount, p string) bool {
	for _, m := range list {
		if path.Clean(m.Path) == path.Clean(p) {
			return true
		}
	}
	return false
}

func isMountPoint(list []types.MountPoint, m schema.Mount) bool {
	for _, mp := range list {
		if mp.Name == m.Volume && path.Clean(mp.Path) == path.Clean(m.Path) {
			return true
		}
	}
	return false
}

// overlap refuses mounts of which one lies in another (ace.md, volume setup).
func overlap(list []schema.Mount) error {
	var paths []string
	for _, m := range list {
		paths = append(paths, path.Clean(m.Path)+"/")
	}
	sort.Strings(paths)
	for i := 1; i < len(paths); i++ {
		if strings.HasPrefix(paths[i], paths[i-1]) {
			return fmt.Errorf("volumes overlap: %s lies in %s", path.Clean(paths[i]), path.Clean(paths[i-1]))
		}
	}
	return nil
}

// Implicit says whether an app's volume is one that Reify made for the mount
// point at the path.
func Implicit(a *schema.RuntimeApp, name types.ACName, at string) bool {
	for _, mp := range a.App.MountPoints {
		own := a.Name.String() + "-" + mp.Name.String()
		if path.Clean(mp.Path) == path.Clean(at) && (name.String() == own || strings.HasPrefix(name.String(), own+"-")) {
			return true
		}
	}
	return false
}

func volume(m *schema.PodManifest, name types.ACName) *types.Volume {
	for i := range m.Volumes {
		if m.Volumes[i].Name == name {
			return &m.Volumes[i]
		}
	}
	return nil
}

// MountVolume returns the volume that a mount of a reified manifest stands for
// and whether the mount is read-only, by the volume or by the mount point.
func MountVolume(m *schema.PodManifest, a *schema.RuntimeApp, mt schema.Mount) (v types.Volume, readOnly bool, err error) {
	found := mt.AppVolume
	if found == nil {
		found = volume(m, mt.Volume)
	}
	if found == nil {
		return v, false, fmt.Errorf("no volume is named %q", mt.Volume)
	}
	readOnly = found.ReadOnly != nil && *found.ReadOnly
	for _, mp := range a.App.MountPoints {
		if path.Clean(mp.Path) == path.Clean(mt.Path) && mp.ReadOnly {
			readOnly = true
		}
	}
	return *found, readOnly, nil
}

// Mapping is a port of the host that leads to one of the pod.
type Mapping struct {
	HostPort, PodPort uint
	Protocol          string
	HostIP            string
}

// maxPort is the highest number of a port. maxMappings bounds what is forwarded:
// each port is some rules of the packet filter.
const (
	maxPort     = 65535
	maxMappings = 10000
)

// inRange says whether count ports from first on are ports.
func inRange(first, count uint) bool {
	return first >= 1 && first <= maxPort && count <= maxPort-first+1
}

// PortMappings resolves the exposed ports by the names that the apps give them.
func PortMappings(m *schema.PodManifest) ([]Mapping, error) {
	var list []Mapping
	for _, e := range m.Ports {
		port := e.PodPort
		if port == nil {
			if port = appPort(m, e.Name); port == nil {
				return nil, fmt.Errorf("no app has a port named %q, the pod's ports are: %s", e.Name, portNames(m))
			}
		}
		protocol := strings.ToLower(port.Protocol)
		if protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
			return nil, fmt.Errorf("port %s has the protocol %q, which cannot be forwarded", e.Name, port.Protocol)
		}
		count := max(port.Count, 1)
		if !inRange(e.HostPort, count) || !inRange(port.Port, count) {
			return nil, fmt.Errorf("port %s: %d ports from %d on, at the host from %d on, are not all of 1-%d", e.Name, count, port.Port, e.HostPort, maxPort)
		}
		if uint(len(list))+count > maxMappings {
			return nil, fmt.Errorf("more than %d ports are to be forwarded", maxMappings)
		}
		for i := range count {
			mapping := Mapping{HostPort: e.HostPort + i, PodPort: port.Port + i, Protocol: protocol}
			if e.HostIP != nil {
				mapping.HostIP = e.HostIP.String()
			}
			list = append(list, mapping)
		}
	}
	return list, nil
}

func appPort(m *schema.PodManifest, name types.ACName) *types.Port {
	for _, a := range m.Apps {
		if a.App == nil {
			continue
		}
		for _, p := range a.App.Ports {
			if p.Name == name {
				return &p
			}
		}
	}
	return nil
}

func portNames(m *schema.PodManifest) string {
	var names []string
	for _, a := range m.Apps {
		for _, p := range a.App.Ports {
			names = append(names, p.Name.String())
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// appIsolators and podIsolators are those that this implementation enforces.
var appIsolators = map[types.ACIdentifier]bool{
	types.ResourceCPUName: true, types.ResourceMemoryName: true,
	types.LinuxCapabilitiesRetainSetName: true, types.LinuxCapabilitiesRevokeSetName: true,
	types.LinuxNoNewPrivilegesName: true, types.LinuxSeccompRetainSetName: true, types.LinuxSeccompRemoveSetName: true,
	types.LinuxOOMScoreAdjName: true, types.LinuxCPUSharesName: true,
}

var podIsolators = map[types.ACIdentifier]bool{
	types.ResourceCPUName: true, types.ResourceMemoryName: true, types.UnixSysctlName: true,
}

// ignored names the isolators that are not enforced, which ace.md demands.
func ignored(who string, list []types.Isolator, enforced map[types.ACIdentifier]bool) []string {
	var out []string
	for _, i := range list {
		if !enforced[i.Name] {
			out = append(out, fmt.Sprintf("isolator %s of %s is not enforced", i.Name, who))
		}
	}
	return out
}
