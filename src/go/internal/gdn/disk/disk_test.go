package disk

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestArgv(t *testing.T) {
	got := argv("/i", 100)
	if !slices.Contains(got, "118") || got[len(got)-1] != "/i" {
		t.Errorf("%q", got)
	}
	if slices.Contains(argv("/i", 0), "-N") {
		t.Error("a limit of inodes that nobody asked for")
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts("36 35 98:0 /m /mnt\\0401 rw,noatime master:1 - ext3 /dev/root rw\nnonsense\n40 35 0:5 / /b rw - tmpfs none rw\n")
	want := []MountPoint{{"/mnt 1", "/dev/root"}, {"/b", "none"}}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestWalk(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 8192), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, err := Walk(dir)
	if err != nil || before.Inodes != 3 {
		t.Fatalf("%+v %v", before, err)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	if after, err := Walk(dir); err != nil || after != before {
		t.Errorf("a second name of a file counts: %+v, before %+v: %v", after, before, err)
	}
}

func TestTooSmall(t *testing.T) {
	image := filepath.Join(t.TempDir(), "i")
	if err := Create(image, "/nowhere", Smallest-1, 0); err == nil {
		t.Error("a file system of less than the smallest size")
	}
	if _, err := os.Stat(image); err == nil {
		t.Error("a file is left")
	}
}
