package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// scripted makes an archive of lines "KIND NAME TARGET-OR-BODY", KIND one of
// f(ile), d(irectory), l(symbolic link), h(ard link), p(ipe): mutations of a
// script are archives much more often than mutations of an archive.
func scripted(script string) []byte {
	kinds := map[string]byte{"f": tar.TypeReg, "d": tar.TypeDir, "l": tar.TypeSymlink, "h": tar.TypeLink, "p": tar.TypeFifo}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for line := range strings.SplitSeq(script, "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		name, arg, _ := strings.Cut(rest, " ")
		h := &tar.Header{Typeflag: kinds[kind], Name: name, Mode: 0o755}
		if h.Typeflag == 0 {
			continue
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(arg))
		} else {
			h.Linkname = arg
		}
		if w.WriteHeader(h) != nil {
			continue
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = io.WriteString(w, arg)
		}
	}
	_ = w.Close()
	return b.Bytes()
}

var scripts = []string{
	"f f x\nd d\nf d/g y\nl s d\nf s/h z\nh i f",
	"f ../f x\nd a/../..\nf /etc/x y",
	"l l ..\nf l/victim x",
	"l l /\nh h l/victim\nf h x",
	"l a b\nl b a\nf a/x y\nl c /../../\nf c/victim x\nd c",
	"f d/.wh.x \nf d/.wh..wh..opq \nd d\nf .wh.d \nf d x",
	"d a\nl a/b ../../..\nf a/b/victim x\nl a /\nf a/victim y",
	"l up ../../../..\nl dangling up/new/dir\nf dangling/x y\np fifo\nh fifo2 fifo",
}

// FuzzExtract holds Extract to its promise: whatever the archive, nothing
// beside the destination changes; and Tree to giving the same files.
func FuzzExtract(f *testing.F) {
	for _, s := range scripts {
		f.Add(s, false)
		f.Add(s, true)
	}
	base := outside(f)
	f.Fuzz(func(t *testing.T, script string, layer bool) {
		raw := scripted(script)
		o := Options{MaxBytes: 1 << 20, ChownTo: &Owner{os.Getuid(), os.Getgid()}}
		if layer {
			o.Whiteouts = OverlayWhiteouts
		}
		dest, err := extractBeside(t, base, raw, o)
		if err == nil && !layer {
			sameFiles(t, dest, raw)
		}
	})
}

// FuzzExtractRaw is FuzzExtract for the bytes of an archive.
func FuzzExtractRaw(f *testing.F) {
	for _, s := range scripts {
		f.Add(scripted(s), false)
	}
	f.Add(tarOf(f, e{name: "f", body: "x", size: 1 << 40}), true)
	base := outside(f)
	f.Fuzz(func(t *testing.T, raw []byte, layer bool) {
		o := Options{MaxBytes: 1 << 20, ChownTo: &Owner{os.Getuid(), os.Getgid()}}
		if layer {
			o.Whiteouts = OverlayWhiteouts
		}
		_, _ = extractBeside(t, base, raw, o)
	})
}

// outside is a folder with a file that must not change.
func outside(f *testing.F) string {
	base := f.TempDir()
	if err := os.WriteFile(filepath.Join(base, "victim"), []byte("safe"), 0o640); err != nil {
		f.Fatal(err)
	}
	return base
}

// extractBeside extracts into a folder beside the victim and looks around.
func extractBeside(t *testing.T, base string, raw []byte, o Options) (string, error) {
	dest, err := os.MkdirTemp(base, "dest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dest) })
	xerr := Extract(context.Background(), bytes.NewReader(raw), dest, o)
	entries, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range entries {
		if x.Name() != "victim" && !(x.IsDir() && strings.HasPrefix(x.Name(), "dest")) {
			t.Errorf("%s was made outside the destination", x.Name())
		}
	}
	data, err := os.ReadFile(filepath.Join(base, "victim"))
	st, serr := os.Stat(filepath.Join(base, "victim"))
	if err != nil || serr != nil || string(data) != "safe" || st.Mode() != 0o640 {
		t.Errorf("a file outside the destination was changed: %q %v %v", data, err, serr)
	}
	return dest, xerr
}

// sameFiles compares what is on disk with the tree of the same archive.
func sameFiles(t *testing.T, dest string, raw []byte) {
	tree := NewTree()
	if err := tree.Apply(context.Background(), bytes.NewReader(raw), int64(len(raw)), 0, ApplyOptions{}); err != nil {
		t.Fatalf("what was extracted cannot be merged: %v", err)
	}
	var want, got []string
	tree.Names(func(name string, h *tar.Header) {
		want = append(want, fmt.Sprintf("%s %v", name, h.FileInfo().Mode().Type()))
	})
	err := filepath.WalkDir(dest, func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != dest {
			got = append(got, fmt.Sprintf("%s %v", strings.TrimPrefix(p, dest+"/"), d.Type()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("on disk are\n%q, in the tree\n%q", got, want)
	}
}

// FuzzTree holds a merge of two archives to being an archive that unpacks.
func FuzzTree(f *testing.F) {
	for i, s := range scripts {
		f.Add(s, scripts[(i+1)%len(scripts)])
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		tree := NewTree()
		for i, s := range []string{one, two} {
			raw := scripted(s)
			if tree.Apply(context.Background(), bytes.NewReader(raw), int64(len(raw)), i, ApplyOptions{Whiteouts: true}) != nil {
				return
			}
		}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := tree.WriteTar(context.Background(), w, ""); err != nil {
			t.Fatalf("the tree cannot be written: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		o := Options{ChownTo: &Owner{os.Getuid(), os.Getgid()}}
		err := Extract(context.Background(), &b, t.TempDir(), o)
		if err != nil && !strings.Contains(err.Error(), "name too long") && !strings.Contains(err.Error(), "without a target") {
			t.Errorf("the tree does not unpack: %v", err)
		}
	})
}
