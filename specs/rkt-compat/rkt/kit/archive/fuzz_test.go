package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzExtract holds Extract to its promise: whatever the archive, nothing
// beside the destination changes.
func FuzzExtract(f *testing.F) {
	for _, seed := range [][]byte{
		tarOf(f, e{name: "f", body: "x"}),
		tarOf(f, e{name: "../f", body: "x"}),
		tarOf(f, e{name: "l", kind: tar.TypeSymlink, link: ".."}, e{name: "l/f", body: "x"}),
		tarOf(f, e{name: "l", kind: tar.TypeSymlink, link: "/"}, e{name: "h", kind: tar.TypeLink, link: "l/victim"}),
		tarOf(f, e{name: "d/.wh.x"}, e{name: "d/.wh..wh..opq"}, e{name: "d", kind: tar.TypeDir, mode: 0o7777}),
		tarOf(f, e{name: "f", body: "x", size: 1 << 40}),
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	base := f.TempDir()
	if err := os.WriteFile(filepath.Join(base, "victim"), []byte("safe"), 0o640); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte, layer bool) {
		dest, err := os.MkdirTemp(base, "dest")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dest)
		o := Options{MaxBytes: 1 << 20}
		if layer {
			o.Whiteouts = OverlayWhiteouts
		}
		_ = Extract(context.Background(), bytes.NewReader(raw), dest, o)
		entries, err := os.ReadDir(base)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range entries {
			if x.Name() != "victim" && !(x.IsDir() && len(x.Name()) > 4 && x.Name()[:4] == "dest") {
				t.Errorf("%s was made outside the destination", x.Name())
			}
		}
		data, err := os.ReadFile(filepath.Join(base, "victim"))
		if err != nil || string(data) != "safe" {
			t.Errorf("a file outside the destination was changed: %q %v", data, err)
		}
	})
}

// FuzzTree holds the in-memory tree to giving archives that can be read.
func FuzzTree(f *testing.F) {
	f.Add(tarOf(f, e{name: "a/b", body: "x"}, e{name: "c", kind: tar.TypeLink, link: "a/b"}), tarOf(f, e{name: "a/.wh.b"}))
	f.Add(tarOf(f, e{name: "a", kind: tar.TypeSymlink, link: "b"}, e{name: "a/x"}), tarOf(f, e{name: "b"}))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		tree := NewTree()
		for i, raw := range [][]byte{one, two} {
			if tree.Apply(context.Background(), bytes.NewReader(raw), int64(len(raw)), i, ApplyOptions{Whiteouts: true}) != nil {
				return
			}
		}
		var small bool
		tree.Names(func(_ string, h *tar.Header) { small = small || h.Size > 1<<20 })
		if small {
			return // a sparse file: real, but slow to copy
		}
		if err := tree.WriteTar(context.Background(), tar.NewWriter(io.Discard), ""); err != nil {
			t.Logf("not writable: %v", err)
		}
	})
}
