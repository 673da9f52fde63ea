// Package archive unpacks and makes tar archives for container images.
//
// It follows POSIX.1-2017 pax (the "pax Interchange Format" chapter of the
// pax utility), the GNU tar extensions that Go's archive/tar reads, and for
// layers the "Whiteouts" chapter of the OCI image specification
// (image-spec/layer.md). Archives are hostile input: nothing is ever written
// outside the destination folder, whatever names, links or device nodes an
// archive holds.
package archive

import (
	"errors"
	"fmt"
	"strings"
)

// Whiteouts says what a name that begins with ".wh." means.
type Whiteouts int

const (
	// NoWhiteouts: ".wh." is an ordinary name.
	NoWhiteouts Whiteouts = iota
	// OverlayWhiteouts: OCI layer whiteouts become those of overlayfs: a
	// character device 0:0 for a removed name, trusted.overlay.opaque="y" for
	// a folder that hides everything below it.
	OverlayWhiteouts
)

// Owner is a user and a group by number.
type Owner struct{ UID, GID int }

// Options of Extract. The zero value unpacks everything as it is.
type Options struct {
	// Whiteouts says how names that begin with ".wh." are read.
	Whiteouts Whiteouts
	// Include picks entries; nil picks all. The name is slash-separated,
	// relative and clean; "." is the top folder itself.
	Include func(name string) bool
	// MaxBytes bounds what the archive may unpack to: file contents plus 512
	// bytes for each entry. 0 means no limit.
	MaxBytes int64
	// ChownTo, when set, owns everything, whatever the archive says.
	ChownTo *Owner
	// NoSecurityXattrs leaves out attributes that begin with "security.", which
	// give rights (capabilities(7)); they are for images, not for who sends files.
	NoSecurityXattrs bool
	// ImplicitDir is asked for owner and mode of a folder that an entry lies
	// in and that the archive has no entry for; nil, or ok = false, means
	// root:root 0755 (or ChownTo).
	ImplicitDir func(name string) (o Owner, mode uint32, ok bool)
}

// ErrTooLarge is in the chain of the error for an archive beyond MaxBytes.
var ErrTooLarge = errors.New("larger than the limit")

// EntryError names the archive entry that was refused or failed.
type EntryError struct {
	Name string
	Err  error
}

func (e *EntryError) Error() string { return fmt.Sprintf("archive entry %q: %v", e.Name, e.Err) }

func (e *EntryError) Unwrap() error { return e.Err }

// maxName is the longest name, in bytes; no longer one can be given to the
// kernel (PATH_MAX, the NUL at its end left out).
const maxName = 4095

// CleanName returns the slash-separated relative form of an archive name:
// no leading "/" or "./", no empty parts; "." for the top folder. A part ".."
// and a NUL byte are errors, because no honest archive of an image has them,
// and so are more than 4095 bytes.
func CleanName(name string) (string, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", errors.New("name contains a NUL byte")
	}
	if len(name) > maxName {
		return "", fmt.Errorf("name of %d bytes, at most %d are allowed", len(name), maxName)
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", errors.New(`name contains ".." (it could lead outside the destination)`)
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ".", nil
	}
	return strings.Join(parts, "/"), nil
}

// split returns the folder and the last part of a clean name other than ".".
func split(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return ".", name
}
