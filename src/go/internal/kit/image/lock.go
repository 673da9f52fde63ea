package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lock makes the store's folders and takes its lock.
func (s Store) lock(how int) (func(), error) {
	for _, d := range []string{"", "images", "layers", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.Root, d), 0o700); err != nil {
			return nil, err
		}
	}
	return lockFile(filepath.Join(s.Root, "lock"), how)
}

// lockFile takes a flock(2); the lock goes with the process.
func lockFile(path string, how int) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
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
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// Remove forgets an image and removes the layers that no other image has. An
// image that is not there is no error. The caller makes sure that nothing has
// the layers mounted.
func (s Store) Remove(id string) error {
	hex, err := hexOf(id)
	if err != nil {
		return err
	}
	_, err = s.GC(func(other string) bool { return other != "sha256:"+hex })
	return err
}

// GC removes the images that keep does not want (keep is given "sha256:…"),
// the layers that no image has, and what a crash left behind. freed is the
// disk space that the layers took.
func (s Store) GC(keep func(id string) bool) (freed int64, err error) {
	unlock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return 0, err
	}
	defer unlock()
	used, err := s.removeImages(keep)
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(filepath.Join(s.Root, "layers"))
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if used[strings.TrimSuffix(e.Name(), ".json")] {
			continue
		}
		path := s.layerDir(e.Name())
		if e.IsDir() {
			freed += diskUsage(path)
		}
		if err := os.RemoveAll(path); err != nil {
			return freed, err
		}
	}
	left, err := os.ReadDir(filepath.Join(s.Root, "tmp"))
	if err != nil {
		return freed, err
	}
	for _, e := range left {
		if err := os.RemoveAll(filepath.Join(s.Root, "tmp", e.Name())); err != nil {
			return freed, err
		}
	}
	return freed, nil
}

// removeImages removes unwanted images and returns the layers of the others.
func (s Store) removeImages(keep func(string) bool) (map[string]bool, error) {
	used := map[string]bool{}
	entries, err := os.ReadDir(filepath.Join(s.Root, "images"))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		hex, isImage := strings.CutSuffix(e.Name(), ".json")
		path := filepath.Join(s.Root, "images", e.Name())
		var u Unpacked
		ok := false
		if isImage && keep("sha256:"+hex) {
			if u, ok, err = s.Lookup(hex); err != nil {
				return nil, err
			}
		}
		if !ok {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		for _, l := range u.Layers {
			used[filepath.Base(l)] = true
		}
	}
	return used, nil
}

// diskUsage sums the blocks below path, each file once.
func diskUsage(path string) int64 {
	var sum int64
	seen := map[uint64]bool{}
	_ = filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && unix.Lstat(p, &st) == nil && !seen[st.Ino] {
			seen[st.Ino] = true
			sum += st.Blocks * 512
		}
		if errors.Is(err, fs.ErrPermission) {
			return fs.SkipDir
		}
		return nil
	})
	return sum
}
