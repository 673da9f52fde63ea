package inside

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/kit/archive"
)

// rootVariable makes the test's program `gdn inside` with that root folder.
const rootVariable = "GDN_INSIDE_ROOT"

func TestMain(m *testing.M) {
	root := os.Getenv(rootVariable)
	if root == "" {
		os.Exit(m.Run())
	}
	if err := Main(os.Args[2:], root, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run does a work in a process of its own.
func run(t testing.TB, root string, w Work, stdin []byte) (string, error) {
	t.Helper()
	var out, says bytes.Buffer
	cmd := exec.Command(os.Args[0], w.Args()...)
	cmd.Env = []string{rootVariable + "=" + root}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &says
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, says.String())
	}
	return out.String(), nil
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("files of other users need root")
	}
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

func names(t testing.TB, stream string) string {
	t.Helper()
	var all []string
	for r := tar.NewReader(strings.NewReader(stream)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, filepath.Clean(h.Name))
	}
}

func TestInAndOut(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	user := User{Home: "/to"}
	in := tarOf(t, tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o750}, tar.Header{Name: "d/f", Size: 3, Mode: 0o640})
	for _, destination := range []string{"/to/here", ".", "rel"} {
		if _, err := run(t, root, Work{In, destination, user}, in); err != nil {
			t.Fatal(err)
		}
		place := map[string]string{"/to/here": "to/here", ".": "to", "rel": "to/rel"}[destination]
		if data, err := os.ReadFile(filepath.Join(root, place, "d/f")); err != nil || string(data) != "xxx" {
			t.Errorf("%s: %q %v", destination, data, err)
		}
	}
	for source, want := range map[string]string{"/to/here": "here here/d here/d/f", "/to/here/": ". d d/f", "/to/here/d/f": "f", "rel/": ". d d/f"} {
		out, err := run(t, root, Work{Out, source, user}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, out); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	if _, err := run(t, root, Work{Out, "/none", user}, nil); err == nil {
		t.Error("a file that is not there")
	}
	if _, err := run(t, root, Work{In, "/to", user}, in[:700]); err == nil {
		t.Error("half a stream is accepted")
	}
}

// TestRightsOfAUser: streams go no further than their user, and give nothing that the user has not.
func TestRightsOfAUser(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
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
		t.Fatal(err)
	}
	user := User{UID: 1000, GID: 1000, Home: "/"}
	capability := map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	in := tarOf(t, tar.Header{Name: "f", Size: 3, Mode: 0o750, PAXRecords: capability})
	if _, err := run(t, root, Work{In, "/", user}, in); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("a user wrote into root's folder: %v", err)
	}
	if _, err := run(t, root, Work{In, "/own", user}, in); err != nil {
		t.Error(err)
	}
	if out, err := exec.Command("getfattr", "-m", "-", filepath.Join(root, "own/f")).Output(); err == nil && len(out) > 0 {
		t.Errorf("the file has rights: %s", out)
	}
	for name, allowed := range map[string]bool{"/secret": false, "/open": true, "/own": true} {
		if _, err := run(t, root, Work{Out, name, user}, nil); (err == nil) != allowed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzUnpack: whatever a tar stream holds, nothing changes outside of the root.
func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Name: "../escape", Size: 1, Mode: 0o644}))
	f.Add(tarOf(f, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, tar.Header{Name: "l/escape", Size: 1, Mode: 0o644}))
	f.Add(tarOf(f, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "../../secret"}))
	f.Fuzz(func(t *testing.T, stream []byte) {
		outside := t.TempDir()
		root := filepath.Join(outside, "rootfs")
		if err := os.MkdirAll(filepath.Join(root, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = unpack(context.Background(), root, "in", archive.Owner{UID: os.Geteuid(), GID: os.Getegid()}, bytes.NewReader(stream))
		entries, err := os.ReadDir(outside)
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if !slices.Equal(left, []string{"rootfs", "secret"}) {
			t.Errorf("outside of the root there are %s", left)
		}
		st, err := os.Stat(filepath.Join(outside, "secret"))
		if err != nil || st.Size() != 1 || st.Mode().Perm() != 0o600 {
			t.Errorf("a file outside was changed: %v %v", st, err)
		}
	})
}
