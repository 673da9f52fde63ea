package metadata

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// store keeps registrations, in memory and on disk, so that the service may be
// started again at any time.
type store struct {
	dir  string
	key  []byte
	mu   sync.RWMutex
	pods map[string]*entry // by UUID
}

const keyFile, keySize = "hmac.key", 64

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("metadata service: %w", err)
	}
	s := &store{dir: dir, pods: map[string]*entry{}}
	var err error
	if s.key, err = s.readKey(); err != nil {
		return nil, fmt.Errorf("metadata service: key: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("metadata service: %w", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // unregistered meanwhile
		}
		var r Registration
		if json.Unmarshal(data, &r) != nil {
			continue
		}
		if e, err := check(r); err == nil {
			s.pods[r.UUID] = e
		}
	}
	return s, nil
}

func (s *store) readKey() ([]byte, error) {
	path := filepath.Join(s.dir, keyFile)
	key, err := os.ReadFile(path)
	if err == nil && len(key) == keySize {
		return key, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	key = make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return key, writeFile(path, key)
}

func writeFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *store) put(e *entry) error {
	data, err := json.Marshal(e.Registration)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeFile(filepath.Join(s.dir, e.UUID+".json"), data); err != nil {
		return err
	}
	s.pods[e.UUID] = e
	return nil
}

func (s *store) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, id)
	if !strings.ContainsAny(id, "/.") {
		os.Remove(filepath.Join(s.dir, id+".json"))
	}
}

// byToken compares with every pod's token, in constant time each.
func (s *store) byToken(token string) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found *entry
	for _, e := range s.pods {
		if sameToken(e.Token, token) {
			found = e
		}
	}
	return found
}
