// Package aci checks App Container images and makes them out of Docker and OCI
// images. It follows the App Container specification 0.8.11, aci.md ("Image
// Layout", "Image Archives", "Image Manifest Schema") and types.md.
package aci

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/kit/archive"
)

// Names at the top of an image archive.
const (
	ManifestFile = "manifest"
	RootFS       = "rootfs"
)

// maxManifest bounds the manifest's size in bytes.
const maxManifest = 4 << 20

// maxEntries and maxNames bound how many files an image has and how long their
// names are together, in bytes: they are held in memory.
const (
	maxEntries = 2 << 20
	maxNames   = 256 << 20
)

// ParseManifest reads an image manifest and holds it to the specification,
// through its own library and where that is laxer than the text.
func ParseManifest(data []byte) (*schema.ImageManifest, error) {
	var m schema.ImageManifest
	if err := Decode(data, &m); err != nil {
		return nil, fmt.Errorf("image manifest: %w", err)
	}
	if err := validate(&m); err != nil {
		return nil, fmt.Errorf("image manifest: %w", err)
	}
	if err := complete(m); err != nil {
		return nil, fmt.Errorf("image manifest: %w", err)
	}
	return &m, nil
}

// complete looks for fields that are required and missing: the library notices
// those only when it writes a manifest.
func complete(m json.Marshaler) error {
	_, err := json.Marshal(m)
	var wrapped *json.MarshalerError
	for errors.As(err, &wrapped) {
		err = wrapped.Unwrap()
	}
	return err
}

func validate(m *schema.ImageManifest) error {
	if m.ACVersion.LessThanMajor(schema.AppContainerVersion) || schema.AppContainerVersion.LessThanMajor(m.ACVersion) {
		return fmt.Errorf("acVersion %s is of another major version than %s", m.ACVersion, schema.AppContainerVersion)
	}
	if err := CheckName(m.Name); err != nil {
		return err
	}
	for _, l := range m.Labels {
		if err := checkIdentifier("label name", l.Name); err != nil {
			return err
		}
	}
	for i, d := range m.Dependencies {
		if err := CheckName(d.ImageName); err != nil {
			return fmt.Errorf("dependency %d: %w", i+1, err)
		}
		if d.ImageID != nil {
			if _, err := CheckID(d.ImageID.String()); err != nil {
				return fmt.Errorf("dependency %d (%s): %w", i+1, d.ImageName, err)
			}
		}
	}
	for _, p := range m.PathWhitelist {
		if !path.IsAbs(p) {
			return fmt.Errorf("pathWhitelist: %q is not an absolute path", p)
		}
	}
	return nil
}

// CheckName holds an image name to the AC Identifier type (types.md). The
// library's check lets ".." through, and names become paths of key folders.
func CheckName(name types.ACIdentifier) error { return checkIdentifier("image name", name) }

func checkIdentifier(what string, name types.ACIdentifier) error {
	if !types.ValidACIdentifier.MatchString(string(name)) {
		return fmt.Errorf("%s %q is not an AC Identifier (lower case letters and digits, single -._~/ between them)", what, name)
	}
	return nil
}

// CheckID holds s to the Image ID type: "sha512-" and 128 hex digits.
func CheckID(s string) (string, error) {
	hex, ok := strings.CutPrefix(s, "sha512-")
	if !ok || len(hex) != 128 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is not an image ID (sha512- and 128 hex digits)", s)
	}
	return s, nil
}

// Check reads the uncompressed image archive src, size bytes long, and returns
// its manifest. An archive that is not exactly "manifest" and "rootfs/", that
// names a file twice, or whose links lead nowhere, is an error.
func Check(ctx context.Context, src io.ReaderAt, size int64) (*schema.ImageManifest, error) {
	c := &checker{ctx: ctx, seen: map[string]byte{}}
	tr := tar.NewReader(io.NewSectionReader(src, 0, size))
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := tr.Next()
		if err == io.EOF {
			return c.finish()
		}
		if err != nil {
			return nil, notACI(err, len(c.seen))
		}
		if err := c.entry(h, tr); err != nil {
			return nil, fmt.Errorf("not an App Container image: entry %q: %w", h.Name, err)
		}
	}
}

