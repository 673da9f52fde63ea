package image

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/durable"
)

// Store keeps unpacked layers under Root:
//
//	images/HEX.json     which layers an image has, and its configuration
//	layers/NAME/        one unpacked layer, for use as a lower of overlayfs
//	layers/NAME.json    what was in it when it was whole
//	tmp/                what is being unpacked
//	lock                shared while images are added, exclusive for removal
//
// A layer is stored once, by its diff ID; one that leaves out folders which
// the layers below it have is stored by its chain ID, because what it unpacks
// to depends on them. Several processes may use a store at once. A layer that a
// power cut tore is seen, and unpacked again.
type Store struct{ Root string }

// Unpacked is an image whose layers are folders.
type Unpacked struct {
	ID     string    // digest of the configuration, "sha256:…"
	Layers []string  // folders, lowest first; at least one
	Config v1.Config // what the image asks to run
}

// record is the file of an image.
type record struct {
	ID     string    `json:"id"`
	Layers []string  `json:"layers"` // names below layers/
	Config v1.Config `json:"config"`
}

// Add unpacks the layers of img that are not there yet. Contents are checked
// against the diff IDs of the configuration.
func (s Store) Add(ctx context.Context, img v1.Image) (Unpacked, error) {
	id, err := img.ConfigName()
	if err != nil {
		return Unpacked{}, fmt.Errorf("name the image: %w", err)
	}
	u, err := s.add(ctx, img, id)
	if err != nil {
		return Unpacked{}, fmt.Errorf("unpack image %s: %w", id, err)
	}
	return u, nil
}

func (s Store) add(ctx context.Context, img v1.Image, id v1.Hash) (Unpacked, error) {
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return Unpacked{}, err
	}
	defer unlock()
	if u, ok, err := s.Lookup(id.String()); err != nil || ok {
		return u, err
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return Unpacked{}, fmt.Errorf("read the configuration: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return Unpacked{}, fmt.Errorf("list the layers: %w", err)
	}
	names, err := s.addLayers(ctx, layers)
	if err != nil {
		return Unpacked{}, err
	}
	r := record{ID: id.String(), Layers: topmost(names), Config: cf.Config}
	data, err := json.Marshal(r)
	if err != nil {
		return Unpacked{}, err
	}
	if err := durable.WriteFile(s.imageFile(id.Hex), "", data, 0o600); err != nil {
		return Unpacked{}, err
	}
	return s.unpacked(r), nil
}

// addLayers returns the names of the layers, lowest first.
func (s Store) addLayers(ctx context.Context, layers []v1.Layer) ([]string, error) {
	var names []string
	var chain v1.Hash
	for i, l := range layers {
		diff, err := l.DiffID()
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		if chain, err = chainID(chain, diff); err != nil {
			return nil, err
		}
		n, err := s.addLayer(ctx, l, diff, chain, names)
		if err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", i+1, diff, err)
		}
		names = append(names, n)
	}
	if len(names) == 0 {
		const empty = "empty"
		if err := os.MkdirAll(s.layerDir(empty), 0o755); err != nil {
			return nil, err
		}
		if err := durable.Seal(s.layerDir(empty), s.recordOf(empty)); err != nil {
			return nil, err
		}
		names = []string{empty}
	}
	return names, nil
}

// chainID follows "Layer ChainID" of the OCI image specification (config.md).
func chainID(below, diff v1.Hash) (v1.Hash, error) {
	if below.Hex == "" {
		return diff, nil
	}
	sum := sha256.Sum256([]byte(below.String() + " " + diff.String()))
	return v1.NewHash(fmt.Sprintf("sha256:%x", sum))
}

// topmost drops all but the highest of equal layers: overlayfs refuses one
// folder twice, and the highest hides the others.
func topmost(names []string) []string {
	var out []string
	for i, n := range names {
		if !slices.Contains(names[i+1:], n) {
			out = append(out, n)
		}
	}
	return out
}

