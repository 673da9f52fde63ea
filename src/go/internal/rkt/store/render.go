package store

import (
	"archive/tar"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"

	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/durable"
	"photonbuild.invalid/compat/internal/rkt/aci"
)

// maxImages bounds how many images, counted once for each place in the tree of
// dependencies, one image may need.
const maxImages = 1000

// image is one place in the tree of dependencies.
type image struct {
	id   string
	m    *schema.ImageManifest
	deps []*image
}

// Render unpacks the image with its dependencies, once; dir is the root file
// system, not to be written to. The dependencies must be in the store.
func (s *Store) Render(ctx context.Context, id string) (dir, treeID string, err error) {
	return s.RenderFor(ctx, id, "")
}

// RenderFor is Render that also holds the tree for owner (a pod's UUID), so
// that GC keeps it until Release(owner).
func (s *Store) RenderFor(ctx context.Context, id, owner string) (dir, treeID string, err error) {
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	top, err := s.resolve(id)
	if err != nil {
		return "", "", fmt.Errorf("render image %s: %w", id, err)
	}
	treeID = treeName(top)
	if owner != "" {
		if err := s.hold(owner, treeID); err != nil {
			return "", "", err
		}
	}
	if err := s.touchAll(top); err != nil {
		return "", "", err
	}
	if err := s.renderOnce(ctx, top, treeID); err != nil {
		return "", "", fmt.Errorf("render image %s: %w", id, err)
	}
	return s.path("tree", treeID, aci.RootFS), treeID, nil
}

// touchAll notes that an image and those it needs were used now.
func (s *Store) touchAll(top *image) error {
	done := map[string]bool{}
	var visit func(*image) error
	visit = func(i *image) error {
		if done[i.id] {
			return nil
		}
		done[i.id] = true
		for _, d := range i.deps {
			if err := visit(d); err != nil {
				return err
			}
		}
		return s.Touch(i.id)
	}
	return visit(top)
}

// resolve finds the image and its dependencies, depth first.
func (s *Store) resolve(id string) (*image, error) {
	count := 0
	var visit func(id string, above []string) (*image, error)
	visit = func(id string, above []string) (*image, error) {
		for _, a := range above {
			if a == id {
				return nil, fmt.Errorf("dependency loop: %s", strings.Join(append(above, id), " needs "))
			}
		}
		if count++; count > maxImages {
			return nil, fmt.Errorf("more than %d dependencies", maxImages)
		}
		info, err := s.Info(id)
		if err != nil {
			return nil, err
		}
		img := &image{id: id, m: info.Manifest}
		for _, d := range info.Manifest.Dependencies {
			depID, err := s.FindDependency(d)
			if err != nil {
				return nil, fmt.Errorf("image %s (%s): %w", info.Name, id, err)
			}
			dep, err := visit(depID, append(above[:len(above):len(above)], id))
			if err != nil {
				return nil, err
			}
			img.deps = append(img.deps, dep)
		}
		return img, nil
	}
	return visit(id, nil)
}

// FindDependency finds the stored image that a dependency asks for.
func (s *Store) FindDependency(d types.Dependency) (string, error) {
	if d.ImageID == nil {
		id, err := s.Find(d.ImageName, d.Labels.ToMap())
		if err != nil {
			return "", fmt.Errorf("dependency: %w", err)
		}
		return id, nil
	}
	info, err := s.Info(d.ImageID.String())
	if err != nil {
		return "", fmt.Errorf("dependency %s: %w", d.ImageName, err)
	}
	return info.ID, MatchDependency(d, info.ID, info.Manifest)
}

// treeName is the hash of the images in their places, in rendering order.
func treeName(top *image) string {
	h := sha512.New()
	var visit func(*image, int)
	visit = func(i *image, level int) {
		for _, d := range i.deps {
			visit(d, level+1)
		}
		fmt.Fprintf(h, "%d %s\n", level, i.id)
	}
	visit(top, 0)
	return fmt.Sprintf("deps-sha512-%x", h.Sum(nil))
}

// renderOnce makes the tree unless it is there.
func (s *Store) renderOnce(ctx context.Context, top *image, treeID string) error {
	unlock, err := s.lockTree(treeID)
	if err != nil {
		return err
	}
	defer unlock()
	final := s.path("tree", treeID)
	whole, err := durable.Intact(final+"/"+aci.RootFS, final+"/"+wholeFile)
	if err != nil {
		return err
	}
	if whole {
		now := s.now()
		return os.Chtimes(final, now, now)
	}
	if err := s.discard(final); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.MkdirTemp(s.Tmp(), "tree-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := s.unpack(ctx, top, tmp); err != nil {
		return err
	}
	return durable.Publish(tmp, final)
}

// wholeFile is the record of a tree's seal.
const wholeFile = "whole"

