package trust

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/appc/spec/schema/types"
)

var keyConfig = &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}

func newKey(t testing.TB, who string) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(who, "test", who+"@example.com", keyConfig)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func sign(t testing.TB, e *openpgp.Entity, data string) string {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, e, strings.NewReader(data), keyConfig); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func verify(k *Keystore, name, data, sig string) (*openpgp.Entity, error) {
	return k.Verify(types.ACIdentifier(name), strings.NewReader(data), strings.NewReader(sig))
}

func TestVerify(t *testing.T) {
	local, system := t.TempDir(), t.TempDir()
	k := NewKeystore("", local, system)
	alice, bob, root := newKey(t, "alice"), newKey(t, "bob"), newKey(t, "root")
	for _, a := range []struct {
		dir, prefix string
		key         *openpgp.Entity
	}{{local, "example.com/app", alice}, {system, "example.org", bob}, {system, "", root}} {
		path, err := Add(a.dir, types.ACIdentifier(a.prefix), a.key)
		if err != nil || filepath.Base(path) != Fingerprint(a.key) {
			t.Fatalf("%s %v", path, err)
		}
	}
	for _, c := range []struct {
		name string
		key  *openpgp.Entity
		ok   bool
	}{
		{"example.com/app", alice, true}, {"example.com/app/sub", alice, true}, {"example.com/apple", alice, false},
		{"example.com", alice, false}, {"example.org/x", bob, true}, {"example.com/app", bob, false}, {"any.net/thing", root, true},
	} {
		signer, err := verify(k, c.name, "image", sign(t, c.key, "image"))
		if c.ok && (err != nil || Fingerprint(signer) != Fingerprint(c.key)) {
			t.Errorf("%s: %v", c.name, err)
		}
		var untrusted *UntrustedError
		if !c.ok && !errors.As(err, &untrusted) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	if _, err := verify(k, "example.org/x", "other image", sign(t, bob, "image")); err == nil || !strings.Contains(err.Error(), "bad signature") {
		t.Errorf("a signature of something else: %v", err)
	}
	// An empty local file disables the distribution's key.
	off := filepath.Join(local, "trustedkeys", "prefix.d", "example.org", Fingerprint(bob))
	if err := os.MkdirAll(filepath.Dir(off), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(off, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(k, "example.org/x", "image", sign(t, bob, "image")); err == nil {
		t.Error("a disabled key was used")
	}
}

func TestVerifyRefuses(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t, "alice")
	if _, err := Add(dir, "example.com", key); err != nil {
		t.Fatal(err)
	}
	k := NewKeystore(dir)
	good := sign(t, key, "image")
	var binary bytes.Buffer
	if err := openpgp.DetachSign(&binary, key, strings.NewReader("image"), keyConfig); err != nil {
		t.Fatal(err)
	}
	public, err := armored(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ image, sig, want string }{
		"example.com/empty":     {"image", "", "not ASCII-armored"},
		"example.com/binary":    {"image", binary.String(), "not ASCII-armored"},
		"example.com/key":       {"image", string(public), "PUBLIC KEY"},
		"example.com/truncated": {"image", good[:len(good)/2], "signature"},
		"../../etc":             {"image", good, "not an AC Identifier"},
		"example.com/a/../b":    {"image", good, "not an AC Identifier"},
		"nobody.com/app":        {"image", good, "no key is trusted"},
	} {
		if _, err := verify(k, name, c.image, c.sig); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", name, err, c.want)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	key, other := newKey(t, "alice"), newKey(t, "bob")
	data, err := armored(key)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(bytes.NewReader(data))
	if err != nil || len(keys) != 1 || keys[0].PrivateKey != nil {
		t.Fatalf("stored key: %v %v", keys, err)
	}
	if got := Identities(keys[0]); len(got) != 1 || !strings.Contains(got[0], "alice") {
		t.Errorf("identities %v", got)
	}
	root := filepath.Join(dir, "trustedkeys", "root.d")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	k := NewKeystore(dir)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		Fingerprint(other):       {data, "not the file's name"},
		strings.Repeat("0", 40):  {[]byte("no key"), "not an OpenPGP public key"},
		strings.Repeat("1", 40):  {[]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n"), "OpenPGP"},
		Fingerprint(key) + ".gp": {data, "not the file's name"},
	} {
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Keyring("example.com"); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v does not say %q", name, err, c.want)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Add(dir, "a/../../b", key); err == nil {
		t.Error("a prefix that leads elsewhere was taken")
	}
	if _, err := ParseKeys(strings.NewReader(strings.Repeat("x", MaxKey+1))); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("endless key: %v", err)
	}
}

func TestExpiredKeys(t *testing.T) {
	dir := t.TempDir()
	past := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 3600, Time: func() time.Time { return time.Now().Add(-48 * time.Hour) }}
	old, err := openpgp.NewEntity("old", "", "old@example.com", past)
	if err != nil {
		t.Fatal(err)
	}
	var expired bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&expired, old, strings.NewReader("image"), past); err != nil {
		t.Fatal(err)
	}
	if _, err := Add(dir, "example.com", old); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(NewKeystore(dir), "example.com", "image", expired.String()); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a signature of an expired key: %v", err)
	}
}

// What GnuPG makes is taken, but not with SHA-1.
func TestGnuPG(t *testing.T) {
	dir := t.TempDir()
	fixture := func(name string) string {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	keys, err := ParseKeys(strings.NewReader(fixture("gpg.key")))
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v %v", keys, err)
	}
	if _, err := Add(dir, "example.com", keys[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(NewKeystore(dir), "example.com/app", "image", fixture("sha512.asc")); err != nil {
		t.Errorf("SHA-512: %v", err)
	}
	if _, err := verify(NewKeystore(dir), "example.com/app", "image", fixture("sha1.asc")); err == nil {
		t.Error("a SHA-1 signature verified")
	} else if !strings.Contains(err.Error(), "hash") {
		t.Errorf("SHA-1: %v", err)
	}
	var text bytes.Buffer
	key := newKey(t, "text")
	if _, err := Add(dir, "example.com", key); err != nil {
		t.Fatal(err)
	}
	if err := openpgp.ArmoredDetachSignText(&text, key, strings.NewReader("image"), keyConfig); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(NewKeystore(dir), "example.com/app", "image", text.String()); err == nil || !strings.Contains(err.Error(), "binary file") {
		t.Errorf("a text signature: %v", err)
	}
}

// FuzzKeysAndSignatures feeds both parsers; neither may panic, and nothing
// but a real signature may verify.
func FuzzKeysAndSignatures(f *testing.F) {
	key := newKey(f, "alice")
	public, err := armored(key)
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	if _, err := Add(dir, "example.com", key); err != nil {
		f.Fatal(err)
	}
	k := NewKeystore(dir)
	good := sign(f, key, "image")
	f.Add(public)
	f.Add([]byte(good))
	f.Add([]byte(good[:200]))
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.SignatureType, nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = ParseKeys(bytes.NewReader(data))
		if _, err := verify(k, "example.com", "another image", string(data)); err == nil {
			t.Errorf("this verified: %q", data)
		}
	})
}
