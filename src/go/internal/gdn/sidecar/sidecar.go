// Package sidecar knows what a process has that runs as a container of runc's own inside the
// namespaces of its Garden container: one with a root file system, mounts or limits of its own
// (ProcessSpec.Image, BindMounts and OverrideContainerLimits of Garden's Go interface).
package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"photonbuild.invalid/compat/internal/gdn/cgroup"
	"photonbuild.invalid/compat/internal/gdn/proc"
	"photonbuild.invalid/compat/internal/kit/bundle"
	"photonbuild.invalid/compat/internal/kit/overlay"
)

// recordFile is in a sidecar's folder.
const recordFile = "sidecar.json"

// killTime is how long the processes of a sidecar have to die.
const killTime = 20 * time.Second

// Sidecar is one such process.
type Sidecar struct {
	ID     string `json:"id"`               // runc's: that of the container, "-", 16 hexadecimal digits
	Dir    string `json:"dir"`              // the runc bundle and the mount point of the root file system
	Own    string `json:"own,omitempty"`    // the folder of what it writes, "" without a root of its own
	Image  string `json:"image,omitempty"`  // id in the store of images
	Cgroup string `json:"cgroup,omitempty"` // folder of the container's cgroup, which it shares; "": its own scope
}

// ID is runc's id of a sidecar.
func ID(container, name string) string { return container + "-" + name }

// Container is the container that an id of runc belongs to: its own, or that of a sidecar.
func Container(id string) string {
	container, _, _ := strings.Cut(id, "-")
	return container
}

// RootFS is the mount point of the root file system.
func (s Sidecar) RootFS() string { return filepath.Join(s.Dir, "rootfs") }

// Source is where the source of mount number i is bound while runc needs it.
func (s Sidecar) Source(i int) string { return filepath.Join(s.Dir, "sources", strconv.Itoa(i)) }

// Bundle is runc's bundle.
func (s Sidecar) Bundle() string { return filepath.Join(s.Dir, "bundle") }

// Group is the cgroup that the process is in.
func (s Sidecar) Group() cgroup.Group {
	if s.Cgroup != "" {
		return cgroup.Group(s.Cgroup)
	}
	return cgroup.Of(s.ID)
}

// Save writes the record.
func (s Sidecar) Save() error { return proc.WriteJSON(filepath.Join(s.Dir, recordFile), s) }

// Load reads the record in dir. Where there is none, only the folder is known.
func Load(container, dir string) Sidecar {
	s := Sidecar{}
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || s.Dir != dir || Container(s.ID) != container {
		return Sidecar{ID: ID(container, filepath.Base(dir)), Dir: dir}
	}
	return s
}

// List returns the sidecars below a folder.
func List(container, folder string) []Sidecar {
	dirs, _ := filepath.Glob(filepath.Join(folder, "*"))
	var out []Sidecar
	for _, dir := range dirs {
		out = append(out, Load(container, dir))
	}
	return out
}

// Clean takes away whatever the sidecar has, as far as it has it: processes in a scope of its own,
// runc's state, the mount, the files. It can be repeated, by several at once too. The folder goes
// last, so that what is left of one that was interrupted is found.
func (s Sidecar) Clean(ctx context.Context, r bundle.Runc) error {
	err := errors.Join(Forget(ctx, r, s.ID), overlay.Unmount(s.RootFS()))
	sources, _ := filepath.Glob(filepath.Join(filepath.Dir(s.Source(0)), "*"))
	for _, source := range sources {
		err = errors.Join(err, overlay.Unmount(source))
	}
	if err != nil {
		return err
	}
	if s.Own != "" {
		if err := os.RemoveAll(s.Own); err != nil {
			return err
		}
	}
	return os.RemoveAll(s.Dir)
}

// Forget kills what is in the scope of a sidecar and lets runc forget it.
func Forget(ctx context.Context, r bundle.Runc, id string) error {
	err := cgroup.Of(id).Kill(killTime)
	state := filepath.Join(r.Root, id)
	if _, serr := os.Stat(state); serr != nil {
		return err
	}
	derr := r.Delete(ctx, id, true)
	if _, serr := os.Stat(state); serr != nil { // whoever else is at it was first
		derr = nil
	}
	return errors.Join(err, derr)
}
