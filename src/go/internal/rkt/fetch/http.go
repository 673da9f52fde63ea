package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"photonbuild.invalid/compat/internal/rkt/store"
	"photonbuild.invalid/compat/internal/rkt/trust"
)

// maxPage bounds what is read of a discovery page, in bytes.
const maxPage = 4 << 20

// transport reaches servers; plain http only when it is allowed, redirects too.
func (f Fetcher) transport(insecureTLS, allowHTTP bool) *guard {
	t := f.Transport
	if t == nil {
		t = http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = (&net.Dialer{Timeout: 20 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	t = t.Clone()
	t.TLSHandshakeTimeout = 20 * time.Second
	t.ResponseHeaderTimeout = time.Minute
	if insecureTLS {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // --insecure-options=tls
	}
	return &guard{next: t, allowHTTP: allowHTTP}
}

// guard refuses plain http.
type guard struct {
	next      http.RoundTripper
	allowHTTP bool
	maxBody   int64 // 0 means no limit
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !(g.allowHTTP && r.URL.Scheme == "http") {
		return nil, fmt.Errorf("refused to use %s: without TLS (--insecure-options=http allows http)", r.URL.Redacted())
	}
	res, err := g.next.RoundTrip(r)
	if err == nil && g.maxBody > 0 {
		res.Body = &limitedBody{io.LimitReader(res.Body, g.maxBody), res.Body}
	}
	return res, err
}

type limitedBody struct {
	io.Reader
	io.Closer
}

// get asks for a URL; the caller closes the body. Any answer but 200 and 304
// is an error.
func (f Fetcher) get(ctx context.Context, client *http.Client, rawURL, etag string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "rkt-compat")
	req.Header.Set("Accept-Encoding", "identity") // the file as it was signed
	if a := f.Config.Authorization(req.URL.Host); a != "" {
		req.Header.Set("Authorization", a)
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	switch {
	case res.StatusCode == http.StatusOK:
		return res, nil
	case res.StatusCode == http.StatusNotModified && etag != "":
		return res, nil
	}
	res.Body.Close()
	err = fmt.Errorf("GET %s: %s", req.URL.Redacted(), res.Status)
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		err = hinted(err, "credentials for "+req.URL.Host+" go into a file of /etc/rkt/auth.d")
	}
	return nil, err
}

func (f Fetcher) client() *http.Client {
	return &http.Client{Transport: f.transport(f.Insecure.TLS, f.Insecure.HTTP), CheckRedirect: f.redirect}
}

// maxRedirects is what Go's client allows too.
const maxRedirects = 10

// redirect gives a redirected request the credentials of its own host and no
// others; Go's client would pass them on to subdomains.
func (f Fetcher) redirect(r *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	r.Header.Del("Authorization")
	if a := f.Config.Authorization(r.URL.Host); a != "" {
		r.Header.Set("Authorization", a)
	}
	return nil
}

// url fetches an image from a URL.
func (f Fetcher) url(ctx context.Context, rawURL string, e expect) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", err
	}
	if u.Scheme == "http" && !f.Insecure.HTTP {
		return "", hinted(errors.New("plain http is not allowed"), "use https, or --insecure-options=http")
	}
	old, known, err := f.Store.Remote(rawURL)
	if err != nil {
		return "", err
	}
	switch {
	case known && (f.Policy != Update || old.Fresh(time.Now())):
		return f.known(old, e)
	case f.Policy == Never:
		return "", &store.NotFoundError{What: "an image from " + rawURL}
	}
	return f.download(ctx, u, rawURL, old, e)
}

// known uses an image that a URL gave before.
func (f Fetcher) known(r store.Remote, e expect) (string, error) {
	m, err := f.Store.Manifest(r.ID)
	if err != nil {
		return "", err
	}
	f.logf("using image from local store for %s", r.URL)
	return r.ID, e.match(m)
}

func (f Fetcher) download(ctx context.Context, u *url.URL, rawURL string, old store.Remote, e expect) (string, error) {
	client := f.client()
	sig, err := f.downloadSignature(ctx, client, u)
	if err != nil {
		return "", err
	}
	f.logf("fetching image from %s", u.Redacted())
	res, err := f.get(ctx, client, rawURL, old.ETag)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	record := store.Remote{URL: rawURL, ETag: res.Header.Get("ETag"), MaxAge: maxAge(res.Header), Fetched: time.Now()}
	if res.StatusCode == http.StatusNotModified {
		record.ID, record.ETag = old.ID, old.ETag
		if err := f.Store.SetRemote(record); err != nil {
			return "", err
		}
		return f.known(record, e)
	}
	img, err := f.spool(res, e.size)
	if err != nil {
		return "", err
	}
	defer img.Close()
	record.ID, err = f.accept(ctx, img, e, func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(sig)), nil
	})
	if err != nil {
		return "", err
	}
	return record.ID, f.Store.SetRemote(record)
}

// downloadSignature gets the signature first: it is small, and without it the
// image is of no use.
func (f Fetcher) downloadSignature(ctx context.Context, client *http.Client, u *url.URL) (string, error) {
	switch {
	case f.Insecure.Image:
		return "", nil
	case f.Signature != "":
		data, err := os.ReadFile(f.Signature)
		return string(data), err
	}
	asc := *u
	asc.Path += ".asc"
	asc.RawPath = ""
	f.logf("downloading signature from %s", asc.Redacted())
	res, err := f.get(ctx, client, asc.String(), "")
	if err != nil {
		return "", hinted(fmt.Errorf("no signature: %w", err), "--insecure-options=image skips the signature")
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, trust.MaxSignature))
	if err != nil {
		return "", fmt.Errorf("download the signature: %w", err)
	}
	return string(data), trust.CheckSignature(data)
}

// spool stores an answer in a file; size, when it is not 0, must be its size.
func (f Fetcher) spool(res *http.Response, size int64) (*os.File, error) {
	if size > 0 && res.ContentLength >= 0 && res.ContentLength != size {
		return nil, fmt.Errorf("the image has %d bytes, but should have %d", res.ContentLength, size)
	}
	img, err := f.Store.TempFile()
	if err != nil {
		return nil, err
	}
	var body io.Reader = res.Body
	if size > 0 {
		body = io.LimitReader(body, size+1)
	}
	n, err := io.Copy(img, body)
	switch {
	case err != nil:
		err = fmt.Errorf("download: %w", err)
	case size > 0 && n > size:
		err = fmt.Errorf("the image has more bytes than it should have (%d)", size)
	case size > 0 && n < size:
		err = fmt.Errorf("the image has %d bytes, but should have %d", n, size)
	case res.ContentLength >= 0 && n != res.ContentLength:
		err = fmt.Errorf("download: %d of %d bytes came", n, res.ContentLength)
	}
	if err != nil {
		img.Close()
		return nil, err
	}
	return img, nil
}

// maxAge reads Cache-Control (RFC 9111, 5.2.2).
func maxAge(h http.Header) time.Duration {
	var age time.Duration
	for part := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(key) {
		case "no-cache", "no-store":
			return 0
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(n) * time.Second
			}
		}
	}
	return age
}
