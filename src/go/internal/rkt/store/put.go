package store

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/durable"
	"photonbuild.invalid/compat/internal/rkt/aci"
)

// Put stores an image archive, in any compression, that is held to the image
// layout of aci.md. id is "sha512-…" of the uncompressed archive. An image that
// is there already is not stored twice.
func (s *Store) Put(ctx context.Context, r io.Reader) (id string, err error) {
	return s.put(ctx, r, false)
}

// PutLatest is Put for an image that was asked for without a version.
func (s *Store) PutLatest(ctx context.Context, r io.Reader) (id string, err error) {
	return s.put(ctx, r, true)
}

func (s *Store) put(ctx context.Context, r io.Reader, latest bool) (string, error) {
	unlock, err := s.lock(unix.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer unlock()
	f, err := os.CreateTemp(s.Tmp(), "blob-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	id, size, err := s.spool(ctx, f, r)
	if err != nil {
		return "", fmt.Errorf("import image: %w", err)
	}
	m, err := aci.Check(ctx, f, size)
	if err != nil {
		return "", fmt.Errorf("import image: %w", err)
	}
	if err := durable.Publish(f.Name(), s.path("blob", id)); err != nil {
		return "", err
	}
	now := s.now()
	info := &Info{ID: id, Name: string(m.Name), Imported: now, LastUsed: now, Size: size, Latest: latest, Manifest: m}
	if old, err := s.Info(id); err == nil {
		info.Imported, info.Latest = old.Imported, latest || old.Latest
	}
	return id, s.writeInfo(info)
}

// spool uncompresses r into f; at most what the file system has left.
func (s *Store) spool(ctx context.Context, f *os.File, r io.Reader) (id string, size int64, err error) {
	z, err := archive.Decompress(r)
	if err != nil {
		return "", 0, err
	}
	defer z.Close()
	h := sha512.New()
	w := io.MultiWriter(f, h)
	limit := freeBytes(s.dir)
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := z.Read(buf)
		if size += int64(n); size > limit {
			return "", 0, fmt.Errorf("image %w: the disk has %d bytes left", archive.ErrTooLarge, limit)
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			return "", 0, werr
		}
		if err == io.EOF {
			return fmt.Sprintf("sha512-%x", h.Sum(nil)), size, nil
		}
		if err != nil {
			return "", 0, fmt.Errorf("read the image: %w", err)
		}
	}
}

// freeBytes is how much fits on dir's file system.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 1 << 62
	}
	return int64(st.Bavail) * st.Bsize
}
