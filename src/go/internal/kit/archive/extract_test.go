package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const dirType, linkType, symType = tar.TypeDir, tar.TypeLink, tar.TypeSymlink

func TestExtractKeepsWhatTheArchiveSays(t *testing.T) {
	needRoot(t)
	dest := t.TempDir()
	err := extract(t, dest, Options{},
		e{name: "./", kind: dirType, mode: 0o711},
		e{name: "bin/", kind: dirType, mode: 0o755, uid: 3},
		e{name: "bin/su", body: "hello", mode: 0o4755, uid: 7, xattr: map[string]string{"user.note": "n"}},
		e{name: "bin/sudo", kind: linkType, link: "bin/su"},
		e{name: "sbin", kind: symType, link: "/bin", uid: 9},
		e{name: "tmp/", kind: dirType, mode: 0o1777},
		e{name: "run/fifo", kind: tar.TypeFifo, mode: 0o600},
	)
	if err != nil {
		t.Fatal(err)
	}
	var su, sudo, sbin, bin, tmp, run, top unix.Stat_t
	for name, st := range map[string]*unix.Stat_t{"bin/su": &su, "bin/sudo": &sudo, "sbin": &sbin, "bin": &bin, "tmp": &tmp, "run": &run, ".": &top} {
		if err := unix.Lstat(filepath.Join(dest, name), st); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if su.Mode&0o7777 != 0o4755 || su.Uid != 7 || su.Mtim.Sec != 1700000000 {
		t.Errorf("bin/su: mode %o owner %d time %d", su.Mode&0o7777, su.Uid, su.Mtim.Sec)
	}
	if su.Ino != sudo.Ino {
		t.Error("bin/sudo is not a hard link to bin/su")
	}
	if sbin.Uid != 9 || sbin.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.Errorf("sbin: owner %d mode %o", sbin.Uid, sbin.Mode)
	}
	if bin.Uid != 3 || bin.Mtim.Sec != 1700000000 {
		t.Errorf("bin: owner %d time %d", bin.Uid, bin.Mtim.Sec)
	}
	if tmp.Mode&0o7777 != 0o1777 || run.Mode&0o7777 != 0o755 || top.Mode&0o7777 != 0o711 {
		t.Errorf("modes: tmp %o, implicit run %o, top %o", tmp.Mode, run.Mode, top.Mode)
	}
	buf := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(dest, "bin/su"), "user.note", buf); err == nil && string(buf[:n]) != "n" {
		t.Errorf("user.note = %q", buf[:n])
	} else if err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Errorf("user.note: %v", err)
	}
}

func TestExtractNeverLeaves(t *testing.T) {
	for name, entries := range map[string][]e{
		"absolute symlink":         {{name: "out", kind: symType, link: "@"}, {name: "out/f", body: "x"}},
		"relative symlink":         {{name: "out", kind: symType, link: "../../../../../../..@"}, {name: "out/f", body: "x"}},
		"symlink to symlink":       {{name: "a", kind: symType, link: "b"}, {name: "b", kind: symType, link: "@"}, {name: "a/f", body: "x"}},
		"symlink chain in folder":  {{name: "d/", kind: dirType, mode: 0o755}, {name: "d/up", kind: symType, link: "../.."}, {name: "d/up@/f", body: "x"}},
		"write through file link":  {{name: "f", kind: symType, link: "@/victim"}, {name: "f", body: "x"}},
		"absolute name":            {{name: "@/f", body: "x"}},
		"hard link to outside":     {{name: "h", kind: linkType, link: "@/victim"}, {name: "h", body: "x"}},
		"hard link by symlink":     {{name: "s", kind: symType, link: "@"}, {name: "h", kind: linkType, link: "s/victim"}, {name: "h", body: "x"}},
		"dot dot":                  {{name: "../f", body: "x"}},
		"dot dot inside":           {{name: "a/../../f", body: "x"}},
		"hard link dot dot":        {{name: "h", kind: linkType, link: "../victim"}},
		"directory over a symlink": {{name: "out", kind: symType, link: "@"}, {name: "out", kind: dirType, mode: 0o777}},
		"whiteout of outside":      {{name: "out", kind: symType, link: "@"}, {name: "out/.wh.victim"}},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			outside, dest := filepath.Join(base, "outside"), filepath.Join(base, "dest")
			for _, d := range []string{outside, dest} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(outside, "victim"), []byte("safe"), 0o600); err != nil {
				t.Fatal(err)
			}
			for i := range entries {
				entries[i].link = strings.ReplaceAll(entries[i].link, "@", outside)
				entries[i].name = strings.ReplaceAll(entries[i].name, "@", outside)
			}
			err := extract(t, dest, Options{Whiteouts: OverlayWhiteouts}, entries...)
			t.Log(err)
			names, err := os.ReadDir(outside)
			if err != nil {
				t.Fatal(err)
			}
			if len(names) != 1 || read(t, outside, "victim") != "safe" {
				t.Errorf("the folder outside was changed: %v", names)
			}
			if top, _ := os.ReadDir(base); len(top) != 2 {
				t.Errorf("something was made beside the destination: %v", top)
			}
			if st, _ := os.Stat(outside); st.Mode().Perm() != 0o755 {
				t.Errorf("mode of the folder outside is %o", st.Mode().Perm())
			}
		})
	}
}

