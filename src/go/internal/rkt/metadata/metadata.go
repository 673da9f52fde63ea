// Package metadata is the App Container metadata service (the specification's
// ace.md, "App Container Metadata Service"): manifests, annotations and the
// HMAC identity of pods, over HTTP.
//
// The service listens on a unix socket that only root may use. Pods do not
// reach it: each pod's supervisor listens on loopback inside the pod's network
// namespace and lets through what carries the pod's token and nothing else.
package metadata

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	"github.com/google/uuid"
)

// Socket is the documented place of the service.
const Socket = "/run/rkt/metadata-svc.sock"

// StateDir keeps registrations and the HMAC key while the machine is up.
const StateDir = "/run/rkt/metadata"

// Registration is what the service knows of a pod.
type Registration struct {
	UUID  string          `json:"uuid"`
	Token string          `json:"token"`
	Pod   json.RawMessage `json:"pod"` // reified manifest
	Apps  map[string]App  `json:"apps"`
}

// App is an app's image.
type App struct {
	ImageID  string          `json:"imageID"`
	Manifest json.RawMessage `json:"manifest"`
}

// minToken is 128 bits of entropy in base64, the least that ace.md advises.
const minToken = 22

// entry is a checked registration.
type entry struct {
	Registration
	manifest *schema.PodManifest
	images   map[string]*schema.ImageManifest
}

// check parses a registration; the specification's library checks the manifests.
func check(r Registration) (*entry, error) {
	if uuid.Validate(r.UUID) != nil || len(r.UUID) != 36 {
		return nil, fmt.Errorf("uuid %q is none", r.UUID)
	}
	if len(r.Token) < minToken {
		return nil, errors.New("token is too short to be secret")
	}
	e := &entry{Registration: r, manifest: &schema.PodManifest{}, images: map[string]*schema.ImageManifest{}}
	if err := json.Unmarshal(r.Pod, e.manifest); err != nil {
		return nil, fmt.Errorf("pod manifest: %w", err)
	}
	for _, a := range e.manifest.Apps {
		app, ok := r.Apps[a.Name.String()]
		if !ok {
			return nil, fmt.Errorf("app %s has no image", a.Name)
		}
		m := &schema.ImageManifest{}
		if err := json.Unmarshal(app.Manifest, m); err != nil {
			return nil, fmt.Errorf("image manifest of app %s: %w", a.Name, err)
		}
		e.images[a.Name.String()] = m
	}
	return e, nil
}

// annotations merges the image's with the app's, which win.
func (e *entry) annotations(app string) types.Annotations {
	merged := types.Annotations{}
	merged = append(merged, e.images[app].Annotations...)
	if a := e.manifest.Apps.Get(types.ACName(app)); a != nil {
		for _, one := range a.Annotations {
			merged.Set(one.Name, one.Value)
		}
	}
	return merged
}
