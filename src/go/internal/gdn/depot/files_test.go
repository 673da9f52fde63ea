package depot

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// streaming is a depot with one container that has files and no processes.
func streaming(t testing.TB) (*Depot, string) {
	t.Helper()
	d := &Depot{c: Config{Depot: t.TempDir(), UIDSize: 65536}, log: slog.New(slog.DiscardHandler), containers: map[string]*container{}}
	s := State{Version: stateVersion, ID: "0123456789abcdef", Handle: "h", Status: stopped, Privileged: true}
	d.containers["h"] = &container{state: s, ready: true}
	root := d.rootfs(s.ID)
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return d, root
}

func tarOf(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStreamInAndOut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files are given to root, which needs root")
	}
	d, root := streaming(t)
	in := tarOf(t, tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o750}, tar.Header{Name: "d/f", Size: 3, Mode: 0o640})
	if err := d.StreamIn(context.Background(), "h", "/to/here", "", bytes.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(root, "to/here/d/f")); err != nil || string(data) != "xxx" {
		t.Errorf("%q %v", data, err)
	}
	for source, want := range map[string]string{"/to/here": "here here/d here/d/f", "/to/here/": ". d d/f", "/to/here/d/f": "f"} {
		r, err := d.StreamOut(context.Background(), "h", source, "")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.Clean(h.Name))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	r, err := d.StreamOut(context.Background(), "h", "/none", "")
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err == nil {
		t.Error("a file that is not there")
	}
	if err := d.StreamIn(context.Background(), "h", "/to", "", bytes.NewReader(in[:700])); err == nil {
		t.Error("half a stream is accepted")
	}
}

// TestRightsOfAUser: streams go no further than their user.
func TestRightsOfAUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("other users' rights need root")
	}
	d, root := streaming(t)
	for dir := root; dir != "/"; dir = filepath.Dir(dir) { // the test's own folder is closed to others
		_ = os.Chmod(dir, 0o755)
		if dir == os.TempDir() {
			_ = os.Chmod(dir, 0o777|os.ModeSticky)
			break
		}
	}
	for name, mode := range map[string]os.FileMode{"secret": 0o600, "open": 0o644} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("s"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "own"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(root, "own"), 1000, 1000); err != nil {
		t.Skip("there is no user 1000 here: ", err)
	}
	in := tarOf(t, tar.Header{Name: "f", Size: 3, Mode: 0o640})
	if err := d.StreamIn(context.Background(), "h", "/", "1000:1000", bytes.NewReader(in)); err == nil {
		t.Error("a user wrote into root's folder")
	}
	if err := d.StreamIn(context.Background(), "h", "/own", "1000:1000", bytes.NewReader(in)); err != nil {
		t.Error(err)
	}
	for name, allowed := range map[string]bool{"/secret": false, "/open": true, "/own": true} {
		r, err := d.StreamOut(context.Background(), "h", name, "1000:1000")
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if (err == nil) != allowed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzStreamIn: whatever a tar stream holds, nothing changes outside of the container's root.
func FuzzStreamIn(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Name: "../escape", Size: 1, Mode: 0o644}))
	f.Add(tarOf(f, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, tar.Header{Name: "l/escape", Size: 1, Mode: 0o644}))
	f.Add(tarOf(f, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "../../secret"}))
	f.Fuzz(func(t *testing.T, stream []byte) {
		d, root := streaming(t)
		outside := filepath.Dir(root)
		if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = d.StreamIn(context.Background(), "h", "/in", "", bytes.NewReader(stream))
		entries, err := os.ReadDir(outside)
		if err != nil {
			t.Fatal(err)
		}
		names := slices.Collect(func(yield func(string) bool) {
			for _, e := range entries {
				if !yield(e.Name()) {
					return
				}
			}
		})
		if !slices.Equal(names, []string{"rootfs", "secret"}) {
			t.Errorf("outside of the root there are %s", names)
		}
		st, err := os.Stat(filepath.Join(outside, "secret"))
		if err != nil || st.Size() != 1 || st.Mode().Perm() != 0o600 {
			t.Errorf("a file outside was changed: %v %v", st, err)
		}
	})
}
