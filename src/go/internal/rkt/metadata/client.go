package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

func client(socket string) *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			},
			DisableCompression: true,
		},
	}
}

func call(ctx context.Context, socket, method, uuid string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://metadata/pods/"+uuid, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	c := client(socket)
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return text, err
}

// Register tells the service of a pod and returns the key that signs for the pod.
func Register(ctx context.Context, socket string, r Registration) (key []byte, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("metadata service: %w", err)
	}
	key, err = call(ctx, socket, http.MethodPut, r.UUID, data)
	if err != nil {
		return nil, fmt.Errorf("metadata service at %s: %w (is rkt-metadata.socket active?)", socket, err)
	}
	return key, nil
}

// Unregister makes the service forget a pod; a service that does not run knows none.
func Unregister(socket, uuid string) error {
	_, err := call(context.Background(), socket, http.MethodDelete, uuid, nil)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("metadata service: %w", err)
	}
	return nil
}

// What a pod may take of its supervisor: connections, forms that are being read
// at once, how long another one waits for its turn, and time for each request.
const (
	maxConnections = 64
	maxForms       = 4
	formPatience   = 2 * time.Second
	requestTime    = 10 * time.Second
)

// PodServer is an HTTP server for a handler of ForPod, bounded in what the pod
// may make of it; serve it on Bounded of a listener.
func PodServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: requestTime, ReadTimeout: requestTime,
		WriteTimeout: 2 * requestTime, IdleTimeout: requestTime}
}

// Bounded accepts a connection when fewer than maxConnections are open.
func Bounded(l net.Listener) net.Listener {
	return &boundedListener{Listener: l, open: make(chan struct{}, maxConnections), closed: make(chan struct{})}
}

type boundedListener struct {
	net.Listener
	open   chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.open })}, nil
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// ForPod is what a pod sees: below /TOKEN the specified requests and nothing
// else. What is the pod's own is answered at once; signatures of other pods are
// verified by the service, which alone has the key to all.
func ForPod(socket string, r Registration, key []byte) (http.Handler, error) {
	e, err := check(r)
	if err != nil {
		return nil, fmt.Errorf("metadata of the pod: %w", err)
	}
	own := http.NewServeMux()
	for path, f := range static {
		own.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { f(e, w, r) })
	}
	c := client(socket)
	own.HandleFunc("POST "+apiBase+"/pod/hmac/sign", func(w http.ResponseWriter, q *http.Request) { signWith(key, w, q) })
	own.HandleFunc("POST "+apiBase+"/pod/hmac/verify", func(w http.ResponseWriter, q *http.Request) {
		switch {
		case !form(w, q, "content", "uuid", "signature"):
		case strings.EqualFold(q.PostForm.Get("uuid"), r.UUID):
			verifyWith(key, w, q)
		default:
			forward(c, r.Token, w, q)
		}
	})
	forms := make(chan struct{}, maxForms)
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodPost {
			select {
			case forms <- struct{}{}:
				defer func() { <-forms }()
			case <-q.Context().Done():
				return
			case <-time.After(formPatience):
				w.Header().Set("Retry-After", "1")
				http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
				return
			}
		}
		given, rest, ok := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
		if !ok || !sameToken(given, r.Token) {
			http.NotFound(w, q)
			return
		}
		inner := q.Clone(q.Context())
		inner.URL.Path, inner.URL.RawPath = "/"+rest, ""
		own.ServeHTTP(w, inner)
	}), nil
}

// forward hands a parsed form to the service with the pod's token.
func forward(c *http.Client, token string, w http.ResponseWriter, q *http.Request) {
	req, err := http.NewRequestWithContext(q.Context(), http.MethodPost, "http://metadata"+q.URL.Path, strings.NewReader(q.PostForm.Encode()))
	if err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set(tokenHeader, token)
	resp, err := c.Do(req)
	if err != nil {
		http.Error(w, "the metadata service does not answer", http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.Header()["Content-Type"] = resp.Header["Content-Type"]
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}
