package durable

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// seal is what a folder looked like when it was whole.
type seal struct {
	Tree string `json:"tree"` // see digest
	Boot string `json:"boot"` // the start of the machine after which it was looked at
}

// bootID tells one start of the machine from another; random(4).
var bootID = func() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// Seal notes in the file record what a folder holds. It is to be called before
// the folder is published.
func Seal(dir, record string) error {
	tree, err := digest(dir)
	if err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	return write(record, seal{tree, boot})
}

func write(record string, s seal) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return WriteFile(record, "", data, 0o600)
}

// Intact says whether a folder is there and holds what it did when it was
// sealed. It looks at the folder once for each start of the machine: only the end
// of one can tear it. Contents of files are not read: a file that did not reach
// the disk is missing or too short.
func Intact(dir, record string) (bool, error) {
	data, err := os.ReadFile(record)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	boot, err := bootID()
	if err != nil {
		return false, err
	}
	var s seal
	if json.Unmarshal(data, &s) != nil {
		return false, nil //nolint:nilerr // a torn record is one of a torn folder
	}
	if st, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return false, nil
	} else if err != nil || s.Boot == boot {
		return err == nil, err
	}
	tree, err := digest(dir)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", dir, err)
	}
	if tree != s.Tree {
		return false, nil
	}
	return true, write(record, seal{tree, boot})
}

// digest is a hash of names, kinds, modes, owners, sizes and times of files.
func digest(dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return describe(h, dir, path)
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

func describe(h hash.Hash, dir, path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	size, changed := st.Size, st.Mtim.Nano()
	if st.Mode&unix.S_IFMT == unix.S_IFDIR { // differ from one file system to another
		size, changed = 0, 0
	}
	_, err := fmt.Fprintf(h, "%q %o %d:%d %d %d %d\n", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, st.Rdev, size, changed)
	return err
}
