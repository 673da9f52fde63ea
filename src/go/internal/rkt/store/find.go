package store

import (
	"fmt"
	"strings"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
)

// Find returns the image that best matches a name and labels: every label
// asked for has that value in the manifest. Among several, images fetched as
// "latest" come first when no version is asked for, then the newest import.
func (s *Store) Find(name types.ACIdentifier, labels map[types.ACIdentifier]string) (string, error) {
	list, err := s.List()
	if err != nil {
		return "", err
	}
	_, versioned := labels["version"]
	var best *Info
	for _, i := range list { // oldest first
		if i.Manifest.Name != name || !Matches(i.Manifest, labels) {
			continue
		}
		if best != nil && best.Latest && !i.Latest && !versioned {
			continue
		}
		best = i
	}
	if best == nil {
		return "", &NotFoundError{"image " + describe(name, labels)}
	}
	return best.ID, nil
}

// Matches says whether a manifest has all the labels (discovery.md,
// "Validation").
func Matches(m *schema.ImageManifest, labels map[types.ACIdentifier]string) bool {
	for k, v := range labels {
		if got, ok := m.Labels.Get(string(k)); !ok || got != v {
			return false
		}
	}
	return true
}

// describe writes a name with its labels as the command line has it.
func describe(name types.ACIdentifier, labels map[types.ACIdentifier]string) string {
	l, err := types.LabelsFromMap(labels)
	if err != nil {
		return string(name)
	}
	var b strings.Builder
	b.WriteString(string(name))
	for _, x := range l {
		fmt.Fprintf(&b, ",%s=%s", x.Name, x.Value)
	}
	return b.String()
}

// MatchDependency says why an image does not serve as a dependency (aci.md,
// "Dependency Matching"), nil when it does.
func MatchDependency(d types.Dependency, id string, m *schema.ImageManifest) error {
	switch {
	case d.ImageID != nil && d.ImageID.String() != id:
		return fmt.Errorf("dependency %s: the image found has ID %s, but %s is asked for", d.ImageName, id, d.ImageID)
	case d.ImageName != m.Name:
		return fmt.Errorf("dependency %s: image %s is named %s", d.ImageName, id, m.Name)
	case !Matches(m, d.Labels.ToMap()):
		return fmt.Errorf("dependency %s: image %s has other labels", describe(d.ImageName, d.Labels.ToMap()), id)
	}
	return nil
}