func TestExtractRefuses(t *testing.T) {
	many := strings.Repeat("x", 4096)
	for name, c := range map[string]struct {
		o       Options
		entries []e
		raw     []byte
		want    string
	}{
		"dot dot":         {entries: []e{{name: "a/../b"}}, want: `".."`},
		"hard link gone":  {entries: []e{{name: "h", kind: linkType, link: "nothing"}}, want: "not in the archive before it"},
		"hard link top":   {entries: []e{{name: "h", kind: linkType, link: "/"}}, want: "top folder"},
		"link to itself":  {entries: []e{{name: "h", body: "x"}, {name: "h", kind: linkType, link: "h"}}, want: "itself"},
		"empty symlink":   {entries: []e{{name: "s", kind: symType}}, want: "without a target"},
		"symlink loop":    {entries: []e{{name: "a", kind: symType, link: "b"}, {name: "b", kind: symType, link: "a"}, {name: "a/f"}}, want: "symbolic links"},
		"file as folder":  {entries: []e{{name: "f", body: "x"}, {name: "f/g"}}, want: "not a directory"},
		"full folder":     {entries: []e{{name: "d/f"}, {name: "d", body: "x"}}, want: "replace a folder"},
		"too large":       {o: Options{MaxBytes: 4096}, entries: []e{{name: "f", body: many}}, want: "larger than the limit"},
		"too many":        {o: Options{MaxBytes: 1024}, entries: []e{{name: "a"}, {name: "b"}, {name: "c"}}, want: "larger than the limit"},
		"huge, truncated": {entries: []e{{name: "f", body: "x", size: 1 << 50}}, want: "truncated"},
		"huge, limited":   {o: Options{MaxBytes: 4096}, entries: []e{{name: "f", body: many, size: 1 << 50}}, want: "larger than the limit"},
		"top not folder":  {entries: []e{{name: "./", kind: symType, link: "/etc"}}, want: "top of the archive"},
		"long name":       {entries: []e{{name: strings.Repeat("n", 300), body: "x"}}, want: "name too long"},
		"whiteout of ..":  {o: Options{Whiteouts: OverlayWhiteouts}, entries: []e{{name: ".wh..."}}, want: "no name"},
		"not a tar":       {raw: []byte(strings.Repeat("not a tar archive. ", 100)), want: "invalid tar header"},
		"cut short":       {raw: []byte("x"), want: "truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := c.raw
			if raw == nil {
				raw = tarOf(t, c.entries...)
			}
			err := Extract(context.Background(), bytes.NewReader(raw), t.TempDir(), c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

func TestExtractResolvesLinksInside(t *testing.T) {
	dest := t.TempDir()
	err := extract(t, dest, Options{},
		e{name: "usr/lib/", kind: dirType, mode: 0o755},
		e{name: "lib", kind: symType, link: "/usr/lib"},
		e{name: "lib/a", body: "a"},
		e{name: "up", kind: symType, link: "../../../usr"},
		e{name: "up/lib/b", body: "b"},
		e{name: "soon", kind: symType, link: "later/on"}, // dangling
		e{name: "soon/c", body: "c"},
		e{name: "usr/lib/hard", kind: linkType, link: "lib/a"},
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"usr/lib/a": "a", "usr/lib/b": "b", "later/on/c": "c", "usr/lib/hard": "a"} {
		if got := read(t, dest, name); got != want {
			t.Errorf("%s holds %q", name, got)
		}
	}
}

func TestExtractOptions(t *testing.T) {
	dest := t.TempDir()
	o := Options{Include: func(n string) bool { return n != "no" && n != "." }, ChownTo: &Owner{os.Getuid(), os.Getgid()}}
	if err := extract(t, dest, o, e{name: "./", kind: dirType, mode: 0o700}, e{name: "no"}, e{name: "yes", uid: 12345}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dest, "no")); err == nil {
		t.Error("an entry that was left out is there")
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dest, "yes"), &st); err != nil || int(st.Uid) != os.Getuid() {
		t.Errorf("owner %d, %v", st.Uid, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Extract(ctx, bytes.NewReader(tarOf(t, e{name: "f"})), dest, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled extraction gave %v", err)
	}
}

func TestImplicitDir(t *testing.T) {
	needRoot(t)
	dest := t.TempDir()
	asked := ""
	o := Options{ImplicitDir: func(n string) (Owner, uint32, bool) { asked += n + " "; return Owner{5, 6}, 0o1777, n == "tmp" }}
	if err := extract(t, dest, o, e{name: "tmp/sub/f"}); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dest, "tmp"))
	if err != nil || st.Mode()&os.ModeSticky == 0 || asked != "tmp tmp/sub " {
		t.Errorf("mode %v, error %v, asked for %q", st.Mode(), err, asked)
	}
}

func TestOverlayWhiteouts(t *testing.T) {
	needMknod(t)
	needTrusted(t)
	dest := t.TempDir()
	err := extract(t, dest, Options{Whiteouts: OverlayWhiteouts},
		e{name: "etc/.wh.gone"},
		e{name: "opaque/", kind: dirType, mode: 0o755}, e{name: "opaque/.wh..wh..opq"}, e{name: "opaque/new", body: "n"},
		e{name: ".wh..wh.plnk/", kind: dirType},
		e{name: "again/", kind: dirType, mode: 0o755}, e{name: ".wh.again"},
		e{name: ".wh.first"}, e{name: "first/", kind: dirType, mode: 0o755},
		e{name: "kept", body: "k"}, e{name: ".wh.kept"},
	)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dest, "etc/gone"), &st); err != nil || !isWhiteout(&st) {
		t.Errorf("etc/gone is not a whiteout (%v)", err)
	}
	for _, d := range []string{"opaque", "again", "first"} {
		buf := make([]byte, 4)
		if n, err := unix.Getxattr(filepath.Join(dest, d), overlayOpaque, buf); err != nil || string(buf[:n]) != "y" {
			t.Errorf("%s is not opaque: %q %v", d, buf[:n], err)
		}
	}
	if read(t, dest, "kept") != "k" {
		t.Error("a whiteout removed what its own layer has")
	}
	if names, _ := os.ReadDir(dest); len(names) != 5 {
		t.Errorf("there are %v", names)
	}
}

func TestChmodFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := errors.Join(os.WriteFile(victim, nil, 0o600), os.Symlink(victim, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	root, err := openRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := chmodAt(root.fd(), "link", 0o777); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link: %v", err)
	}
	if err := chmodAt(root.fd(), "victim", 0o640); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(victim); err != nil || st.Mode() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// A container may rename and replace what is being unpacked into it.
func TestExtractWhileTheDestinationChanges(t *testing.T) {
	base := t.TempDir()
	dest, outside := filepath.Join(base, "dest"), filepath.Join(base, "outside")
	if err := errors.Join(os.Mkdir(dest, 0o755), os.Mkdir(outside, 0o700)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(filepath.Join(dest, "d"), filepath.Join(dest, "moved"))
			_ = os.Symlink(outside, filepath.Join(dest, "d"))
			_ = os.Remove(filepath.Join(dest, "d"))
			_ = os.RemoveAll(filepath.Join(dest, "moved"))
		}
	}()
	var entries []e
	for range 50 {
		entries = append(entries, e{name: "d/", kind: dirType, mode: 0o755}, e{name: "d/sub/f", body: "x", mode: 0o777}, e{name: "d/p", kind: tar.TypeFifo, mode: 0o777})
	}
	raw := tarOf(t, entries...)
	for range 40 {
		_ = Extract(context.Background(), bytes.NewReader(raw), dest, Options{ChownTo: &Owner{os.Getuid(), os.Getgid()}})
	}
	close(stop)
	<-done
	if names, err := os.ReadDir(outside); err != nil || len(names) != 0 {
		t.Errorf("outside holds %v, %v", names, err)
	}
	if st, err := os.Stat(outside); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("outside has mode %v, %v", st.Mode(), err)
	}
}

func TestPlainWhiteoutNames(t *testing.T) {
	dest := t.TempDir()
	if err := extract(t, dest, Options{}, e{name: ".wh.f", body: "x"}); err != nil || read(t, dest, ".wh.f") != "x" {
		t.Errorf("%v", err)
	}
}

func TestTrustedAttributesAreDropped(t *testing.T) {
	needTrusted(t)
	dest := t.TempDir()
	err := extract(t, dest, Options{}, e{name: "d/", kind: dirType, mode: 0o755,
		xattr: map[string]string{"trusted.overlay.redirect": "/etc", "user.overlay.redirect": "/etc"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"trusted.overlay.redirect", "user.overlay.redirect"} {
		if _, err := unix.Getxattr(filepath.Join(dest, "d"), k, nil); err == nil {
			t.Errorf("%s was taken over", k)
		}
	}
}

func TestDeviceNodes(t *testing.T) {
	if err := unix.Mknod(filepath.Join(t.TempDir(), "n"), unix.S_IFCHR, int(unix.Mkdev(1, 3))); err != nil {
		t.Skipf("cannot make devices here: %v", err)
	}
	dest := t.TempDir()
	if err := extract(t, dest, Options{}, e{name: "dev/null", kind: tar.TypeChar, major: 1, minor: 3, mode: 0o666}); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dest, "dev/null"), &st); err != nil || st.Rdev != unix.Mkdev(1, 3) || st.Mode&0o777 != 0o666 {
		t.Errorf("rdev %x mode %o %v", st.Rdev, st.Mode, err)
	}
}

func TestExtractEndsOnEndlessSparseFile(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := Extract(ctx, endless{}, t.TempDir(), Options{MaxBytes: 1 << 20})
	if err == nil {
		t.Error("no error")
	}
}

// endless is one file that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "f", Size: 1 << 60, Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
		return 0, err
	}
	return copy(p, b.Bytes()), nil
}
