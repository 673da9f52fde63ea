package image

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// platform is what this program runs.
var platform = v1.Platform{OS: "linux", Architecture: "amd64"}

// FetchOptions of Fetch. The zero value is the safe one.
type FetchOptions struct {
	Insecure    bool           // plain http to the registry is allowed
	InsecureTLS bool           // any certificate is accepted
	Auth        authn.Keychain // nil: anonymous
}

// ErrPlainHTTP is in the chain when a registry is to be reached without TLS
// and FetchOptions.Insecure is false.
var ErrPlainHTTP = errors.New("refused to use plain http")

// Fetch finds the image; its layers are read later, when they are asked for.
// The linux/amd64 image is picked out of an index; an image for another
// platform is an error. Manifest and configuration are checked against their
// digests here, layers by Store.Add and Flatten.
func Fetch(ctx context.Context, ref Reference, o FetchOptions) (v1.Image, error) {
	var (
		img v1.Image
		err error
	)
	switch ref.Transport {
	case Docker:
		img, err = fetchRemote(ctx, ref, o)
	case OCILayout:
		img, err = openLayout(ref)
	case DockerArchive:
		img, err = openArchive(ref)
	default:
		err = fmt.Errorf("unknown transport %q", ref.Transport)
	}
	if err == nil {
		err = check(img)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	return img, nil
}

func fetchRemote(ctx context.Context, ref Reference, o FetchOptions) (v1.Image, error) {
	r := ref.remote
	if o.Insecure {
		var err error
		if r, err = name.ParseReference(r.Name(), name.Insecure); err != nil {
			return nil, err
		}
	}
	opts := []remote.Option{
		remote.WithContext(ctx), remote.WithPlatform(platform), remote.WithTransport(transport(o)),
		remote.WithUserAgent("photonbuild-compat"),
	}
	if o.Auth != nil {
		opts = append(opts, remote.WithAuthFromKeychain(o.Auth))
	}
	return remote.Image(r, opts...)
}

// transport keeps the registry client, which tries http for local addresses by
// itself, to https unless http was asked for.
func transport(o FetchOptions) http.RoundTripper {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	if o.InsecureTLS {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for by the user
	}
	if o.Insecure {
		return t
	}
	return httpsOnly{t}
}

type httpsOnly struct{ next http.RoundTripper }

func (h httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w for %s", ErrPlainHTTP, r.URL.Host)
	}
	return h.next.RoundTrip(r)
}
