// Package image fetches container images in Docker and OCI form and keeps
// their layers unpacked.
//
// It follows the OCI image specification 1.1 (manifest, index, layout,
// configuration, layer changesets), the OCI distribution specification 1.1
// through go-containerregistry, and the names of image transports in
// containers-transports(5).
package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Transport is where an image comes from.
type Transport string

// The transports of Parse.
const (
	Docker        Transport = "docker"
	OCILayout     Transport = "oci"
	DockerArchive Transport = "docker-archive"
)

// Reference names an image; Parse makes it.
type Reference struct {
	Transport Transport
	// Path of the layout or archive on disk; "" for Docker.
	Path string
	// Ref is the tag in a layout or archive, "" for the only one; for Docker
	// it is the tag or the digest.
	Ref string

	remote name.Reference
}

// IsImage says whether s begins like a reference that Parse reads.
func IsImage(s string) bool {
	for _, t := range []Transport{Docker, OCILayout, DockerArchive} {
		if strings.HasPrefix(s, string(t)+":") {
			return true
		}
	}
	return false
}

// Parse reads "docker://[registry/]name[:tag|@digest]", "docker:///name",
// "docker:name", "oci:/path[:ref]" and "docker-archive:/path[:ref]". Without a
// registry the name is of Docker Hub, without a tag the tag is "latest".
func Parse(s string) (Reference, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Reference{}, fmt.Errorf("image reference %q has no transport (hint: docker://NAME, oci:PATH or docker-archive:PATH)", s)
	}
	var (
		ref Reference
		err error
	)
	switch Transport(scheme) {
	case Docker:
		ref, err = parseDocker(rest)
	case OCILayout, DockerArchive:
		ref, err = parsePath(Transport(scheme), rest)
	default:
		err = fmt.Errorf("unknown transport %q (hint: docker, oci or docker-archive)", scheme)
	}
	if err != nil {
		return Reference{}, fmt.Errorf("image reference %q: %w", s, err)
	}
	return ref, nil
}

func parseDocker(s string) (Reference, error) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "//"), "/")
	if s == "" {
		return Reference{}, errors.New("no image name")
	}
	r, err := name.ParseReference(s, name.WithDefaultTag("latest"))
	if err != nil {
		return Reference{}, err
	}
	return Reference{Transport: Docker, Ref: r.Identifier(), remote: r}, nil
}

func parsePath(t Transport, s string) (Reference, error) {
	path, ref, _ := strings.Cut(strings.TrimPrefix(s, "//"), ":")
	if path == "" {
		return Reference{}, errors.New("no path")
	}
	if strings.HasPrefix(path, "//") {
		// Two at the beginning are no part of a path where String has written it.
		path = "/" + strings.TrimLeft(path, "/")
	}
	return Reference{Transport: t, Path: path, Ref: ref}, nil
}

// Registry is the host (and port) of a Docker reference, else "".
func (r Reference) Registry() string {
	if r.remote == nil {
		return ""
	}
	return r.remote.Context().RegistryStr()
}

// Repository is the name in the registry ("library/redis"), else "".
func (r Reference) Repository() string {
	if r.remote == nil {
		return ""
	}
	return r.remote.Context().RepositoryStr()
}

// String is the canonical form, which Parse reads.
func (r Reference) String() string {
	switch {
	case r.remote != nil:
		return "docker://" + r.remote.Name()
	case r.Ref != "":
		return string(r.Transport) + ":" + r.Path + ":" + r.Ref
	}
	return string(r.Transport) + ":" + r.Path
}
