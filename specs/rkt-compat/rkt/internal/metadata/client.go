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

func call(ctx context.Context, socket, method, uuid string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://metadata/pods/"+uuid, bytes.NewReader(body))
	if err != nil {
		return err
	}
	c := client(socket)
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// Register tells the service of a pod.
func Register(ctx context.Context, socket string, r Registration) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("metadata service: %w", err)
	}
	if err := call(ctx, socket, http.MethodPut, r.UUID, data); err != nil {
		return fmt.Errorf("metadata service at %s: %w (is rkt-metadata.socket active?)", socket, err)
	}
	return nil
}

// Unregister makes the service forget a pod; a service that does not run knows none.
func Unregister(socket, uuid string) error {
	err := call(context.Background(), socket, http.MethodDelete, uuid, nil)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("metadata service: %w", err)
	}
	return nil
}

// Proxy is what a pod sees: below /TOKEN the specified requests and nothing
// else, handed to the service with the token.
func Proxy(socket, token string) http.Handler {
	c := client(socket)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if !ok || !sameToken(given, token) || !strings.HasPrefix("/"+rest, apiBase+"/") || strings.Contains(rest, "..") {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			http.Error(w, "only GET and POST", http.StatusMethodNotAllowed)
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://metadata/"+rest, http.MaxBytesReader(w, r.Body, maxForm))
		if err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
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
	})
}
