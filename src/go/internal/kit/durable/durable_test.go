package durable

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func steps(t *testing.T, dir string) *[]string {
	t.Helper()
	var list []string
	before := observe
	observe = func(step, path string) {
		rel, _ := filepath.Rel(dir, path)
		if strings.HasPrefix(filepath.Base(rel), ".new-") {
			rel = "new"
		}
		list = append(list, step+" "+rel)
	}
	t.Cleanup(func() { observe = before })
	return &list
}

func TestContentsBeforeTheNameAndTheNameBeforeTheReturn(t *testing.T) {
	dir := t.TempDir()
	list := steps(t, dir)
	if err := WriteFile(dir+"/f", "", []byte("1"), 0o640); err != nil {
		t.Fatal(err)
	}
	if want := []string{"fsync new", "rename f", "fsync ."}; !slices.Equal(*list, want) {
		t.Errorf("a file: %v", *list)
	}
	if st, err := os.Stat(dir + "/f"); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", st, err)
	}
	if err := os.MkdirAll(dir+"/tmp/tree/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	*list = nil
	if err := Publish(dir+"/tmp/tree", dir+"/tree"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"syncfs tmp/tree", "rename tree", "fsync ."}; !slices.Equal(*list, want) {
		t.Errorf("a folder: %v", *list)
	}
	if left, _ := filepath.Glob(dir + "/.new-*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestATornFolderIsSeenAfterTheNextStart(t *testing.T) {
	whole := func() string {
		dir := t.TempDir()
		for name, text := range map[string]string{"a": "contents", "sub/b": "more", "sub/empty": ""} {
			os.MkdirAll(filepath.Dir(dir+"/tree/"+name), 0o755)
			if err := os.WriteFile(dir+"/tree/"+name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("a", dir+"/tree/link"); err != nil {
			t.Fatal(err)
		}
		if err := Seal(dir+"/tree", dir+"/record"); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	boot := bootID
	t.Cleanup(func() { bootID = boot })
	for name, c := range map[string]struct {
		tear func(dir string) error
		want bool
	}{
		"whole":         {func(string) error { return nil }, true},
		"cut short":     {func(d string) error { return os.Truncate(d+"/tree/sub/b", 0) }, false},
		"missing":       {func(d string) error { return os.Remove(d + "/tree/sub/empty") }, false},
		"more":          {func(d string) error { return os.WriteFile(d+"/tree/x", nil, 0o600) }, false},
		"mode":          {func(d string) error { return os.Chmod(d+"/tree/a", 0o4755) }, false},
		"folder gone":   {func(d string) error { return os.RemoveAll(d + "/tree/sub") }, false},
		"all gone":      {func(d string) error { return os.RemoveAll(d + "/tree") }, false},
		"no record":     {func(d string) error { return os.Remove(d + "/record") }, false},
		"empty record":  {func(d string) error { return os.Truncate(d+"/record", 0) }, false},
		"half a record": {func(d string) error { return os.Truncate(d+"/record", 20) }, false},
		"moved":         {func(d string) error { return os.Rename(d+"/tree/a", d+"/tree/sub/a") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			bootID = boot
			dir := whole()
			if err := c.tear(dir); err != nil {
				t.Fatal(err)
			}
			bootID = func() (string, error) { return "the next one", nil }
			for range 2 { // the second time as it was noted by the first
				if got, err := Intact(dir+"/tree", dir+"/record"); err != nil || got != c.want {
					t.Errorf("%v %v", got, err)
				}
			}
		})
	}
	t.Run("looked at once", func(t *testing.T) {
		dir := whole()
		if err := os.Remove(dir + "/tree/a"); err != nil {
			t.Fatal(err)
		}
		if got, err := Intact(dir+"/tree", dir+"/record"); err != nil || !got {
			t.Errorf("%v %v: it was sealed after this start", got, err)
		}
	})
}
