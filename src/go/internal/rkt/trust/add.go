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

	"photonbuild.invalid/compat/internal/kit/durable"
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
	if err := durable.WriteFile(path, "", data, 0o644); err != nil {
		return "", fmt.Errorf("trust key: %w", err)
	}
	return path, nil
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
