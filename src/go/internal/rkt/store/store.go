// Package store keeps App Container images by their image ID and renders them,
// with their dependencies, into folders that serve as lowers of overlayfs.
//
// It follows the App Container specification 0.8.11: aci.md ("Image ID",
// "Dependency Matching") and ace.md ("Filesystem Setup"). On disk:
//
//	blob/ID           the uncompressed archive
//	info/ID.json      its manifest, when it came and was last used
//	remote/HASH.json  what a URL gave, for HTTP caching
//	tree/TREEID/      a rendered image: rootfs/, sum (its checksum), images, and
//	                  whole, which tells a tree that a power cut tore
//	hold/OWNER        the trees that a pod uses, one to a line
//	tmp/, lock
//
// Everything appears by rename under a flock(2), so that several processes may
// use a store at once, and is on the disk before it does.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/appc/spec/schema"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/durable"
	"photonbuild.invalid/compat/internal/rkt/aci"
)

// DefaultDir is the store of rkt's default data folder.
const DefaultDir = "/var/lib/rkt/cas"

// minPrefix is how many hex digits of an image ID are needed at least.
const minPrefix = 4

// Store is a folder of images.
type Store struct {
	dir string
	now func() time.Time
}

// Info is what the store knows of an image.
type Info struct {
	ID         string                `json:"id"`
	Name       string                `json:"name"`
	Imported   time.Time             `json:"imported"`
	LastUsed   time.Time             `json:"lastUsed"`
	Size       int64                 `json:"size"`   // of the archive, in bytes
	Latest     bool                  `json:"latest"` // fetched without naming a version
	Manifest   *schema.ImageManifest `json:"-"`
	RawPayload json.RawMessage       `json:"manifest"`
}

// NotFoundError says that an image is not in the store.
type NotFoundError struct{ What string }

func (e *NotFoundError) Error() string { return e.What + " is not in the local store" }

// Open makes the store's folders in dir ("" means DefaultDir).
func Open(dir string) (*Store, error) {
	if dir == "" {
		dir = DefaultDir
	}
	s := &Store{dir: dir, now: time.Now}
	for _, d := range []string{"blob", "info", "remote", "tree", "hold", "tmp"} {
		if err := os.MkdirAll(s.path(d), 0o700); err != nil {
			return nil, fmt.Errorf("open the image store: %w", err)
		}
	}
	return s, nil
}

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// Tmp is a folder on the store's file system for files that are being made.
func (s *Store) Tmp() string { return s.path("tmp") }

// TempFile makes a file without a name on the store's file system.
func (s *Store) TempFile() (*os.File, error) {
	f, err := os.CreateTemp(s.Tmp(), "file-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lock takes the store's lock, shared or exclusive.
func (s *Store) lock(how int) (unlock func(), err error) {
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("lock the image store: %w", err)
		}
	}
}

func (s *Store) writeInfo(i *Info) error {
	raw, err := json.Marshal(i.Manifest)
	if err != nil {
		return fmt.Errorf("image %s: %w", i.ID, err)
	}
	i.RawPayload = raw
	return s.writeJSON(s.path("info", i.ID+".json"), i)
}

func (s *Store) writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.writeFile(path, data)
}

// writeFile writes a file that appears whole or not at all.
func (s *Store) writeFile(path string, data []byte) error {
	return durable.WriteFile(path, s.Tmp(), data, 0o600)
}

// Info returns what is known of the image with exactly this ID.
func (s *Store) Info(id string) (*Info, error) {
	if _, err := aci.CheckID(id); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(s.path("info", id+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{"image " + id}
	}
	if err != nil {
		return nil, err
	}
	var i Info
	if err := json.Unmarshal(data, &i); err != nil {
		return nil, &damagedError{id, fmt.Errorf("its record: %w", err)}
	}
	if i.Manifest, err = aci.ParseManifest(i.RawPayload); err != nil {
		return nil, &damagedError{id, fmt.Errorf("its record: %w", err)}
	}
	return &i, nil
}

// damagedError says that what the store has of an image is not what it stored.
type damagedError struct {
	id    string
	cause error
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("image %s is damaged in the local store: %v\n\nhint: rkt image rm %s, and fetch it again", e.id, e.cause, e.id)
}

func (e *damagedError) Unwrap() error { return e.cause }

// Manifest returns the manifest of the image with exactly this ID.
func (s *Store) Manifest(id string) (*schema.ImageManifest, error) {
	i, err := s.Info(id)
	if err != nil {
		return nil, err
	}
	return i.Manifest, nil
}

// Resolve completes an image ID or a prefix of one, "sha512-" and at least
// four hex digits. Unknown and ambiguous prefixes are errors.
func (s *Store) Resolve(prefixOrID string) (string, error) {
	hex, ok := strings.CutPrefix(prefixOrID, "sha512-")
	if !ok || len(hex) < minPrefix || len(hex) > 128 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is not an image ID (sha512- and %d to 128 hex digits)", prefixOrID, minPrefix)
	}
	ids, err := s.ids()
	if err != nil {
		return "", err
	}
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(id, prefixOrID) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", &NotFoundError{"image " + prefixOrID}
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("image ID %s is ambiguous: it begins %d images", prefixOrID, len(found))
}

// ids lists the images, sorted.
func (s *Store) ids() ([]string, error) {
	entries, err := os.ReadDir(s.path("info"))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// List returns all images, the oldest import first.
func (s *Store) List() ([]*Info, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	var list []*Info
	for _, id := range ids {
		i, err := s.Info(id)
		var gone *NotFoundError
		var torn *damagedError
		if errors.As(err, &gone) || errors.As(err, &torn) {
			continue // removed meanwhile, or to be fetched again
		}
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	slices.SortStableFunc(list, func(a, b *Info) int { return a.Imported.Compare(b.Imported) })
	return list, nil
}

// Touch notes that an image was used now.
func (s *Store) Touch(id string) error {
	i, err := s.Info(id)
	if err != nil {
		return err
	}
	i.LastUsed = s.now()
	return s.writeInfo(i)
}

// OpenBlob opens the uncompressed archive of an image.
func (s *Store) OpenBlob(id string) (*os.File, error) {
	if _, err := aci.CheckID(id); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path("blob", id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{"image " + id}
	}
	return f, err
}
