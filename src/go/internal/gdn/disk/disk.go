// Package disk bounds what a container may write: an ext4 file system of the given size on a
// sparse file, mounted through a loop device (loop(4)). A full one gives ENOSPC.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Smallest is the smallest file system that is made.
const Smallest = 1 << 20

const block = 4096

// Create makes the file image with a file system of size bytes and mounts it on dir. inodes is
// the most files it may hold, 0 for no limit of its own.
func Create(image, dir string, size, inodes uint64) error {
	if size < Smallest {
		return fmt.Errorf("a disk limit of %d bytes is too small: at least %d are needed", size, Smallest)
	}
	f, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(int64(size))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("make a file of %d bytes: %w", size, err)
	}
	cmd := exec.Command("mkfs.ext4", argv(image, inodes)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4 %s: %w: %s", image, err, bytes.TrimSpace(out))
	}
	return Mount(image, dir)
}

// argv is the command line of mkfs.ext4: no journal and no reserve, so that nearly all of the
// size is the container's; nothing is written that need not be.
func argv(image string, inodes uint64) []string {
	a := []string{"-q", "-F", "-b", strconv.Itoa(block), "-m", "0", "-O", "^has_journal,^resize_inode",
		"-E", "nodiscard,lazy_itable_init=1,root_owner=0:0"}
	if inodes != 0 {
		// 11 are the file system's own, upper and work of overlayfs take three, etc and what is
		// in it four.
		a = append(a, "-N", strconv.FormatUint(inodes+18, 10))
	}
	return append(a, image)
}

// Mount mounts an image made by Create.
func Mount(image, dir string) error {
	loop, err := attach(image)
	if err != nil {
		return err
	}
	defer loop.Close() // autoclear: the device goes with the mount
	if err := unix.Mount(loop.Name(), dir, "ext4", unix.MS_NOATIME|unix.MS_NODEV, "discard"); err != nil {
		return fmt.Errorf("mount %s on %s: %w", loop.Name(), dir, err)
	}
	return nil
}

// attach finds a free loop device and gives it the image.
func attach(image string) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("disk limits need loop devices: %w", err)
	}
	defer control.Close()
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for range 100 { // others look for a free one too
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		copy(config.Info.File_name[:len(config.Info.File_name)-1], image)
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			// Kernels that protect mounted devices refuse one that is open for writing.
			reader, rerr := os.Open(loop.Name())
			_ = loop.Close()
			return reader, rerr
		}
		_ = loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attach %s to /dev/loop%d: %w", image, n, err)
		}
	}
	return nil, errors.New("find a free loop device: others were faster a hundred times")
}

// Grow makes a mounted file system larger. It cannot be made smaller.
func Grow(image, dir string, size uint64) error {
	st, err := os.Stat(image)
	if err != nil {
		return err
	}
	if uint64(st.Size()) > size {
		return fmt.Errorf("a disk limit can be raised, not lowered: it is %d bytes", st.Size())
	}
	if err := os.Truncate(image, int64(size)); err != nil {
		return err
	}
	loop, err := loopOf(dir)
	if err != nil {
		return err
	}
	if err := setCapacity(loop); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	blocks := size / block
	if err := resizeFS(d.Fd(), &blocks); err != nil {
		return fmt.Errorf("grow the file system on %s: %w", dir, err)
	}
	return nil
}

// Usage is what a tree takes.
type Usage struct{ Bytes, Inodes uint64 }

// Used asks the file system mounted on dir.
func Used(dir string) (Usage, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Usage{}, err
	}
	return Usage{(s.Blocks - s.Bfree) * uint64(s.Bsize), s.Files - s.Ffree}, nil
}

// Walk adds up a tree; files with several names count once, files that go away meanwhile not.
func Walk(dir string) (Usage, error) {
	var u Usage
	seen := map[[2]uint64]bool{}
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if key := [2]uint64{st.Dev, st.Ino}; st.Nlink > 1 && !d.IsDir() {
			if seen[key] {
				return nil
			}
			seen[key] = true
		}
		u.Bytes += uint64(st.Blocks) * 512
		u.Inodes++
		return nil
	})
	return u, err
}

// loopOf returns the device mounted on dir.
func loopOf(dir string) (string, error) {
	for _, m := range Mounts() {
		if m.Target == dir {
			return m.Source, nil
		}
	}
	return "", fmt.Errorf("nothing is mounted on %s", dir)
}

// MountPoint is a line of mountinfo.
type MountPoint struct{ Target, Source string }

// Mounts lists the mounts of this namespace, in the order they were made.
func Mounts() []MountPoint {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	return parseMounts(string(data))
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func parseMounts(text string) []MountPoint {
	var out []MountPoint
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if ok && len(fields) >= 5 && len(rest) >= 2 {
			out = append(out, MountPoint{unescape.Replace(fields[4]), unescape.Replace(rest[1])})
		}
	}
	return out
}
