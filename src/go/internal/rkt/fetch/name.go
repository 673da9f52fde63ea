package fetch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/appc/spec/discovery"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/rkt/aci"
	"photonbuild.invalid/compat/internal/rkt/store"
	"photonbuild.invalid/compat/internal/rkt/trust"
)

// app is an image name with the labels that were given.
type app struct {
	name   types.ACIdentifier
	labels map[types.ACIdentifier]string
}

// ParseName reads "NAME[:VERSION][,LABEL=VALUE]…".
func ParseName(s string) (*discovery.App, error) {
	a, err := discovery.NewAppFromString(s)
	if err != nil {
		return nil, err
	}
	if err := aci.CheckName(a.Name); err != nil {
		return nil, err
	}
	return a, nil
}

// named fetches an image by its App Container image name.
func (f Fetcher) named(ctx context.Context, ref string) (string, error) {
	parsed, err := ParseName(ref)
	if err != nil {
		return "", err
	}
	a := app{parsed.Name, parsed.Labels}
	if f.Policy != Update {
		id, err := f.Store.Find(a.name, a.labels)
		var missing *store.NotFoundError
		if err == nil {
			f.logf("using image from local store for image name %s", ref)
			return id, nil
		}
		if !errors.As(err, &missing) || f.Policy == Never {
			return "", err
		}
	}
	return f.discover(ctx, a, 0)
}

// discover finds where an image is served and fetches it from there
// (discovery.md). Without labels os and arch, those of this system are used.
func (f Fetcher) discover(ctx context.Context, a app, size int64) (string, error) {
	os, arch, err := types.ToAppcOSArch(runtime.GOOS, runtime.GOARCH, "")
	if err != nil {
		return "", err
	}
	e := expect{name: a.name, labels: a.labels, defaults: map[types.ACIdentifier]string{}, size: size}
	labels := maps.Clone(a.labels)
	if labels == nil {
		labels = map[types.ACIdentifier]string{}
	}
	for k, v := range map[types.ACIdentifier]string{"os": os, "arch": arch} {
		if labels[k] == "" {
			labels[k], e.defaults[k] = v, v
		}
	}
	e.latest = a.labels["version"] == ""
	f.logf("searching for app image %s", a.name)
	endpoints, err := f.endpoints(discovery.App{Name: a.name, Labels: labels})
	if err != nil {
		return "", err
	}
	if f.TrustKeysFromHTTPS && !f.Insecure.Image {
		if err := f.trustDiscovered(ctx, a.name); err != nil {
			return "", err
		}
	}
	return f.firstOf(ctx, endpoints, e)
}

// firstOf fetches from the first endpoint that works; templates with schemes
// that are not supported are passed over.
func (f Fetcher) firstOf(ctx context.Context, endpoints discovery.ACIEndpoints, e expect) (string, error) {
	var errs []error
	for _, p := range endpoints {
		if !strings.HasPrefix(p.ACI, "https://") && !strings.HasPrefix(p.ACI, "http://") {
			continue
		}
		id, err := f.url(ctx, p.ACI, e)
		if err == nil || ctx.Err() != nil {
			return id, err
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.ACI, err))
	}
	if len(errs) == 0 {
		return "", fmt.Errorf("discovery of %s gave no https:// address", e.name)
	}
	return "", errors.Join(errs...)
}

// discoveryLock guards the discovery library's clients, which are global.
var discoveryLock sync.Mutex

// withDiscovery readies the library's clients and passes the options on.
func (f Fetcher) withDiscovery(insecureTLS, allowHTTP bool, do func(discovery.InsecureOption)) {
	discoveryLock.Lock()
	defer discoveryLock.Unlock()
	t := f.transport(insecureTLS, allowHTTP)
	t.maxBody = maxPage
	option := discovery.InsecureNone
	if insecureTLS {
		option |= discovery.InsecureTLS
	}
	if allowHTTP {
		option |= discovery.InsecureHTTP
	}
	for _, c := range []*http.Client{discovery.Client, discovery.ClientInsecureTLS} {
		c.Transport, c.Timeout, c.CheckRedirect = t, discoveryTimeout, f.redirect
	}
	do(option)
}

func (f Fetcher) endpoints(a discovery.App) (list discovery.ACIEndpoints, err error) {
	f.withDiscovery(f.Insecure.TLS, f.Insecure.HTTP, func(o discovery.InsecureOption) {
		var attempts []discovery.FailedAttempt
		list, attempts, err = discovery.DiscoverACIEndpoints(a, f.Config.Headers(), o, 0)
		if err != nil || len(list) == 0 {
			err = discoveryError("image", a.Name, attempts)
		}
	})
	return list, err
}

func discoveryError(what string, name types.ACIdentifier, attempts []discovery.FailedAttempt) error {
	var b strings.Builder
	fmt.Fprintf(&b, "discovery of %s %s found nothing", what, name)
	for _, a := range attempts {
		fmt.Fprintf(&b, "\n  https://%s?ac-discovery=1: %v", a.Prefix, a.Error)
	}
	return errors.New(b.String())
}

// PublicKeyURLs finds where the keys for images below prefix are served
// (discovery.md, "ac-discovery-pubkeys").
func PublicKeyURLs(prefix types.ACIdentifier, f Fetcher, allowHTTP bool) (urls []string, err error) {
	f.withDiscovery(f.Insecure.TLS && f.Insecure.PubKey, allowHTTP, func(o discovery.InsecureOption) {
		keys, attempts, derr := discovery.DiscoverPublicKeys(discovery.App{Name: prefix}, f.Config.Headers(), o, 0)
		if urls = keys; derr != nil || len(keys) == 0 {
			err = discoveryError("public keys for", prefix, attempts)
		}
	})
	return slices.Compact(urls), err
}

// trustDiscovered trusts, for a name, the keys that its owner publishes. Where
// something is said of the name's keys already nothing is added, as in rkt.
func (f Fetcher) trustDiscovered(ctx context.Context, name types.ACIdentifier) error {
	keys := f.keystore()
	if known, err := keys.Known(name); err != nil || known {
		f.logf("keys for %s are in the key store, others are not looked for", name)
		return err
	}
	allowHTTP := f.Insecure.HTTP && f.Insecure.PubKey
	urls, err := PublicKeyURLs(name, f, allowHTTP)
	if err != nil {
		f.logf("warning: %v", err)
		return nil
	}
	for _, u := range urls {
		published, err := f.PublicKeys(ctx, u, allowHTTP)
		if err != nil {
			return err
		}
		for _, k := range published {
			disabled, err := keys.Disabled(name, trust.Fingerprint(k))
			if err != nil {
				return err
			}
			if disabled {
				f.logf("warning: key %s from %s is disabled in the key store", trust.Fingerprint(k), u)
				continue
			}
			path, err := trust.Add(f.KeyDir, name, k)
			if err != nil {
				return err
			}
			f.logf("trusting key %s from %s for %s (%s)", trust.Fingerprint(k), u, name, path)
		}
	}
	return nil
}

func (f Fetcher) keystore() *trust.Keystore {
	if f.Keys == nil {
		return &trust.Keystore{}
	}
	return f.Keys
}

// discoveryTimeout bounds one discovery request.
const discoveryTimeout = 60 * time.Second
