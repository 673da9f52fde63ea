package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/rkt/aci"
	"photonbuild.invalid/compat/internal/rkt/store"
	"photonbuild.invalid/compat/internal/rkt/trust"
)

// expect is what is known of an image before it is fetched.
type expect struct {
	name     types.ACIdentifier            // "" when any will do
	labels   map[types.ACIdentifier]string // must be in the manifest
	defaults map[types.ACIdentifier]string // must not be different in it
	latest   bool                          // no version was named
	size     int64                         // of the file as it is served, 0 when unknown
}

// match holds a manifest to what was asked for (discovery.md, "Validation").
func (e expect) match(m *schema.ImageManifest) error {
	if e.name == "" {
		return nil
	}
	if m.Name != e.name {
		return fmt.Errorf("the image is named %q, not %q", m.Name, e.name)
	}
	for k, want := range e.labels {
		got, ok := m.Labels.Get(string(k))
		if !ok {
			return fmt.Errorf("the image has no label %q, which should be %q", k, want)
		}
		if got != want {
			return fmt.Errorf("the image has label %s=%s, not %s=%s", k, got, k, want)
		}
	}
	for k, want := range e.defaults {
		if got, ok := m.Labels.Get(string(k)); ok && got != want {
			return fmt.Errorf("the image is for %s=%s, not for %s=%s", k, got, k, want)
		}
	}
	return nil
}

// accept verifies a fetched image file and stores it. sig opens its signature;
// it is not called when signatures are switched off.
func (f Fetcher) accept(ctx context.Context, img *os.File, e expect, sig func() (io.ReadCloser, error)) (string, error) {
	m, err := peek(img)
	if err != nil {
		return "", err
	}
	if err := e.match(m); err != nil {
		return "", err
	}
	if f.Insecure.Image {
		f.logf("warning: image signature verification has been disabled")
	} else if err := f.verify(img, m.Name, sig); err != nil {
		return "", err
	}
	if _, err := img.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return f.put(ctx, img, e.latest)
}

func peek(img *os.File) (*schema.ImageManifest, error) {
	if _, err := img.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return aci.Peek(img)
}

func (f Fetcher) verify(img *os.File, name types.ACIdentifier, sig func() (io.ReadCloser, error)) error {
	r, err := sig()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := img.Seek(0, io.SeekStart); err != nil {
		return err
	}
	signer, err := f.keystore().Verify(name, img, r)
	var untrusted *trust.UntrustedError
	if errors.As(err, &untrusted) {
		return hinted(err, fmt.Sprintf("rkt trust --prefix=%s accepts a key; --insecure-options=image skips the signature", name))
	}
	if err != nil {
		return err
	}
	f.logf("signature verified:")
	for _, who := range trust.Identities(signer) {
		f.logf("  %s", who)
	}
	return nil
}

// file takes an image file. It is copied first, so that what is verified is
// what is stored.
func (f Fetcher) file(ctx context.Context, path string) (string, error) {
	src, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer src.Close()
	if st, err := src.Stat(); err != nil || !st.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("%s is not a regular file", path))
	}
	img, err := f.Store.TempFile()
	if err != nil {
		return "", err
	}
	defer img.Close()
	if _, err := io.Copy(img, src); err != nil {
		return "", fmt.Errorf("copy %s: %w", path, err)
	}
	return f.accept(ctx, img, expect{}, func() (io.ReadCloser, error) {
		if f.Signature != "" {
			return openSignature(f.Signature)
		}
		return openSignature(path + ".asc")
	})
}

func openSignature(path string) (io.ReadCloser, error) {
	r, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, hinted(fmt.Errorf("no signature: there is no file %s", path),
			"--signature=FILE names it; --insecure-options=image skips the signature")
	}
	return r, err
}

// dependency makes an image that another needs be in the store.
func (f Fetcher) dependency(ctx context.Context, d types.Dependency) (string, error) {
	if f.Policy != Update || d.ImageID != nil {
		id, err := f.Store.FindDependency(d)
		var missing *store.NotFoundError
		if err == nil || !errors.As(err, &missing) || f.Policy == Never {
			return id, err
		}
	}
	f.Signature = "" // it is of the image that was asked for
	id, err := f.discover(ctx, app{name: d.ImageName, labels: d.Labels.ToMap()}, int64(d.Size))
	if err != nil {
		return "", fmt.Errorf("dependency %s: %w", d.ImageName, err)
	}
	m, err := f.Store.Manifest(id)
	if err != nil {
		return "", err
	}
	return id, store.MatchDependency(d, id, m)
}