// notACI explains a tar error.
func notACI(err error, entries int) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("not an App Container image: the archive is truncated after %d entries", entries)
	case entries == 0:
		return fmt.Errorf("not an App Container image: not a tar archive (%w)", err)
	}
	return fmt.Errorf("not an App Container image: read the archive: %w", err)
}

type checker struct {
	ctx      context.Context
	seen     map[string]byte
	names    int
	manifest []byte
}

func (c *checker) entry(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := archive.CleanName(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		return nil // "tar -C DIR ." writes it
	}
	if _, twice := c.seen[name]; twice {
		return errors.New("is in the archive twice")
	}
	if c.names += len(name); len(c.seen) >= maxEntries || c.names > maxNames {
		return fmt.Errorf("more than %d entries, or their names are longer than %d bytes together", maxEntries, maxNames)
	}
	c.seen[name] = h.Typeflag
	switch {
	case name == ManifestFile:
		return c.readManifest(h, r)
	case name == RootFS && h.Typeflag != tar.TypeDir:
		return errors.New("rootfs is not a folder")
	case name == RootFS:
		return nil
	case !strings.HasPrefix(name, RootFS+"/"):
		return errors.New(`only "manifest" and "rootfs/" may be in it`)
	}
	return c.inRootFS(h)
}

func (c *checker) inRootFS(h *tar.Header) error {
	switch h.Typeflag {
	//lint:ignore SA1019 old archives have RegA
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse:
		if h.Size < 0 {
			return errors.New("negative size")
		}
	case tar.TypeDir, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	case tar.TypeLink:
		target, err := archive.CleanName(h.Linkname)
		if err != nil {
			return fmt.Errorf("hard link target %q: %w", h.Linkname, err)
		}
		if !strings.HasPrefix(target, RootFS+"/") {
			return fmt.Errorf("hard link to %q, outside rootfs", h.Linkname)
		}
	default:
		return fmt.Errorf("unsupported entry type %q", h.Typeflag)
	}
	return nil
}

func (c *checker) readManifest(h *tar.Header, r io.Reader) error {
	//lint:ignore SA1019 old archives have RegA
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeRegA {
		return errors.New("manifest is not a regular file")
	}
	if h.Size > maxManifest {
		return fmt.Errorf("manifest is larger than %d bytes", maxManifest)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, r); err != nil {
		return fmt.Errorf("truncated: %w", err)
	}
	c.manifest = b.Bytes()
	return nil
}

func (c *checker) finish() (*schema.ImageManifest, error) {
	switch {
	case len(c.seen) == 0:
		return nil, errors.New("not an App Container image: the archive is empty")
	case c.manifest == nil:
		return nil, errors.New(`not an App Container image: no "manifest" in it`)
	case c.seen[RootFS] != tar.TypeDir:
		return nil, errors.New(`not an App Container image: no "rootfs" folder in it`)
	}
	return ParseManifest(c.manifest)
}

// Peek reads the manifest of an image archive in any compression, without
// checking the rest.
func Peek(r io.Reader) (*schema.ImageManifest, error) {
	z, err := archive.Decompress(r)
	if err != nil {
		return nil, fmt.Errorf("not an App Container image: %w", err)
	}
	defer z.Close()
	c := &checker{}
	tr := tar.NewReader(z)
	for before := 0; ; before++ { // nothing is kept of them: no signature has been looked at
		h, err := tr.Next()
		if err == io.EOF {
			return nil, errors.New(`not an App Container image: no "manifest" in it`)
		}
		if err != nil {
			return nil, notACI(err, before)
		}
		name, err := archive.CleanName(h.Name)
		if err != nil {
			return nil, fmt.Errorf("not an App Container image: entry %q: %w", h.Name, err)
		}
		if name != ManifestFile {
			continue
		}
		if err := c.readManifest(h, tr); err != nil {
			return nil, fmt.Errorf("not an App Container image: entry %q: %w", h.Name, err)
		}
		return ParseManifest(c.manifest)
	}
}

// InRootFS maps names of an image archive to those inside its rootfs; for
// archive.ApplyOptions.Map.
func InRootFS(name string) (string, bool) {
	if name == RootFS {
		return ".", true
	}
	return strings.CutPrefix(name, RootFS+"/")
}
