package image

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A layer that was torn between two starts of the machine is unpacked again.
func TestATornLayerIsUnpackedAgain(t *testing.T) {
	needChown(t)
	for name, tear := range map[string]func(layer string) error{
		"a file is cut short": func(layer string) error { return os.Truncate(layer+"/a", 0) },
		"a file is missing":   func(layer string) error { return os.Remove(layer + "/a") },
		"no record":           func(layer string) error { return os.Remove(layer + ".json") },
		"an empty record":     func(layer string) error { return os.Truncate(layer+".json", 0) },
		"the layer is gone":   os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			s := Store{Root: t.TempDir()}
			img := imageOf(t, "amd64", layerOf(t, "a=contents"), layerOf(t, "b=1"))
			u, err := s.Add(ctx, img)
			if err != nil {
				t.Fatal(err)
			}
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				t.Fatal(err)
			}
			records, _ := filepath.Glob(s.Root + "/layers/*.json")
			if len(records) != 2 {
				t.Fatalf("records: %v", records)
			}
			for _, r := range records {
				data, err := os.ReadFile(r)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(r, bytes.Replace(data, bytes.TrimSpace(boot), []byte("earlier"), 1), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := tear(u.Layers[0]); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := s.Lookup(u.ID); ok || err != nil {
				t.Errorf("the image is found: %v", err)
			}
			again, err := s.Add(ctx, img)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := os.ReadFile(again.Layers[0] + "/a"); string(data) != "contents" {
				t.Errorf("%q %v", data, err)
			}
			if _, ok, err := s.Lookup(u.ID); !ok || err != nil {
				t.Errorf("the image is not found: %v", err)
			}
			if left, _ := os.ReadDir(s.Root + "/tmp"); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			if _, err := s.GC(func(string) bool { return true }); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := s.Lookup(u.ID); !ok || err != nil {
				t.Errorf("after GC the image is not found: %v", err)
			}
		})
	}
}

func needChown(t *testing.T) {
	t.Helper()
	if err := os.Chown(t.TempDir(), 0, 0); err != nil {
		t.Skipf("cannot change owners here: %v", err)
	}
}