// addLayer unpacks one layer unless it is there.
func (s Store) addLayer(ctx context.Context, l v1.Layer, diff, chain v1.Hash, below []string) (string, error) {
	unlock, err := lockFile(filepath.Join(s.Root, "layers", diff.Hex+".lock"), unix.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer unlock()
	byChain := "chain-" + chain.Hex
	for _, name := range []string{diff.Hex, byChain} {
		if whole, err := s.intact(name); err != nil || whole {
			return name, err
		}
	}
	tmp, err := os.MkdirTemp(filepath.Join(s.Root, "tmp"), "layer-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	dependent, err := s.unpackLayer(ctx, l, diff, tmp, below)
	if err != nil {
		return "", err
	}
	name := diff.Hex
	if dependent {
		name = byChain
	}
	return name, s.publish(tmp, name)
}

// publish gives a layer its name, after it was noted what is in it. A torn one
// that has the name goes first.
func (s Store) publish(tmp, name string) error {
	err := os.Rename(s.layerDir(name), tmp+"-torn")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.Seal(tmp, s.recordOf(name)); err != nil {
		return err
	}
	return errors.Join(durable.Publish(tmp, s.layerDir(name)), os.RemoveAll(tmp+"-torn"))
}

// intact says whether a layer is there, and whole.
func (s Store) intact(name string) (bool, error) {
	return durable.Intact(s.layerDir(name), s.recordOf(name))
}

// unpackLayer unpacks into dir; dependent says that owner or mode of a folder
// was taken from a layer below.
func (s Store) unpackLayer(ctx context.Context, l v1.Layer, diff v1.Hash, dir string, below []string) (dependent bool, err error) {
	r, err := l.Uncompressed()
	if err != nil {
		return false, fmt.Errorf("open: %w", err)
	}
	defer r.Close()
	v, err := newVerifier(r, diff)
	if err != nil {
		return false, err
	}
	o := archive.Options{
		Whiteouts: archive.OverlayWhiteouts,
		MaxBytes:  freeBytes(dir),
		ImplicitDir: func(name string) (archive.Owner, uint32, bool) {
			for i := len(below) - 1; i >= 0; i-- {
				var st unix.Stat_t
				err := unix.Lstat(filepath.Join(s.layerDir(below[i]), filepath.FromSlash(name)), &st)
				if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
					dependent = true
					return archive.Owner{UID: int(st.Uid), GID: int(st.Gid)}, st.Mode & 0o7777, true
				}
			}
			return archive.Owner{}, 0, false
		},
	}
	if err := archive.Extract(ctx, v, dir, o); err != nil {
		return false, err
	}
	return dependent, v.finish()
}

// freeBytes is how much fits on dir's file system, 0 when that is unknown.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	return max(int64(st.Bavail)*st.Bsize, 1)
}

// Lookup finds an image that was added; id is "sha256:…" or its hex part.
func (s Store) Lookup(id string) (Unpacked, bool, error) {
	hex, err := hexOf(id)
	if err != nil {
		return Unpacked{}, false, err
	}
	data, err := os.ReadFile(s.imageFile(hex))
	if errors.Is(err, fs.ErrNotExist) {
		return Unpacked{}, false, nil
	}
	if err != nil {
		return Unpacked{}, false, err
	}
	var r record
	if json.Unmarshal(data, &r) != nil {
		return Unpacked{}, false, nil //nolint:nilerr // torn: unpack it again
	}
	for _, l := range r.Layers {
		if whole, err := s.intact(l); err != nil || !whole {
			return Unpacked{}, false, err
		}
	}
	return s.unpacked(r), true, nil
}

func (s Store) unpacked(r record) Unpacked {
	u := Unpacked{ID: r.ID, Config: r.Config}
	for _, l := range r.Layers {
		u.Layers = append(u.Layers, s.layerDir(l))
	}
	return u
}

func (s Store) imageFile(hex string) string { return filepath.Join(s.Root, "images", hex+".json") }

func (s Store) recordOf(name string) string { return s.layerDir(name) + ".json" }

func (s Store) layerDir(name string) string { return filepath.Join(s.Root, "layers", name) }

// hexOf checks an ID, which becomes a file name.
func hexOf(id string) (string, error) {
	h, err := v1.NewHash(id)
	if err != nil {
		h, err = v1.NewHash("sha256:" + id)
	}
	if err != nil || h.Algorithm != "sha256" {
		return "", fmt.Errorf("image ID %q is not a sha256 digest", id)
	}
	return h.Hex, nil
}

// verifier reads a layer and holds it to its diff ID.
type verifier struct {
	io.Reader
	src  io.Reader
	sum  interface{ Sum([]byte) []byte }
	want v1.Hash
}

func newVerifier(r io.Reader, want v1.Hash) (*verifier, error) {
	h, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return nil, err
	}
	tee := io.TeeReader(r, h)
	return &verifier{Reader: tee, src: tee, sum: h, want: want}, nil
}

// finish reads the rest, which tar does not, and compares.
func (v *verifier) finish() error {
	if _, err := io.Copy(io.Discard, v.src); err != nil {
		return fmt.Errorf("read the end of the layer: %w", err)
	}
	if got := fmt.Sprintf("%x", v.sum.Sum(nil)); got != v.want.Hex {
		return fmt.Errorf("contents do not match the diff ID (are %s:%s)", v.want.Algorithm, got)
	}
	return nil
}
