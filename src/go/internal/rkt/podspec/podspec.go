// Package podspec makes the pod manifest out of images and what the command
// line asks for, and makes any pod manifest fit to run ("reified"), after the
// App Container specification's pods.md and aci.md.
package podspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
)

// App is an image with what overrides it. Empty and nil fields override nothing.
type App struct {
	ID       types.Hash
	Manifest *schema.ImageManifest

	Name             string
	Exec             string
	Args             []string
	User, Group      string
	SupplementaryGID []int
	WorkingDir       string
	Environment      []Variable
	Mounts           []schema.Mount
	ReadOnlyRootFS   *bool
	Isolators        []types.Isolator
	Annotations      map[string]string
	UserAnnotations  map[string]string
	UserLabels       map[string]string
}

// Variable is an environment variable.
type Variable struct{ Name, Value string }

// Pod is what the command line asks for.
type Pod struct {
	Apps    []App
	Volumes []types.Volume
	Mounts  []schema.Mount // in every app
	Ports   []types.ExposedPort
	// Environment of all apps: the caller's own, which only fills gaps, and
	// what was set, in the order in which later ones win.
	Inherited, Set []Variable
}

// Build makes the pod manifest. It is not reified yet.
func Build(p Pod) (*schema.PodManifest, error) {
	if len(p.Apps) == 0 {
		return nil, errors.New("a pod needs at least one image")
	}
	m := schema.BlankPodManifest()
	m.Volumes, m.Ports = p.Volumes, p.Ports
	for _, a := range p.Apps {
		app, err := a.runtime(p)
		if err != nil {
			return nil, err
		}
		if m.Apps.Get(app.Name) != nil {
			return nil, fmt.Errorf("two apps are named %q, give one of them another by --name", app.Name)
		}
		m.Apps = append(m.Apps, *app)
	}
	return m, nil
}

func (a App) runtime(p Pod) (*schema.RuntimeApp, error) {
	name, err := a.name()
	if err != nil {
		return nil, err
	}
	app, err := appOf(a.Manifest)
	if err != nil {
		return nil, err
	}
	a.override(app)
	if err := a.environment(app, p); err != nil {
		return nil, fmt.Errorf("app %s: %w", name, err)
	}
	image := a.Manifest.Name
	r := &schema.RuntimeApp{
		Name:   *name,
		Image:  schema.RuntimeImage{Name: &image, ID: a.ID, Labels: a.Manifest.Labels},
		App:    app,
		Mounts: append(append([]schema.Mount{}, a.Mounts...), p.Mounts...),
	}
	if a.ReadOnlyRootFS != nil {
		r.ReadOnlyRootFS = *a.ReadOnlyRootFS
	}
	for _, key := range slices.Sorted(maps.Keys(a.Annotations)) {
		id, err := types.NewACIdentifier(key)
		if err != nil {
			return nil, fmt.Errorf("annotation %q of app %s: %w", key, name, err)
		}
		r.Annotations.Set(*id, a.Annotations[key])
	}
	return r, nil
}

// name is the given one, or what follows the last slash of the image's name.
func (a App) name() (*types.ACName, error) {
	if a.Name != "" {
		name, err := types.NewACName(a.Name)
		if err != nil {
			return nil, fmt.Errorf("app name %q: %w", a.Name, err)
		}
		return name, nil
	}
	base := a.Manifest.Name.String()
	base, err := types.SanitizeACName(base[strings.LastIndex(base, "/")+1:])
	if err != nil {
		return nil, fmt.Errorf("no app name can be made of the image's name %q: %w", a.Manifest.Name, err)
	}
	return types.NewACName(base)
}

// appOf returns a copy of the image's app, or a bare one that runs as root.
func appOf(m *schema.ImageManifest) (*types.App, error) {
	if m.App == nil {
		return &types.App{User: "0", Group: "0", Environment: types.Environment{}}, nil
	}
	data, err := json.Marshal(m.App)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", m.Name, err)
	}
	app := &types.App{}
	if err := json.Unmarshal(data, app); err != nil {
		return nil, fmt.Errorf("image %s: %w", m.Name, err)
	}
	return app, nil
}

func (a App) override(app *types.App) {
	if a.Exec != "" {
		app.Exec = types.Exec{a.Exec}
	}
	app.Exec = append(app.Exec, a.Args...)
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&app.User, a.User)
	set(&app.Group, a.Group)
	set(&app.WorkingDirectory, a.WorkingDir)
	if a.SupplementaryGID != nil {
		app.SupplementaryGIDs = a.SupplementaryGID
	}
	for _, i := range a.Isolators {
		app.Isolators.ReplaceIsolatorsByName(i, replaces(i.Name))
	}
	if len(a.UserAnnotations) > 0 {
		app.UserAnnotations = a.UserAnnotations
	}
	if len(a.UserLabels) > 0 {
		app.UserLabels = a.UserLabels
	}
}

// replaces lists the isolators that one given on the command line puts out.
func replaces(name types.ACIdentifier) []types.ACIdentifier {
	for _, pair := range [][]types.ACIdentifier{
		{types.LinuxCapabilitiesRetainSetName, types.LinuxCapabilitiesRevokeSetName},
		{types.LinuxSeccompRetainSetName, types.LinuxSeccompRemoveSetName},
	} {
		if name == pair[0] || name == pair[1] {
			return pair
		}
	}
	return []types.ACIdentifier{name}
}

// environment merges in the documented order: inherited, image, set for all, set for this app.
func (a App) environment(app *types.App, p Pod) error {
	for _, v := range p.Inherited {
		if _, has := app.Environment.Get(v.Name); !has && ValidName(v.Name) {
			app.Environment.Set(v.Name, v.Value)
		}
	}
	for _, list := range [][]Variable{p.Set, a.Environment} {
		for _, v := range list {
			app.Environment.Set(v.Name, v.Value)
		}
	}
	_, err := json.Marshal(app.Environment)
	return err
}

// NewIsolator makes an isolator of its value's JSON; the specification's
// library checks it.
func NewIsolator(name types.ACIdentifier, value any) (types.Isolator, error) {
	var i types.Isolator
	data, err := json.Marshal(map[string]any{"name": name, "value": value})
	if err != nil {
		return i, fmt.Errorf("isolator %s: %w", name, err)
	}
	if err := json.Unmarshal(data, &i); err != nil {
		return i, fmt.Errorf("isolator %s: %w", name, err)
	}
	return i, nil
}

// ValidName says whether aci.md allows the name for an environment variable.
func ValidName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '.' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
