package pod

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/appc/spec/schema"
)

// Files of a pod's directory.
const (
	manifestFile = "pod"
	optionsFile  = "options"
	createdFile  = "pod-created"
	startedFile  = "pod-started"
	pidFile      = "pid"
	netFile      = "net-info.json"
	readyFile    = "ready"
)

// WriteFile writes a file of the pod by rename, readable by root alone.
func (p *Pod) WriteFile(name string, data []byte) error {
	path := p.File(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	return nil
}

func (p *Pod) readJSON(name string, into any) error {
	data, err := os.ReadFile(p.File(name))
	if err != nil {
		return fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("pod %s: %s: %w", p.UUID, name, err)
	}
	return nil
}

func (p *Pod) writeJSON(name string, from any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("pod %s: %s: %w", p.UUID, name, err)
	}
	return p.WriteFile(name, data)
}

// Manifest reads the pod manifest; the specification's own library checks it.
func (p *Pod) Manifest() (*schema.PodManifest, error) {
	m := &schema.PodManifest{}
	return m, p.readJSON(manifestFile, m)
}

// ManifestBytes is the manifest as it lies on disk.
func (p *Pod) ManifestBytes() ([]byte, error) { return os.ReadFile(p.File(manifestFile)) }

// SetManifest writes the pod manifest.
func (p *Pod) SetManifest(m *schema.PodManifest) error { return p.writeJSON(manifestFile, m) }

func appInfo(app, name string) string { return filepath.Join("appsinfo", app, name) }

// SetImage keeps what an app runs: its image's manifest and rendered tree.
func (p *Pod) SetImage(app string, m *schema.ImageManifest, treeID, treeDir string) error {
	if err := p.writeJSON(appInfo(app, "manifest"), m); err != nil {
		return err
	}
	if err := p.WriteFile(appInfo(app, "treeStoreID"), []byte(treeID)); err != nil {
		return err
	}
	return p.WriteFile(appInfo(app, "tree"), []byte(treeDir))
}

// Image returns what SetImage kept.
func (p *Pod) Image(app string) (m *schema.ImageManifest, treeDir string, err error) {
	m = &schema.ImageManifest{}
	if err := p.readJSON(appInfo(app, "manifest"), m); err != nil {
		return nil, "", err
	}
	dir, err := os.ReadFile(p.File(appInfo(app, "tree")))
	if err != nil {
		return nil, "", fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	return m, string(dir), nil
}

// TreeIDs returns the rendered trees that the pod uses, for the image store's garbage collection.
func (p *Pod) TreeIDs() []string {
	files, _ := filepath.Glob(p.File("appsinfo", "*", "treeStoreID"))
	var list []string
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil {
			list = append(list, string(data))
		}
	}
	return list
}

// SetOptions and Options keep how the pod is to be run, beside its manifest.
func (p *Pod) SetOptions(o any) error { return p.writeJSON(optionsFile, o) }

// Options reads what SetOptions kept into o.
func (p *Pod) Options(o any) error { return p.readJSON(optionsFile, o) }

func (p *Pod) stamp(name string) error {
	return p.WriteFile(name, []byte(time.Now().Format(time.RFC3339Nano)))
}

func (p *Pod) time(name string) time.Time {
	data, err := os.ReadFile(p.File(name))
	if err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, string(data))
	if err != nil {
		return time.Time{}
	}
	return t
}

// SetCreated, SetStarted and SetReady note the time.
func (p *Pod) SetCreated() error { return p.stamp(createdFile) }

// SetStarted notes that the pod runs.
func (p *Pod) SetStarted() error { return p.stamp(startedFile) }

// SetReady notes that all apps were started.
func (p *Pod) SetReady() error { return p.stamp(readyFile) }

// Created is zero when not known.
func (p *Pod) Created() time.Time { return p.time(createdFile) }

// Started is zero when the pod was not started.
func (p *Pod) Started() time.Time { return p.time(startedFile) }

// Ready says whether all apps were started.
func (p *Pod) Ready() bool { return !p.time(readyFile).IsZero() }

// SetPid keeps the process id of the pod's first process.
func (p *Pod) SetPid(pid int) error { return p.WriteFile(pidFile, []byte(strconv.Itoa(pid))) }

// Pid returns -1 when the pod never ran.
func (p *Pod) Pid() int {
	data, err := os.ReadFile(p.File(pidFile))
	if err != nil {
		return -1
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		return -1
	}
	return pid
}

func statusFile(app string) string { return filepath.Join("status", app) }

// SetStatus keeps the exit status of an app.
func (p *Pod) SetStatus(app string, status int) error {
	return p.WriteFile(statusFile(app), []byte(strconv.Itoa(status)))
}

// Status returns the exit status of an app; false when it has not ended.
func (p *Pod) Status(app string) (int, bool) {
	data, err := os.ReadFile(p.File(statusFile(app)))
	if err != nil {
		return 0, false
	}
	status, err := strconv.Atoi(string(data))
	return status, err == nil
}

// Net is a network that a pod is in.
type Net struct {
	Name   string   `json:"netName"`
	IfName string   `json:"ifName"`
	IPs    []string `json:"ips,omitempty"`
}

// SetNets keeps the networks.
func (p *Pod) SetNets(nets []Net) error { return p.writeJSON(netFile, nets) }

// Nets returns the networks, empty when there are none.
func (p *Pod) Nets() []Net {
	var nets []Net
	if err := p.readJSON(netFile, &nets); err != nil {
		return nil
	}
	return nets
}

// Delete removes the pod's directory. The caller has the lock and has undone
// everything that lives outside of it.
func (p *Pod) Delete() error {
	if err := os.RemoveAll(p.Path()); err != nil {
		return fmt.Errorf("pod %s: %w", p.UUID, err)
	}
	return nil
}

// Discard deletes a pod whose preparation failed.
func (p *Pod) Discard() error {
	defer p.Unlock()
	if err := p.Move(Garbage); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return p.Delete()
}

// ReadUUID reads a UUID that --uuid-file-save wrote.
func ReadUUID(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("uuid file: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