func (s *Store) lockTree(treeID string) (func(), error) {
	f, err := os.OpenFile(s.path("tmp", treeID+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// unpack writes rootfs and its checksum into dir.
func (s *Store) unpack(ctx context.Context, top *image, dir string) error {
	root := dir + "/" + aci.RootFS
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	r := &renderer{s: s, ctx: ctx}
	defer r.close()
	tree := archive.NewTree()
	if err := r.render(tree, top); err != nil {
		return err
	}
	if err := ExtractTree(ctx, tree, root); err != nil {
		return err
	}
	sum, err := checksum(ctx, root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/sum", []byte(sum+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/images", []byte(strings.Join(r.ids, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return durable.Seal(root, dir+"/"+wholeFile)
}

// ExtractTree unpacks a tree into the folder dir.
func ExtractTree(ctx context.Context, tree *archive.Tree, dir string) error {
	pr, pw := io.Pipe()
	go func() {
		tw := tar.NewWriter(pw)
		err := tree.WriteTar(ctx, tw, "")
		if err == nil {
			err = tw.Close()
		}
		pw.CloseWithError(err)
	}()
	err := archive.Extract(ctx, pr, dir, archive.Options{MaxBytes: max(freeBytes(dir), 1)})
	pr.CloseWithError(err)
	return err
}

// Tree returns the merged file tree of the image and, unless alone is set, its
// dependencies, without unpacking. It lives until done is called.
func (s *Store) Tree(ctx context.Context, id string, alone bool) (tree *archive.Tree, done func(), err error) {
	top := &image{id: id}
	if !alone {
		top, err = s.resolve(id)
	} else {
		top.m = &schema.ImageManifest{}
	}
	if err != nil {
		return nil, nil, err
	}
	r := &renderer{s: s, ctx: ctx}
	tree = archive.NewTree()
	if err := r.render(tree, top); err != nil {
		r.close()
		return nil, nil, err
	}
	return tree, r.close, nil
}

type renderer struct {
	s     *Store
	ctx   context.Context
	files []*os.File
	ids   []string
}

func (r *renderer) close() {
	for _, f := range r.files {
		f.Close()
	}
}

// render puts the image over the tree as "Filesystem Setup" has it:
// dependencies in their order, depth first, then the image, then the
// whitelist removes what it does not name.
func (r *renderer) render(tree *archive.Tree, i *image) error {
	if len(i.m.PathWhitelist) == 0 {
		return r.layers(tree, i)
	}
	own := archive.NewTree()
	if err := r.layers(own, i); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, p := range i.m.PathWhitelist {
		keep[strings.TrimPrefix(path.Clean(p), "/")] = true
	}
	own.Keep(func(name string) bool { return keep[name] })
	tree.Overlay(own)
	return nil
}

func (r *renderer) layers(tree *archive.Tree, i *image) error {
	for _, d := range i.deps {
		if err := r.render(tree, d); err != nil {
			return err
		}
	}
	f, err := r.s.OpenBlob(i.id)
	if err != nil {
		return err
	}
	r.files = append(r.files, f)
	r.ids = append(r.ids, i.id)
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := sameID(i.id, io.NewSectionReader(f, 0, st.Size())); err != nil {
		return err
	}
	o := archive.ApplyOptions{Map: aci.InRootFS, ReplaceLinks: true, MaxBytes: max(freeBytes(r.s.dir), 1)}
	if err := tree.Apply(r.ctx, f, st.Size(), len(r.files), o); err != nil {
		return fmt.Errorf("image %s: %w", i.id, err)
	}
	return nil
}

// sameID holds a stored archive to its image ID.
func sameID(id string, r io.Reader) error {
	h := sha512.New()
	if _, err := io.Copy(h, r); err != nil {
		return &damagedError{id, err}
	}
	if got := fmt.Sprintf("sha512-%x", h.Sum(nil)); got != id {
		return &damagedError{id, errors.New("its archive was changed on disk")}
	}
	return nil
}

// checksum hashes a root file system: names, kinds, owners, modes, times,
// attributes and contents.
func checksum(ctx context.Context, root string) (string, error) {
	var h hash.Hash = sha512.New()
	if err := archive.Create(ctx, h, root, "/", archive.CreateOptions{}); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha512-%x", h.Sum(nil)), nil
}

// Verify compares the rendered tree of an image with the checksum that was
// made when it was rendered. An image that was never rendered is an error.
func (s *Store) Verify(ctx context.Context, id string) error {
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	top, err := s.resolve(id)
	if err != nil {
		return err
	}
	dir := s.path("tree", treeName(top))
	want, err := os.ReadFile(dir + "/sum")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("image %s has not been rendered", id)
	}
	if err != nil {
		return err
	}
	got, err := checksum(ctx, dir+"/"+aci.RootFS)
	if err != nil {
		return err
	}
	if got != strings.TrimSpace(string(want)) {
		return fmt.Errorf("the rendered image %s was changed on disk (hint: rkt image gc, or rkt image rm it and fetch it again)", id)
	}
	return nil
}
