package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func apply(t *testing.T, tree *Tree, gen int, o ApplyOptions, entries ...e) error {
	t.Helper()
	raw := tarOf(t, entries...)
	return tree.Apply(context.Background(), bytes.NewReader(raw), int64(len(raw)), gen, o)
}

// TestAPathIsNotFree: what an archive makes of folders by naming them counts, and a name that no
// system call takes is refused.
func TestAPathIsNotFree(t *testing.T) {
	long := strings.Repeat("a/", 1<<18)
	for name, entry := range map[string]tar.Header{
		"name":    {Name: long + "f", Typeflag: tar.TypeReg},
		"symlink": {Name: "l", Typeflag: tar.TypeSymlink, Linkname: long},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		entry.Format = tar.FormatPAX
		if err := w.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		w.Close()
		err := NewTree().Apply(context.Background(), bytes.NewReader(b.Bytes()), int64(b.Len()), 1, ApplyOptions{})
		if err == nil || !strings.Contains(err.Error(), "at most 4095") {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := &applier{tree: NewTree(), names: maxNames - 10*entryCost}
	if _, err := a.folder("1/2/3/4/5/6/7/8/9/10"); err != nil {
		t.Error(err)
	}
	if _, err := a.folder("11"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a folder beyond the limit: %v", err)
	}
}

// TestImplicitFoldersCount: of MaxBytes, as entries do.
func TestImplicitFoldersCount(t *testing.T) {
	err := extract(t, t.TempDir(), Options{MaxBytes: 4 * entryCost}, e{name: "1/2/3/4/5/", kind: tar.TypeDir})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// listing writes a tree as "name=contents" and so on.
func listing(t *testing.T, tree *Tree) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := tree.WriteTar(context.Background(), w, "r/"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var out []string
	tr := tar.NewReader(&b)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			out = append(out, h.Name+"="+string(body))
		case tar.TypeDir:
			out = append(out, h.Name)
		default:
			out = append(out, fmt.Sprintf("%s>%s", h.Name, h.Linkname))
		}
	}
}

func TestTreeMergesLayers(t *testing.T) {
	tree := NewTree()
	layers := [][]e{
		{{name: "etc/", kind: dirType, mode: 0o755}, {name: "etc/a", body: "1"}, {name: "etc/b", body: "1"}, {name: "etc/hard", kind: linkType, link: "etc/a"},
			{name: "old/x", body: "1"}, {name: "old/y", body: "1"}, {name: "lib", kind: symType, link: "usr/lib"}, {name: "usr/lib/", kind: dirType, mode: 0o755}},
		{{name: "etc/a", body: "2"}, {name: "etc/.wh.b"}, {name: "old/new", body: "2"}, {name: "old/.wh..wh..opq"}, {name: "lib/z", body: "2"}},
	}
	for i, l := range layers {
		if err := apply(t, tree, i, ApplyOptions{Whiteouts: true}, l...); err != nil {
			t.Fatal(err)
		}
	}
	const want = "r/ r/etc/ r/etc/a=2 r/etc/hard=1 r/lib>usr/lib r/old/ r/old/new=2 r/usr/ r/usr/lib/ r/usr/lib/z=2"
	if got := listing(t, tree); got != want {
		t.Errorf("tree is\n%s, should be\n%s", got, want)
	}
}

func TestTreeWhiteoutAfterEntry(t *testing.T) {
	tree := NewTree()
	if err := apply(t, tree, 0, ApplyOptions{Whiteouts: true}, e{name: "d/old", body: "1"}, e{name: "f", body: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, tree, 1, ApplyOptions{Whiteouts: true}, e{name: "d/new", body: "2"}, e{name: ".wh.d"}, e{name: ".wh.f"}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, tree); got != "r/ r/d/ r/d/new=2" {
		t.Errorf("tree is %s", got)
	}
}

// ace.md, "Filesystem Setup": a link of an earlier dependency is replaced.
func TestTreeReplacesLinks(t *testing.T) {
	tree := NewTree()
	o := ApplyOptions{ReplaceLinks: true}
	if err := apply(t, tree, 0, o, e{name: "usr/lib/a", body: "1"}, e{name: "lib", kind: symType, link: "usr/lib"}, e{name: "l2", kind: symType, link: "usr"}); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, tree, 1, o, e{name: "lib/", kind: dirType, mode: 0o755}, e{name: "lib/b", body: "2"}, e{name: "l2/c", body: "2"}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, tree); got != "r/ r/l2/ r/l2/c=2 r/lib/ r/lib/b=2 r/usr/ r/usr/lib/ r/usr/lib/a=1" {
		t.Errorf("tree is %s", got)
	}
}

func TestTreeKeepOverlayFiles(t *testing.T) {
	under, over := NewTree(), NewTree()
	if err := apply(t, under, 0, ApplyOptions{}, e{name: "d/a", body: "1"}, e{name: "d/b", body: "1"}, e{name: "x", body: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, over, 1, ApplyOptions{}, e{name: "d/b", body: "2"}, e{name: "d/c", body: "2"}, e{name: "x/y", body: "2"}, e{name: "ln", kind: symType, link: "/d/c"}); err != nil {
		t.Fatal(err)
	}
	over.Keep(func(n string) bool { return n != "d/c" && n != "d" && n != "ln" })
	under.Overlay(over)
	if got := listing(t, under); got != "r/ r/d/ r/d/a=1 r/d/b=2 r/x/ r/x/y=2" {
		t.Errorf("tree is %s", got)
	}
	if err := under.MakeDir("/work/dir"); err != nil {
		t.Fatal(err)
	}
	if data, ok := under.ReadFile("d/b", 10); !ok || string(data) != "2" {
		t.Errorf("d/b is %q %v", data, ok)
	}
	if _, ok := under.ReadFile("d", 10); ok {
		t.Error("a folder was read as a file")
	}
	var names []string
	under.Names(func(n string, _ *tar.Header) { names = append(names, n) })
	if got := strings.Join(names, " "); got != "d d/a d/b work work/dir x x/y" {
		t.Errorf("names: %s", got)
	}
}

func TestTreeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		o    ApplyOptions
		in   []e
		want string
	}{
		"twice":       {ApplyOptions{NoDuplicates: true}, []e{{name: "a"}, {name: "./a"}}, "twice"},
		"link gone":   {ApplyOptions{}, []e{{name: "a", kind: linkType, link: "b"}}, "not in the archive"},
		"link folder": {ApplyOptions{}, []e{{name: "b/", kind: dirType}, {name: "a", kind: linkType, link: "b"}}, "folder"},
		"loop":        {ApplyOptions{}, []e{{name: "a", kind: symType, link: "a"}, {name: "a/b"}}, "symbolic links"},
		"through":     {ApplyOptions{}, []e{{name: "a"}, {name: "a/b"}}, "not a directory"},
		"too large":   {ApplyOptions{MaxBytes: 1000}, []e{{name: "a", body: strings.Repeat("x", 600)}}, "larger than the limit"},
		"dot dot":     {ApplyOptions{}, []e{{name: "../a"}}, `".."`},
	} {
		if err := apply(t, NewTree(), 0, c.o, c.in...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", name, err, c.want)
		}
	}
}

