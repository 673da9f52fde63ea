// Package bundle makes OCI runtime bundles and drives runc with them.
//
// It follows the Open Container Initiative's Runtime Specification 1.3
// (https://github.com/opencontainers/runtime-spec) for config.json and runc's
// manual pages for the command line.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Container says what a container shall be, free of any runtime's details.
// The zero value of a field is the safe choice; a Container is a value and
// nothing of it is read from the machine.
type Container struct {
	ID, RootFS     string
	Args, Env      []string
	Cwd            string // "" is "/"
	UID, GID       uint32
	AdditionalGIDs []uint32
	Umask          *uint32
	Terminal       bool
	// Capabilities as "CAP_..."; nil is DefaultCapabilities, an empty list is none.
	Capabilities    []string
	NoNewPrivileges bool
	Seccomp         *specs.LinuxSeccomp
	Rlimits         []specs.POSIXRlimit
	OOMScoreAdj     *int
	ReadonlyRootFS  bool
	Mounts          []specs.Mount // after the default ones; one with the destination of a default one replaces it
	Hostname        string
	// Namespaces: path of an existing one to join; "" is a new one; absent is the host's.
	// The mount namespace is always a new one.
	Namespaces               map[specs.LinuxNamespaceType]string
	UIDMappings, GIDMappings []specs.LinuxIDMapping // empty: no user namespace
	CgroupsPath              string
	Resources                *specs.LinuxResources
	Devices                  []specs.LinuxDevice // besides null, zero, full, random, urandom, tty; usable and there
	Annotations, Sysctl      map[string]string
	// MaskedPaths and ReadonlyPaths override the defaults when not nil.
	MaskedPaths, ReadonlyPaths []string
}

// Spec returns the runtime specification's configuration of the container. It
// is pure: the same value gives the same result on every machine. What cannot
// be a container is an error that names the field.
func (c Container) Spec() (*specs.Spec, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:     specs.Version,
		Root:        &specs.Root{Path: c.RootFS, Readonly: c.ReadonlyRootFS},
		Hostname:    c.Hostname,
		Annotations: c.Annotations,
		Process:     c.Process(),
		Mounts:      c.mounts(),
		Linux: &specs.Linux{
			UIDMappings:   c.UIDMappings,
			GIDMappings:   c.GIDMappings,
			Sysctl:        c.Sysctl,
			CgroupsPath:   c.CgroupsPath,
			Devices:       c.Devices,
			Seccomp:       c.Seccomp,
			Namespaces:    c.namespaces(),
			Resources:     c.resources(),
			MaskedPaths:   override(c.MaskedPaths, maskedPaths),
			ReadonlyPaths: override(c.ReadonlyPaths, readonlyPaths),
		},
	}
	return s, nil
}

// Process returns the process part alone, as `runc exec --process` takes it.
func (c Container) Process() *specs.Process {
	cwd := c.Cwd
	if cwd == "" {
		cwd = "/"
	}
	return &specs.Process{
		Terminal:        c.Terminal,
		Args:            c.Args,
		Env:             c.Env,
		Cwd:             cwd,
		User:            specs.User{UID: c.UID, GID: c.GID, AdditionalGids: c.AdditionalGIDs, Umask: c.Umask},
		Capabilities:    capabilitySets(c.capabilities()),
		Rlimits:         c.Rlimits,
		NoNewPrivileges: c.NoNewPrivileges,
		OOMScoreAdj:     c.OOMScoreAdj,
	}
}

func (c Container) check() error {
	switch {
	case c.RootFS == "":
		return errors.New("container without a root filesystem")
	case len(c.Args) == 0 || c.Args[0] == "":
		return errors.New("container without a command")
	case c.Cwd != "" && !strings.HasPrefix(c.Cwd, "/"):
		return fmt.Errorf("working directory %q is not absolute", c.Cwd)
	case (len(c.UIDMappings) == 0) != (len(c.GIDMappings) == 0):
		return errors.New("user namespace with only one of user and group mappings")
	}
	for _, v := range append(append([]string{}, c.Args...), c.Env...) {
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("argument or variable %q has a NUL byte", v)
		}
	}
	for _, cap := range c.Capabilities {
		if !knownCapability(cap) {
			return fmt.Errorf("unknown capability %q", cap)
		}
	}
	for _, m := range c.Mounts {
		if !strings.HasPrefix(m.Destination, "/") {
			return fmt.Errorf("mount destination %q is not absolute", m.Destination)
		}
	}
	return nil
}

func (c Container) userNamespace() bool { return len(c.UIDMappings) > 0 }

// namespaces lists the namespaces sorted by kind, the mount one included.
func (c Container) namespaces() []specs.LinuxNamespace {
	all := map[specs.LinuxNamespaceType]string{specs.MountNamespace: ""}
	for kind, path := range c.Namespaces {
		all[kind] = path
	}
	if _, given := all[specs.UserNamespace]; c.userNamespace() && !given {
		all[specs.UserNamespace] = ""
	}
	list := make([]specs.LinuxNamespace, 0, len(all))
	for kind, path := range all {
		list = append(list, specs.LinuxNamespace{Type: kind, Path: path})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Type < list[j].Type })
	return list
}

// resources returns a copy of the limits with the device rules: nothing but
// the given devices and those that runc always allows.
func (c Container) resources() *specs.LinuxResources {
	var r specs.LinuxResources
	if c.Resources != nil {
		r = *c.Resources
	}
	rules := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	for _, d := range c.Devices {
		major, minor := d.Major, d.Minor
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &major, Minor: &minor, Access: "rwm"})
	}
	r.Devices = append(rules, r.Devices...)
	return &r
}

// override picks the given list, else the default one.
func override(given, def []string) []string {
	if given != nil {
		return given
	}
	return def
}

// Write puts the configuration into dir as config.json, mode 0600, by rename.
func Write(dir string, spec *specs.Spec) error {
	data, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", dir, err)
	}
	path := filepath.Join(dir, "config.json")
	f, err := os.CreateTemp(dir, ".config-*")
	if err != nil {
		return fmt.Errorf("bundle %s: %w", dir, err)
	}
	_, err = f.Write(data)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("bundle %s: %w", dir, err)
	}
	return nil
}
