// Package trust keeps OpenPGP public keys in rkt's key store and verifies the
// signatures of images.
//
// It follows rkt's documentation (signing-and-verification-guide.md,
// subcommands/trust.md), the signature format of the App Container
// specification 0.8.11 (aci.md, "Image Archives") and RFC 9580. Keys lie in
//
//	DIR/trustedkeys/root.d/FINGERPRINT           for every image
//	DIR/trustedkeys/prefix.d/PREFIX/FINGERPRINT  for PREFIX and what is below it
//
// where DIR is /etc/rkt or /usr/lib/rkt; a file in the former replaces the one
// of that name in the latter, and an empty one disables it.
package trust

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/rkt/aci"
)

// MaxKey and MaxSignature bound what is read of keys and signatures, in bytes.
const (
	MaxKey       = 1 << 20
	MaxSignature = 1 << 20
)

// Keystore is the folders of keys, the strongest first: user, local, system.
type Keystore struct{ Dirs []string }

// NewKeystore uses the configuration folders given, the strongest first; empty
// names are left out.
func NewKeystore(configDirs ...string) *Keystore {
	k := &Keystore{}
	for _, d := range configDirs {
		if d != "" {
			k.Dirs = append(k.Dirs, filepath.Join(d, "trustedkeys"))
		}
	}
	return k
}

// rootFolder has the keys for every image.
const rootFolder = "root.d"

// folders are the key folders, below each of Dirs, that count for an image.
func folders(name types.ACIdentifier) []string {
	list := []string{rootFolder}
	at := "prefix.d"
	for part := range strings.SplitSeq(string(name), "/") {
		at = filepath.Join(at, part)
		list = append(list, at)
	}
	return list
}

// Keyring returns the keys that are trusted for images of this name.
func (k *Keystore) Keyring(name types.ACIdentifier) (openpgp.EntityList, error) {
	if err := aci.CheckName(name); err != nil {
		return nil, err
	}
	var keys openpgp.EntityList
	seen := map[string]bool{} // folder/fingerprint that a stronger folder has
	for _, dir := range k.Dirs {
		for _, sub := range folders(name) {
			found, err := readFolder(filepath.Join(dir, sub), sub, seen)
			if err != nil {
				return nil, err
			}
			keys = append(keys, found...)
		}
	}
	return keys, nil
}

// Known says whether anything is said of keys for the name's own prefixes: a key
// is trusted there, or one is disabled by an empty file. Keys that are found on
// the network then have nothing to add.
func (k *Keystore) Known(name types.ACIdentifier) (bool, error) {
	known := false
	err := k.each(name, func(sub string, f os.DirEntry) {
		known = known || sub != rootFolder
	})
	return known, err
}

// Disabled says whether an empty file takes the key with this fingerprint away
// from images of this name.
func (k *Keystore) Disabled(name types.ACIdentifier, fingerprint string) (bool, error) {
	disabled := false
	err := k.each(name, func(_ string, f os.DirEntry) {
		if f.Name() == fingerprint {
			info, err := f.Info()
			disabled = disabled || err != nil || info.Size() == 0
		}
	})
	return disabled, err
}

// each goes through the files of all folders that count for a name.
func (k *Keystore) each(name types.ACIdentifier, do func(sub string, f os.DirEntry)) error {
	if err := aci.CheckName(name); err != nil {
		return err
	}
	for _, dir := range k.Dirs {
		for _, sub := range folders(name) {
			entries, err := os.ReadDir(filepath.Join(dir, sub))
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
				return err
			}
			for _, e := range entries {
				if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
					do(sub, e)
				}
			}
		}
	}
	return nil
}

