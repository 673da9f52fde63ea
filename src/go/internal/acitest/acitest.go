// Package acitest makes small App Container images for tests.
package acitest

import (
	"archive/tar"
	"bytes"
	"crypto/sha512"
	"fmt"
	"time"
)

// Entry is one file of an archive.
type Entry struct {
	header tar.Header
	body   string
	raw    bool // the name is not below rootfs
}

// File is a file; in an image, below rootfs.
func File(name, body string) Entry {
	return Entry{header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755}, body: body}
}

// Dir is a folder; in an image, below rootfs.
func Dir(name string) Entry {
	return Entry{header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}}
}

// Raw is an entry whose name is used as it is.
func Raw(h tar.Header) Entry { return Entry{header: h, raw: true} }

// Tar is an archive of the entries as they are.
func Tar(entries ...Entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.header
		h.Size, h.ModTime, h.Format = int64(len(e.body)), time.Unix(1700000000, 0), tar.FormatPAX
		must(w.WriteHeader(&h))
		_, err := w.Write([]byte(e.body))
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// Manifest is an image manifest; more is put into it as it is.
func Manifest(name, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":%q%s}`, name, more)
}

// Image is an image, uncompressed.
func Image(name, more string, entries ...Entry) []byte {
	all := []Entry{File("manifest", Manifest(name, more)), Dir("rootfs")}
	for _, e := range entries {
		if !e.raw {
			e.header.Name = "rootfs/" + e.header.Name
		}
		all = append(all, e)
	}
	return Tar(all...)
}

// ID is the image ID of an uncompressed image.
func ID(raw []byte) string { return fmt.Sprintf("sha512-%x", sha512.Sum512(raw)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}
