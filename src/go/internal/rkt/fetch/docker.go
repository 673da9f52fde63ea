package fetch

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"photonbuild.invalid/compat/internal/kit/image"
	"photonbuild.invalid/compat/internal/rkt/aci"
	"photonbuild.invalid/compat/internal/rkt/store"
)

// docker fetches a Docker or OCI image and converts it.
func (f Fetcher) docker(ctx context.Context, s string) (string, error) {
	ref, err := image.Parse(s)
	if err != nil {
		return "", err
	}
	local := ref.Transport != image.Docker
	old, known, err := f.Store.Remote(ref.String())
	if err != nil {
		return "", err
	}
	switch {
	case known && !local && f.Policy != Update:
		f.logf("using image from local store for %s", s)
		return old.ID, nil
	case !local && f.Policy == Never:
		return "", &store.NotFoundError{What: "image " + s}
	case !f.Insecure.Image:
		//lint:ignore ST1005 a name
		return "", hinted(errors.New("Docker and OCI images do not support signature verification"),
			"--insecure-options=image takes them as they are")
	}
	f.logf("fetching image from %s", s)
	f.logf("warning: image signature verification has been disabled")
	o := image.FetchOptions{Insecure: f.Insecure.HTTP, InsecureTLS: f.Insecure.TLS}
	if f.Config != nil {
		o.Auth = f.Config
	}
	img, err := image.Fetch(ctx, ref, o)
	if errors.Is(err, image.ErrPlainHTTP) {
		return "", hinted(err, "--insecure-options=http allows it")
	}
	if err != nil {
		return "", err
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	if known && old.ETag == digest.String() {
		f.logf("using image from local store for %s: it has not changed", s)
		return old.ID, nil
	}
	id, err := f.convert(ctx, img, ref)
	if err != nil {
		return "", err
	}
	return id, f.Store.SetRemote(store.Remote{URL: ref.String(), ID: id, ETag: digest.String(), Fetched: time.Now()})
}

// convert makes an App Container image and stores it.
func (f Fetcher) convert(ctx context.Context, img v1.Image, ref image.Reference) (string, error) {
	src := source(ref)
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(aci.Convert(ctx, img, src, f.Store.Tmp(), pw)) }()
	id, err := f.put(ctx, pr, src.Version == "" || src.Version == "latest")
	pr.CloseWithError(err)
	return id, err
}

// source names an image; the same image of one name is the same App Container
// image wherever it lies on disk.
func source(ref image.Reference) aci.Source {
	if ref.Transport == image.Docker {
		src := dockerSource(ref.Registry(), ref.Repository(), ref.Ref)
		src.Original = ref.String()
		return src
	}
	if registry, repository, tag, ok := ref.StoredName(); ok {
		return dockerSource(registry, repository, tag)
	}
	base := filepath.Base(filepath.Clean(ref.Path))
	return aci.Source{Name: strings.TrimSuffix(base, ".tar"), Version: ref.Ref}
}

func dockerSource(registry, repository, version string) aci.Source {
	return aci.Source{Name: registry + "/" + repository, Version: version, Registry: registry, Repository: repository}
}
