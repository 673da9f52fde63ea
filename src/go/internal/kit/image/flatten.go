package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"photonbuild.invalid/compat/internal/kit/archive"
)

// Flatten returns the image's file tree as one tar: layers merged, whiteouts
// applied, hard links, owners and attributes right, sorted by name, the same
// bytes for the same image. Layers are checked against their diff IDs before
// anything is written; an error comes out of Read.
func Flatten(img v1.Image) io.ReadCloser {
	pr, pw := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		tw := tar.NewWriter(pw)
		err := FlattenTo(ctx, img, os.TempDir(), tw, "")
		if err == nil {
			err = tw.Close()
		}
		pw.CloseWithError(err)
	}()
	return &readCloser{pr, func() error { cancel(); return pr.Close() }}
}

// FlattenTo writes the entries of Flatten to tw with prefix before each name
// ("" or "folder/"). Layers are spooled in unlinked files in tmp.
func FlattenTo(ctx context.Context, img v1.Image, tmp string, tw archive.TarWriter, prefix string) error {
	tree, done, err := Merge(ctx, img, tmp)
	if err != nil {
		return err
	}
	defer done()
	return tree.WriteTar(ctx, tw, prefix)
}

// Merge returns the tree that Flatten writes. It lives until done is called.
func Merge(ctx context.Context, img v1.Image, tmp string) (tree *archive.Tree, done func(), err error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, nil, fmt.Errorf("list the layers: %w", err)
	}
	var files []*os.File
	done = func() {
		for _, f := range files {
			f.Close()
		}
	}
	tree = archive.NewTree()
	for i, l := range layers {
		f, size, err := spool(ctx, l, tmp)
		if err == nil {
			files = append(files, f)
			err = tree.Apply(ctx, f, size, i+1, archive.ApplyOptions{Whiteouts: true, MaxBytes: freeBytes(tmp)})
		}
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	return tree, done, nil
}

// spool stores a layer, uncompressed and verified, in a file without a name.
func spool(ctx context.Context, l v1.Layer, tmp string) (*os.File, int64, error) {
	diff, err := l.DiffID()
	if err != nil {
		return nil, 0, err
	}
	r, err := l.Uncompressed()
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	v, err := newVerifier(r, diff)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.CreateTemp(tmp, "layer-")
	if err != nil {
		return nil, 0, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Close()
		return nil, 0, err
	}
	size, err := copyLimited(ctx, f, v, freeBytes(tmp))
	if err == nil {
		err = v.finish()
	}
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("%s: %w", diff, err)
	}
	return f, size, nil
}

// copyLimited copies all of r, at most limit bytes unless limit is 0.
func copyLimited(ctx context.Context, w io.Writer, r io.Reader, limit int64) (int64, error) {
	buf := make([]byte, 128<<10)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := r.Read(buf)
		n += int64(m)
		if limit > 0 && n > limit {
			return n, fmt.Errorf("contents %w of %d bytes", archive.ErrTooLarge, limit)
		}
		if _, werr := w.Write(buf[:m]); werr != nil {
			return n, werr
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
