// Package durable makes what a store keeps survive a power cut: a file or folder
// is on the disk before it gets its name, and a folder that is torn all the same
// (its disk lied, or it was damaged later) is told from a whole one.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// observe, in tests, is told of each step in its order.
var observe = func(step, path string) {}

// WriteFile writes a file that appears whole or not at all. It is made in the
// folder tmp, of the same file system; "" means the file's own.
func WriteFile(path, tmp string, data []byte, mode os.FileMode) error {
	if tmp == "" {
		tmp = filepath.Dir(path)
	}
	f, err := os.CreateTemp(tmp, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return Publish(f.Name(), path)
}

// Publish gives a file or folder, on the same file system, its final name, after
// everything in it is on the disk. When it returns the name is there too.
func Publish(from, to string) error {
	if err := sync(from); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	observe("rename", to)
	return syncFile(filepath.Dir(to))
}

// sync writes a file, or the whole file system of a folder: that takes one call,
// where each of many files would take its own.
func sync(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return syncFile(path)
	}
	return Flush(path)
}

// Flush writes everything of a folder's file system to the disk.
func Flush(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("write %s to the disk: %w", dir, os.NewSyscallError("syncfs", err))
	}
	observe("syncfs", dir)
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write %s to the disk: %w", path, err)
	}
	observe("fsync", path)
	return nil
}
