package trust

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/rkt/aci"
)

// Add stores a key below configDir: for a prefix of image names, or for every
// image when prefix is "". It returns the file.
func Add(configDir string, prefix types.ACIdentifier, key *openpgp.Entity) (path string, err error) {
	dir := filepath.Join(configDir, "trustedkeys", rootFolder)
	if prefix != "" {
		if err := aci.CheckName(prefix); err != nil {
			return "", fmt.Errorf("prefix: %w", err)
		}
		dir = filepath.Join(configDir, "trustedkeys", "prefix.d", filepath.FromSlash(string(prefix)))
	}
	data, err := armored(key)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("trust key: %w", err)
	}
	path = filepath.Join(dir, Fingerprint(key))
	return path, writeFile(path, data)
}

// armored is the public part of a key.
func armored(key *openpgp.Entity) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(key.Serialize(w), w.Close()); err != nil {
		return nil, fmt.Errorf("write key %s: %w", Fingerprint(key), err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// writeFile writes a world-readable file that appears whole or not at all; its
// temporary name begins with ".", which readers of key folders pass over.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return fmt.Errorf("trust key: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("trust key: %w", err)
	}
	return os.Rename(f.Name(), path)
}