func TestTreeIsDeterministic(t *testing.T) {
	var first []byte
	for range 5 {
		tree := NewTree()
		if err := apply(t, tree, 0, ApplyOptions{}, e{name: "b", body: "b"}, e{name: "a", body: "a", xattr: map[string]string{"user.x": "1", "user.y": "2"}}); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := tree.WriteTar(context.Background(), w, ""); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		} else if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("the same tree gave other bytes")
		}
	}
}

func TestDecompress(t *testing.T) {
	plain := tarOf(t, e{name: "f", body: "hello"})
	var x, z bytes.Buffer
	xw, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	zw, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{xw, zw} {
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, in := range map[string][]byte{"xz": x.Bytes(), "zstd": z.Bytes(), "plain": plain} {
		r, err := Decompress(bytes.NewReader(in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(out, plain) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
		if name == "plain" {
			continue
		}
		r, err = Decompress(bytes.NewReader(in[:len(in)/2]))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("truncated %s: %v", name, err)
		}
	}
	if r, err := Decompress(bytes.NewReader(nil)); err != nil {
		t.Errorf("empty input: %v %v", r, err)
	}
}

func TestCreateRoundTrip(t *testing.T) {
	src, dest := t.TempDir(), t.TempDir()
	if err := extract(t, src, Options{ChownTo: &Owner{os.Getuid(), os.Getgid()}}, e{name: "top/", kind: dirType, mode: 0o750}, e{name: "top/f", body: "hello", mode: 0o600},
		e{name: "top/g", kind: linkType, link: "top/f"}, e{name: "top/s", kind: symType, link: "/top/f"}, e{name: "alias", kind: symType, link: "/top"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"top": "top/ top/f=hello top/g>top/f top/s>/top/f", "top/": "top/ top/f=hello top/g>top/f top/s>/top/f",
		"/alias/f": "f=hello", "alias": "alias>/top", "../../top/f": "f=hello",
	} {
		var b bytes.Buffer
		if err := Create(context.Background(), &b, src, name, CreateOptions{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := names(t, b.Bytes()); got != want {
			t.Errorf("%s: archive holds %q, should hold %q", name, got, want)
		}
	}
	var b bytes.Buffer
	if err := Create(context.Background(), &b, src, "top", CreateOptions{ContentsOnly: true, Owner: func(o Owner) Owner { return Owner{42, 43} }}); err != nil {
		t.Fatal(err)
	}
	if err := Extract(context.Background(), bytes.NewReader(b.Bytes()), dest, Options{ChownTo: &Owner{os.Getuid(), os.Getgid()}}); err != nil {
		t.Fatal(err)
	}
	if read(t, dest, "g") != "hello" {
		t.Error("contents are lost")
	}
	if h, err := tar.NewReader(&b).Next(); err != nil || h.Name != "./" || h.Uid != 42 {
		t.Errorf("first entry %+v %v", h, err)
	}
	if err := Create(context.Background(), io.Discard, src, "missing", CreateOptions{}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing path: %v", err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(src, "passwd")); err != nil {
		t.Fatal(err)
	}
	if err := Create(context.Background(), io.Discard, src, "passwd/", CreateOptions{}); err == nil {
		t.Error("a link to outside was followed")
	}
}

// names lists an archive.
func names(t *testing.T, raw []byte) string {
	t.Helper()
	var out []string
	tr := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(tr)
		switch {
		case h.Typeflag == tar.TypeReg:
			out = append(out, h.Name+"="+string(body))
		case h.Linkname != "":
			out = append(out, h.Name+">"+h.Linkname)
		default:
			out = append(out, h.Name)
		}
	}
}

// gnuSparse is an archive of one old GNU sparse file: size bytes, all a hole.
func gnuSparse(size int64) []byte {
	b := make([]byte, 512)
	copy(b, "hole")
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	copy(b[124:], "00000000000\x00")
	copy(b[136:], "00000000000\x00")
	b[156] = tar.TypeGNUSparse
	copy(b[257:], "ustar  \x00")
	base256(b[386:398], size) // one fragment, at the end, empty
	copy(b[398:], "00000000000\x00")
	base256(b[483:495], size)
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(b, make([]byte, 1024)...)
}

// base256 is GNU tar's form of large numbers.
func base256(field []byte, n int64) {
	for i := len(field) - 1; i > 0; i-- {
		field[i] = byte(n)
		n >>= 8
	}
	field[0] = 0x80
}

func TestSparseFiles(t *testing.T) {
	huge := gnuSparse(1 << 60)
	if h, err := tar.NewReader(bytes.NewReader(huge)).Next(); err != nil || h.Size != 1<<60 {
		t.Fatalf("the test's archive is wrong: %+v %v", h, err)
	}
	err := NewTree().Apply(context.Background(), bytes.NewReader(huge), int64(len(huge)), 0, ApplyOptions{MaxBytes: 1 << 20})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("tree: %v", err)
	}
	if err := Extract(context.Background(), bytes.NewReader(huge), t.TempDir(), Options{MaxBytes: 1 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("extract: %v", err)
	}
	small := gnuSparse(5000)
	tree := NewTree()
	if err := tree.Apply(context.Background(), bytes.NewReader(small), int64(len(small)), 0, ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if data, ok := tree.ReadFile("hole", 1<<20); !ok || len(data) != 5000 {
		t.Errorf("a sparse file reads as %d bytes %v", len(data), ok)
	}
}
