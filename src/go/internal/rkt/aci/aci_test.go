package aci_test

import (
	"archive/tar"
	"io"
	"runtime"
	"strings"
	"testing"

	"photonbuild.invalid/compat/internal/acitest"
	"photonbuild.invalid/compat/internal/rkt/aci"
)

// names is a tar of entries without end.
func names(w io.Writer) error {
	tw := tar.NewWriter(w)
	filler := strings.Repeat("x", 90)
	for i := range 200000 {
		name := "rootfs/" + filler[:i%90] + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26))
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}); err != nil {
			return err
		}
	}
	data := acitest.Manifest("example.com/app", "")
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest", Size: int64(len(data)), Mode: 0o644}); err != nil {
		return err
	}
	_, err := io.WriteString(tw, data)
	return err
}

// The manifest is looked for before any signature is: what lies in front of it costs no memory.
func TestPeekKeepsNothing(t *testing.T) {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(names(pw)) }()
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := live(), uint64(0)
	reads := 0
	m, err := aci.Peek(readFunc(func(p []byte) (int, error) {
		if reads++; reads%3000 == 0 {
			most = max(most, live())
		}
		return pr.Read(p)
	}))
	if err != nil || m.Name != "example.com/app" {
		t.Fatalf("%v, %v", m, err)
	}
	if most > before+(4<<20) {
		t.Errorf("%d KiB were kept", (most-before)>>10)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
