package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/rkt/aci"
)

// Hold notes that owner (a pod's UUID) uses a tree.
func (s *Store) Hold(treeID, owner string) error {
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	return s.hold(owner, treeID)
}

func (s *Store) hold(owner, treeID string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	held, err := s.heldBy(owner)
	if err != nil || slices.Contains(held, treeID) {
		return err
	}
	return s.writeFile(s.path("hold", owner), []byte(strings.Join(append(held, treeID), "\n")+"\n"))
}

func (s *Store) heldBy(owner string) ([]string, error) {
	data, err := os.ReadFile(s.path("hold", owner))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(data)), err
}

// Release ends what Hold and RenderFor noted for owner; unknown owners are no
// error.
func (s *Store) Release(owner string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	err := os.Remove(s.path("hold", owner))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func checkOwner(owner string) error {
	if owner == "" || strings.HasPrefix(owner, ".") || strings.ContainsAny(owner, "/\x00\n") {
		return fmt.Errorf("%q cannot own a rendered image", owner)
	}
	return nil
}

// Remove removes an image from the store. Pods that run keep what they have:
// rendered trees go with GC.
func (s *Store) Remove(id string) error {
	unlock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	return s.remove(id)
}

func (s *Store) remove(id string) error {
	if _, err := s.Info(id); err != nil {
		var gone *NotFoundError
		if errors.As(err, &gone) {
			return err
		}
		if _, err := aci.CheckID(id); err != nil {
			return err
		}
	}
	for _, p := range []string{s.path("info", id+".json"), s.path("blob", id)} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// GCOptions of GC.
type GCOptions struct {
	// Grace: images used within this time stay.
	Grace time.Duration
	// Alive, when set, says whether an owner of Hold still exists; the holds
	// of others are dropped.
	Alive func(owner string) bool
	// FetchedOnly: images that no URL and no registry gave stay: nobody can
	// fetch them again.
	FetchedOnly bool
}

// GCResult is what GC removed.
type GCResult struct {
	Trees  []string
	Images []*Info
}

// GC removes rendered trees that nobody holds, images not used within the
// grace time, and what a crash left behind.
func (s *Store) GC(o GCOptions) (*GCResult, error) {
	unlock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	res := &GCResult{}
	if err := s.gcTrees(o, res); err != nil {
		return res, err
	}
	if err := s.gcImages(o, res); err != nil {
		return res, err
	}
	return res, s.gcRest()
}

func (s *Store) gcTrees(o GCOptions, res *GCResult) error {
	held, err := s.held(o)
	if err != nil {
		return err
	}
	trees, err := os.ReadDir(s.path("tree"))
	if err != nil {
		return err
	}
	for _, t := range trees {
		if held[t.Name()] {
			continue
		}
		if err := s.discard(s.path("tree", t.Name())); err != nil {
			return err
		}
		res.Trees = append(res.Trees, t.Name())
	}
	return nil
}

// discard removes a folder so that a half-removed one is never found.
func (s *Store) discard(path string) error {
	tmp, err := os.MkdirTemp(s.Tmp(), "old-")
	if err != nil {
		return err
	}
	if err := os.Rename(path, tmp+"/old"); err != nil {
		return err
	}
	return os.RemoveAll(tmp)
}

// held returns the trees in use.
func (s *Store) held(o GCOptions) (map[string]bool, error) {
	owners, err := os.ReadDir(s.path("hold"))
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for _, owner := range owners {
		if o.Alive != nil && !o.Alive(owner.Name()) {
			if err := s.Release(owner.Name()); err != nil {
				return nil, err
			}
			continue
		}
		trees, err := s.heldBy(owner.Name())
		if err != nil {
			return nil, err
		}
		for _, t := range trees {
			held[t] = true
		}
	}
	return held, nil
}

func (s *Store) gcImages(o GCOptions, res *GCResult) error {
	list, err := s.List()
	if err != nil {
		return err
	}
	inUse, err := s.imagesOfTrees()
	if err != nil {
		return err
	}
	fetched, err := s.fetched()
	if err != nil {
		return err
	}
	for _, i := range list {
		if o.FetchedOnly && !fetched[i.ID] {
			continue
		}
		if inUse[i.ID] || s.now().Sub(i.LastUsed) < o.Grace {
			continue
		}
		if err := s.remove(i.ID); err != nil {
			return err
		}
		res.Images = append(res.Images, i)
	}
	return nil
}

// imagesOfTrees returns the images that rendered trees were made of.
func (s *Store) imagesOfTrees() (map[string]bool, error) {
	trees, err := os.ReadDir(s.path("tree"))
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, t := range trees {
		data, err := os.ReadFile(s.path("tree", t.Name(), "images"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, id := range strings.Fields(string(data)) {
			used[id] = true
		}
	}
	return used, nil
}

// gcRest removes temporary files, torn records, blobs without a record and
// records of URLs whose image is gone.
func (s *Store) gcRest() error {
	ids, err := s.ids()
	if err != nil {
		return err
	}
	for _, id := range ids {
		var torn *damagedError
		if _, err := s.Info(id); errors.As(err, &torn) {
			if err := os.Remove(s.path("info", id+".json")); err != nil {
				return err
			}
		}
	}
	left, err := os.ReadDir(s.Tmp())
	if err != nil {
		return err
	}
	for _, e := range left {
		if err := os.RemoveAll(s.path("tmp", e.Name())); err != nil {
			return err
		}
	}
	blobs, err := os.ReadDir(s.path("blob"))
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if _, err := os.Stat(s.path("info", b.Name()+".json")); errors.Is(err, fs.ErrNotExist) {
			if err := os.Remove(s.path("blob", b.Name())); err != nil {
				return err
			}
		}
	}
	return s.gcRemotes()
}
