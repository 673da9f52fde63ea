package fetch

import (
	"fmt"

	"photonbuild.invalid/compat/internal/kit/image"
	"photonbuild.invalid/compat/internal/rkt/store"
)

// Local finds an image in the store by what the user calls it: an ID or a
// prefix of one, a name with labels, or the URL or docker:// reference that it
// was fetched from. Nothing is fetched and dependencies are not looked at.
func Local(s *store.Store, ref string) (string, error) {
	kind, err := Classify(ref)
	if err != nil {
		return "", err
	}
	switch kind {
	case ID:
		return s.Resolve(ref)
	case URL:
		return fromRecord(s, ref, ref)
	case Docker:
		r, err := image.Parse(ref)
		if err != nil {
			return "", err
		}
		return fromRecord(s, ref, r.String())
	}
	a, err := ParseName(ref) // also when there is a file of that name
	if err != nil {
		return "", hinted(fmt.Errorf("%s is not an image of the store: %w", ref, err), "rkt image list shows IDs and names")
	}
	return s.Find(a.Name, a.Labels)
}

func fromRecord(s *store.Store, ref, url string) (string, error) {
	r, ok, err := s.Remote(url)
	if err == nil && !ok {
		err = &store.NotFoundError{What: "image " + ref}
	}
	return r.ID, err
}
