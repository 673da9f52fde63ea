// Package stage1 runs a pod: a supervisor in a transient systemd service that
// makes the namespaces its apps share, starts each app by runc and tells the
// exit statuses. The executor's side of the App Container specification's
// ace.md; pods.md says what apps share (PID, network, IPC and UTS namespaces).
package stage1

import (
	"time"

	"photonbuild.invalid/compat/internal/rkt/network"
)

// RunDir is the folder for what lives no longer than the machine is up.
const RunDir = "/run/rkt"

// Options say how a pod runs, beside its manifest. They are kept in the pod's directory.
type Options struct {
	Networks   []network.Request `json:"networks"` // empty: loopback only
	HostNet    bool              `json:"hostNet"`
	ConfDirs   []string          `json:"confDirs"`
	Hostname   string            `json:"hostname,omitempty"`
	DNS        DNS               `json:"dns"`
	Hosts      []string          `json:"hosts,omitempty"` // IP=NAME, or "host" alone
	HostIPC    bool              `json:"hostIPC,omitempty"`
	Register   bool              `json:"register,omitempty"` // with the metadata service
	StopWithin time.Duration     `json:"stopWithin"`

	AllCapabilities bool `json:"allCapabilities,omitempty"`
	NoMaskedPaths   bool `json:"noMaskedPaths,omitempty"`
	NoSeccomp       bool `json:"noSeccomp,omitempty"`

	Interactive bool             `json:"interactive,omitempty"`
	Terminal    bool             `json:"terminal,omitempty"` // stdin is one
	Term        string           `json:"term,omitempty"`
	Stdio       map[string]Stdio `json:"stdio,omitempty"` // by app
}

// Stdio are the modes of an app's standard streams: "", "null" or "log".
type Stdio struct{ Stdin, Stdout, Stderr string }

// DNS is what resolv.conf(5) shall say.
type DNS struct {
	Mode    string   `json:"mode,omitempty"` // "", "host" or "none"
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
	Options []string `json:"options,omitempty"`
	Domain  string   `json:"domain,omitempty"`
}

// Asked says whether the user asked for a resolv.conf.
func (d DNS) Asked() bool {
	return len(d.Servers)+len(d.Search)+len(d.Options) > 0 || d.Domain != ""
}

// DefaultStop is how long apps have between SIGTERM and SIGKILL.
const DefaultStop = 10 * time.Second
