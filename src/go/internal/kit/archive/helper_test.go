package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// e is one entry of a test archive.
type e struct {
	name  string
	kind  byte
	body  string
	link  string
	mode  int64
	uid   int
	major int64
	minor int64
	xattr map[string]string
	size  int64 // declared, when it is not len(body)
}

func tarOf(t testing.TB, entries ...e) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, x := range entries {
		if x.kind == 0 {
			x.kind = tar.TypeReg
		}
		if x.mode == 0 {
			x.mode = 0o644
		}
		h := &tar.Header{
			Name: x.name, Typeflag: x.kind, Linkname: x.link, Mode: x.mode, Uid: x.uid, Gid: x.uid,
			Size: int64(len(x.body)), Devmajor: x.major, Devminor: x.minor, ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX,
		}
		for k, v := range x.xattr {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords[paxXattr+k] = v
		}
		if x.size != 0 {
			h.Size = x.size
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(x.body)); err != nil {
			t.Fatal(err)
		}
		if x.size != 0 {
			return b.Bytes() // truncated on purpose
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// needRoot skips a test that changes owners when this process may not.
func needRoot(t testing.TB) {
	t.Helper()
	f := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(f, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(f, 1, 1); err != nil {
		t.Skipf("cannot change owners here: %v", err)
	}
}

// needMknod skips a test that makes whiteouts when this process may not.
func needMknod(t testing.TB) {
	t.Helper()
	if err := unix.Mknod(filepath.Join(t.TempDir(), "n"), unix.S_IFCHR, 0); err != nil {
		t.Skipf("cannot make character devices here: %v", err)
	}
}

// needTrusted skips a test of overlayfs's attributes.
func needTrusted(t testing.TB) {
	t.Helper()
	if err := unix.Setxattr(t.TempDir(), overlayOpaque, []byte("y"), 0); err != nil {
		t.Skipf("cannot set trusted attributes here: %v", err)
	}
}

func extract(t testing.TB, dest string, o Options, entries ...e) error {
	t.Helper()
	return Extract(context.Background(), bytes.NewReader(tarOf(t, entries...)), dest, o)
}

func read(t testing.TB, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
