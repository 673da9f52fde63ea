package store

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Remote is what a URL, or a docker:// or OCI reference, gave when it was
// fetched (RFC 9110 and RFC 9111 give the names their meaning).
type Remote struct {
	URL     string        `json:"url"`
	ID      string        `json:"id"`
	ETag    string        `json:"etag,omitempty"`
	MaxAge  time.Duration `json:"maxAge,omitempty"`
	Fetched time.Time     `json:"fetched"`
}

// Fresh says whether the answer may be used without asking the server again.
func (r *Remote) Fresh(now time.Time) bool {
	return r.MaxAge > 0 && now.Before(r.Fetched.Add(r.MaxAge))
}

func (s *Store) remoteFile(url string) string {
	return s.path("remote", fmt.Sprintf("%x.json", sha256.Sum256([]byte(url))))
}

// SetRemote notes what a URL gave.
func (s *Store) SetRemote(r Remote) error { return s.writeJSON(s.remoteFile(r.URL), r) }

// Remote returns what a URL gave; ok is false when that is unknown or the
// image has been removed.
func (s *Store) Remote(url string) (r Remote, ok bool, err error) {
	data, err := os.ReadFile(s.remoteFile(url))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(data, &r); err != nil || r.URL != url {
		return Remote{}, false, nil //nolint:nilerr // a damaged record only costs a download
	}
	if _, err := s.Info(r.ID); err != nil {
		return Remote{}, false, nil //nolint:nilerr // removed: fetch it again
	}
	return r, true, nil
}

// fetched returns the images that came over the network.
func (s *Store) fetched() (map[string]bool, error) {
	entries, err := os.ReadDir(s.path("remote"))
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, e := range entries {
		var r Remote
		data, err := os.ReadFile(s.path("remote", e.Name()))
		if err == nil && json.Unmarshal(data, &r) == nil && strings.Contains(r.URL, "://") {
			ids[r.ID] = true // not oci:PATH and docker-archive:PATH
		}
	}
	return ids, nil
}

func (s *Store) gcRemotes() error {
	entries, err := os.ReadDir(s.path("remote"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		var r Remote
		path := s.path("remote", e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if json.Unmarshal(data, &r) == nil {
			if _, err := s.Info(r.ID); err == nil {
				continue
			}
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
