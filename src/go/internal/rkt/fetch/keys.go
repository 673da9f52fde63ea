package fetch

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"

	"photonbuild.invalid/compat/internal/rkt/trust"
)

// PublicKeys reads OpenPGP public keys from a file or a URL; http:// only when
// it is allowed.
func (f Fetcher) PublicKeys(ctx context.Context, location string, allowHTTP bool) (openpgp.EntityList, error) {
	if !strings.Contains(location, "://") || strings.HasPrefix(location, "file://") {
		r, err := os.Open(strings.TrimPrefix(location, "file://"))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		keys, err := trust.ParseKeys(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", location, err)
		}
		return keys, nil
	}
	if strings.HasPrefix(location, "http://") && !allowHTTP {
		return nil, hinted(fmt.Errorf("key %s: plain http is not allowed for keys", location), "use https, or rkt trust --insecure-allow-http")
	}
	client := &http.Client{Transport: f.transport(f.Insecure.TLS && f.Insecure.PubKey, allowHTTP), CheckRedirect: f.redirect}
	res, err := f.get(ctx, client, location, "")
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", location, err)
	}
	defer res.Body.Close()
	keys, err := trust.ParseKeys(res.Body)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", location, err)
	}
	return keys, nil
}