// readFolder reads the keys of one folder, not those that seen has.
func readFolder(dir, sub string, seen map[string]bool) (openpgp.EntityList, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil // ENOTDIR: a part of the name is a key
	}
	if err != nil {
		return nil, err
	}
	var keys openpgp.EntityList
	for _, e := range entries {
		id := filepath.Join(sub, e.Name())
		if e.IsDir() || seen[id] || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		seen[id] = true
		key, err := readKeyFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// readKeyFile reads a key whose file is named by its fingerprint; an empty
// file is no key.
func readKeyFile(path string) (*openpgp.Entity, error) {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	keys, err := ParseKeys(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("trusted key %s: %w", path, err)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("trusted key %s: the file holds %d keys instead of one", path, len(keys))
	}
	if got := Fingerprint(keys[0]); got != filepath.Base(path) {
		return nil, fmt.Errorf("trusted key %s: the key's fingerprint is %s, not the file's name", path, got)
	}
	return keys[0], nil
}

// ParseKeys reads public keys, ASCII armored or binary; at least one.
func ParseKeys(r io.Reader) (keys openpgp.EntityList, err error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxKey+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxKey {
		return nil, fmt.Errorf("public keys are larger than %d bytes", MaxKey)
	}
	if bytes.Contains(data, []byte("-----BEGIN PGP")) {
		keys, err = openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
	} else {
		keys, err = openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	if err != nil {
		return nil, fmt.Errorf("not an OpenPGP public key: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("no OpenPGP public key in it")
	}
	for _, k := range keys {
		if k.PrimaryKey == nil {
			return nil, errors.New("an OpenPGP key without a primary key")
		}
	}
	return keys, nil
}

// Fingerprint is a key's fingerprint in lower case hex, as key files are named.
func Fingerprint(e *openpgp.Entity) string { return hex.EncodeToString(e.PrimaryKey.Fingerprint) }

// Identities lists who a key says it belongs to, sorted.
func Identities(e *openpgp.Entity) []string {
	var names []string
	for n := range e.Identities {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// UntrustedError says that a signature was not made by a trusted key.
type UntrustedError struct {
	Name  types.ACIdentifier
	Cause error
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("the signature of image %s was not made by a trusted key: %v (hint: rkt trust --prefix=%s)", e.Name, e.Cause, e.Name)
}

func (e *UntrustedError) Unwrap() error { return e.Cause }

// Verify checks the ASCII-armored detached signature of an image file with the
// keys trusted for the image's name, and returns the key that made it.
func (k *Keystore) Verify(name types.ACIdentifier, image, signature io.Reader) (*openpgp.Entity, error) {
	keys, err := k.Keyring(name)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, &UntrustedError{name, errors.New("no key is trusted for it")}
	}
	data, err := io.ReadAll(io.LimitReader(signature, MaxSignature+1))
	if err != nil {
		return nil, fmt.Errorf("read the signature: %w", err)
	}
	if err := CheckSignature(data); err != nil {
		return nil, err
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	sig, signer, err := openpgp.VerifyDetachedSignatureAndHash(keys, image, block.Body, hashes, nil)
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return nil, &UntrustedError{name, errors.New("none of the trusted keys fits")}
	case err != nil:
		return nil, fmt.Errorf("bad signature of image %s: %w", name, err)
	case sig.SigType != packet.SigTypeBinary: // a text signature covers no line ends
		return nil, fmt.Errorf("bad signature of image %s: it is not one of a binary file", name)
	}
	return signer, nil
}

// hashes are those that a signature may be made over: not MD5, SHA-1 and
// RIPEMD-160, which RFC 9580 (9.5) deprecates.
var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA224, crypto.SHA3_256, crypto.SHA3_512}

// CheckSignature says whether data looks like an armored detached signature
// ("MUST be ascii-armored detached signature mode", aci.md).
func CheckSignature(data []byte) error {
	if len(data) > MaxSignature {
		return fmt.Errorf("the signature is larger than %d bytes", MaxSignature)
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("the signature is not ASCII-armored OpenPGP: %w", err)
	}
	if block.Type != openpgp.SignatureType {
		return fmt.Errorf("the signature is a %q, not a %q", block.Type, openpgp.SignatureType)
	}
	if _, err := io.Copy(io.Discard, block.Body); err != nil {
		return fmt.Errorf("the signature is damaged: %w", err)
	}
	return nil
}
