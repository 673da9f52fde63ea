// Package fetch brings images into the store: by image ID, file, URL, App
// Container image name, and Docker or OCI reference.
//
// It follows the App Container specification 0.8.11 (discovery.md; aci.md,
// "Dependency Matching") and rkt's documentation (subcommands/fetch.md,
// image-fetching-behavior.md, commands.md "--insecure-options").
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"photonbuild.invalid/compat/internal/kit/image"
	"photonbuild.invalid/compat/internal/rkt/config"
	"photonbuild.invalid/compat/internal/rkt/store"
	"photonbuild.invalid/compat/internal/rkt/trust"
)

// Policy says when the network is asked (rkt's --pull-policy).
type Policy string

// The policies of rkt: never asks only the store, new asks the network for what
// the store does not have, update asks it first, with HTTP caching.
const (
	Never  Policy = "never"
	New    Policy = "new"
	Update Policy = "update"
)

// ParsePolicy reads the value of --pull-policy.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case Never, New, Update:
		return p, nil
	}
	return "", fmt.Errorf("unknown pull policy %q (never, new or update)", s)
}

// Insecure switches off checks, as rkt's --insecure-options does.
type Insecure struct {
	Image  bool // signatures
	TLS    bool // certificates
	HTTP   bool // plain http is allowed
	PubKey bool // keys may come over http or unverified TLS
}

// Kind is what an image reference is; Auto finds out.
type Kind int

// The kinds of references.
const (
	Auto Kind = iota
	ID
	File
	URL
	Name
	Docker // docker:, oci: or docker-archive:
)

// Fetcher brings images into Store. The zero values of the rest are the safe
// ones, with policy New.
type Fetcher struct {
	Store     *store.Store
	Keys      *trust.Keystore
	Config    *config.Config // credentials; nil means none
	Insecure  Insecure
	Policy    Policy
	Signature string // file with the signature of the image that is asked for

	// TrustKeysFromHTTPS: keys that discovery finds are trusted without
	// asking, and stored in KeyDir.
	TrustKeysFromHTTPS bool
	KeyDir             string

	Log       io.Writer       // progress and warnings; nil means none
	Transport *http.Transport // how servers are reached; nil means as usual
}

// maxDepth bounds chains of dependencies.
const maxDepth = 64

func (f Fetcher) logf(format string, args ...any) {
	if f.Log != nil {
		fmt.Fprintf(f.Log, "rkt: "+format+"\n", args...)
	}
}

// Image makes the image that ref names, and its dependencies, be in the store
// and returns its ID. ref is what "rkt fetch" and "rkt run" take: an image ID
// or a prefix of one; a file; a URL https:, http: (with Insecure.HTTP) or
// file:; a name with labels ("example.com/app:v1,os=linux"); docker://…,
// oci:PATH, docker-archive:PATH.
func (f Fetcher) Image(ctx context.Context, ref string, kind Kind) (id string, err error) {
	if f.Policy == "" {
		f.Policy = New
	}
	if kind == Auto {
		if kind, err = Classify(ref); err != nil {
			return "", err
		}
	}
	if f.Signature != "" && (kind == ID || kind == Docker) {
		return "", fmt.Errorf("image %s: a signature file can only be given for an image file, URL or name", ref)
	}
	switch kind {
	case ID:
		id, err = f.Store.Resolve(ref)
		var missing *store.NotFoundError
		if errors.As(err, &missing) {
			err = hinted(err, "rkt fetch takes an image's name, URL or file; rkt image list shows the IDs that there are")
		}
	case File:
		id, err = f.file(ctx, strings.TrimPrefix(ref, "file://"))
	case URL:
		id, err = f.url(ctx, ref, expect{})
	case Name:
		id, err = f.named(ctx, ref)
	case Docker:
		id, err = f.docker(ctx, ref)
	default:
		err = fmt.Errorf("unknown kind %d of image reference", kind)
	}
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", ref, err)
	}
	if err := f.dependencies(ctx, id, nil); err != nil {
		return "", fmt.Errorf("fetch %s: %w", ref, err)
	}
	return id, f.Store.Touch(id)
}

// Classify says what kind of reference s is (rkt's devel/distribution-point.md,
// "User-friendly distribution strings"). A name for which there is a file in
// the current folder is that file.
func Classify(s string) (Kind, error) {
	scheme, _, hasColon := strings.Cut(s, ":")
	switch {
	case s == "":
		return Auto, errors.New("no image given")
	case strings.HasPrefix(s, "sha512-"):
		return ID, nil
	case image.IsImage(s):
		return Docker, nil
	case strings.HasPrefix(s, "https://"), strings.HasPrefix(s, "http://"):
		return URL, nil
	case strings.HasPrefix(s, "file://"):
		return File, nil
	case hasColon && scheme == "cimd":
		return Auto, hinted(fmt.Errorf("image %q: distribution URIs (cimd:) are not supported", s),
			"give the image's name, its https:// URL, docker://NAME, or a file")
	case strings.Contains(s, "://"):
		return Auto, hinted(fmt.Errorf("image %q: unsupported scheme %q", s, scheme),
			"use https://, docker://, oci:, docker-archive:, a file or an image name")
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"):
		return File, nil
	}
	if st, err := os.Stat(s); err == nil && st.Mode().IsRegular() {
		return File, nil
	}
	if _, err := ParseName(s); err != nil {
		if strings.HasSuffix(s, ".aci") {
			return File, nil
		}
		return Auto, fmt.Errorf("%q is neither an image name nor a file: %w", s, err)
	}
	return Name, nil
}

// dependencies fetches what an image needs, depth first.
func (f Fetcher) dependencies(ctx context.Context, id string, above []string) error {
	if len(above) > maxDepth {
		return fmt.Errorf("dependencies are nested deeper than %d", maxDepth)
	}
	for _, a := range above {
		if a == id {
			return fmt.Errorf("dependency loop: %s", strings.Join(append(above, id), " needs "))
		}
	}
	m, err := f.Store.Manifest(id)
	if err != nil {
		return err
	}
	for _, d := range m.Dependencies {
		depID, err := f.dependency(ctx, d)
		if err != nil {
			return fmt.Errorf("image %s (%s): %w", m.Name, shortID(id), err)
		}
		if err := f.dependencies(ctx, depID, append(above[:len(above):len(above)], id)); err != nil {
			return err
		}
	}
	return nil
}

func shortID(id string) string { return id[:min(len(id), len("sha512-")+12)] }

// hinted puts what to do next behind an error.
func hinted(err error, hint string) error { return &hintError{err, hint} }

type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() + "\n\nhint: " + e.hint }

func (e *hintError) Unwrap() error { return e.err }

// put stores an image of which the manifest has been looked at.
func (f Fetcher) put(ctx context.Context, r io.Reader, latest bool) (string, error) {
	if latest {
		return f.Store.PutLatest(ctx, r)
	}
	return f.Store.Put(ctx, r)
}
