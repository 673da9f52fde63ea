package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"photonbuild.invalid/compat/internal/kit/archive"
)

// refName is the annotation that names an image in a layout (OCI image
// specification, annotations.md).
const refName = "org.opencontainers.image.ref.name"

// fullName is containerd's annotation for the whole name of an image.
const fullName = "io.containerd.image.name"

// maxIndexDepth bounds indexes within indexes.
const maxIndexDepth = 4

func openLayout(ref Reference) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(ref.Path)
	if err != nil {
		return nil, fmt.Errorf("open the OCI layout: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read index.json: %w", err)
	}
	var found []v1.Descriptor
	for _, d := range manifest.Manifests {
		if ref.Ref == "" || d.Annotations[refName] == ref.Ref || d.Digest.String() == ref.Ref {
			found = append(found, d)
		}
	}
	return pick(index, found, 0)
}

// pick chooses the image for this platform among descriptors of an index.
func pick(index v1.ImageIndex, among []v1.Descriptor, depth int) (v1.Image, error) {
	if depth > maxIndexDepth {
		return nil, errors.New("indexes are nested too deeply")
	}
	var images []v1.Descriptor
	var others []string
	for _, d := range among {
		if d.Platform != nil && !d.Platform.Satisfies(platform) {
			others = append(others, d.Platform.String())
			continue
		}
		if d.MediaType.IsIndex() || d.MediaType.IsImage() {
			images = append(images, d)
		}
	}
	switch {
	case len(images) == 0 && len(others) > 0:
		return nil, fmt.Errorf("no image for %s (there are: %s)", platform, strings.Join(others, ", "))
	case len(images) == 0:
		return nil, errors.New("no such image in it")
	case len(images) > 1:
		return nil, fmt.Errorf("%d images match (hint: name one, PATH:REF)", len(images))
	}
	d := images[0]
	if d.MediaType.IsImage() {
		return index.Image(d.Digest)
	}
	sub, err := index.ImageIndex(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("read index %s: %w", d.Digest, err)
	}
	raw, err := sub.RawManifest()
	if err != nil {
		return nil, err
	}
	if err := sameDigest("index", d.Digest, raw); err != nil {
		return nil, err
	}
	manifest, err := sub.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read index %s: %w", d.Digest, err)
	}
	return pick(sub, manifest.Manifests, depth+1)
}

func openArchive(ref Reference) (v1.Image, error) {
	var tag *name.Tag
	if ref.Ref != "" {
		t, err := name.NewTag(ref.Ref)
		if err != nil {
			return nil, err
		}
		tag = &t
	}
	img, err := tarball.Image(func() (io.ReadCloser, error) { return openCompressed(ref.Path) }, tag)
	if err != nil {
		return nil, fmt.Errorf("open the docker archive: %w", err)
	}
	return img, nil
}

// openCompressed opens a file that may be compressed.
func openCompressed(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := archive.Decompress(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &readCloser{r, func() error { return errors.Join(r.Close(), f.Close()) }}, nil
}

type readCloser struct {
	io.Reader
	close func() error
}

func (r *readCloser) Close() error { return r.close() }

// check holds manifest, configuration and platform of an image to what they
// say of each other.
func check(img v1.Image) error {
	m, err := img.Manifest()
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if err := sameDigest("configuration", m.Config.Digest, raw); err != nil {
		return err
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("parse the configuration: %w", err)
	}
	if len(c.RootFS.DiffIDs) != len(m.Layers) {
		return fmt.Errorf("%d layers, but the configuration lists %d", len(m.Layers), len(c.RootFS.DiffIDs))
	}
	if (c.OS != "" && c.OS != platform.OS) || (c.Architecture != "" && c.Architecture != platform.Architecture) {
		return fmt.Errorf("it is for %s/%s, not for %s", c.OS, c.Architecture, platform)
	}
	return nil
}

// sameDigest compares what with its digest.
func sameDigest(what string, want v1.Hash, raw []byte) error {
	got, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s does not match its digest (is %s, should be %s)", what, got, want)
	}
	return nil
}

// StoredName is the registry, repository and tag that a docker archive, or a
// layout written by Docker or containerd, names the image by; ok is false for
// other transports and images without a name.
func (r Reference) StoredName() (registry, repository, tag string, ok bool) {
	full := ""
	switch r.Transport {
	case DockerArchive:
		full = r.archiveName()
	case OCILayout:
		full = r.layoutName()
	}
	t, err := name.NewTag(full)
	if full == "" || err != nil {
		return "", "", "", false
	}
	return t.RegistryStr(), t.RepositoryStr(), t.TagStr(), true
}

func (r Reference) archiveName() string {
	if r.Ref != "" {
		return r.Ref
	}
	m, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return openCompressed(r.Path) })
	if err != nil || len(m) != 1 || len(m[0].RepoTags) == 0 {
		return ""
	}
	return m[0].RepoTags[0]
}

func (r Reference) layoutName() string {
	index, err := layout.ImageIndexFromPath(r.Path)
	if err != nil {
		return ""
	}
	m, err := index.IndexManifest()
	if err != nil {
		return ""
	}
	for _, d := range m.Manifests {
		if r.Ref == "" || d.Annotations[refName] == r.Ref || d.Digest.String() == r.Ref {
			return d.Annotations[fullName]
		}
	}
	return ""
}
