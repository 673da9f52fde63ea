package store

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"photonbuild.invalid/compat/internal/acitest"
)

// anotherBoot makes the records of rendered trees those of an earlier start of the machine.
func anotherBoot(t *testing.T, s *Store) {
	t.Helper()
	records, err := filepath.Glob(s.path("tree", "*", wholeFile))
	if err != nil || len(records) == 0 {
		t.Fatalf("no records: %v", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		data, err := os.ReadFile(r)
		if err != nil {
			t.Fatal(err)
		}
		earlier := bytes.Replace(data, bytes.TrimSpace(boot), []byte("earlier"), 1)
		if err := os.WriteFile(r, earlier, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATornTreeIsRenderedAgain(t *testing.T) {
	needChown(t)
	for name, tear := range map[string]func(dir string) error{
		"a file is cut short": func(dir string) error { return os.Truncate(dir+"/x", 0) },
		"a file is missing":   func(dir string) error { return os.Remove(dir + "/x") },
		"no record":           func(dir string) error { return os.Remove(dir + "/../" + wholeFile) },
		"no root":             func(dir string) error { return os.RemoveAll(dir) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			id := put(t, s, acitest.Image("a", "", acitest.File("x", "contents"), acitest.File("y", "1")))
			dir, _, err := s.Render(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			anotherBoot(t, s)
			if err := tear(dir); err != nil {
				t.Fatal(err)
			}
			again, _, err := s.Render(ctx, id)
			if err != nil || again != dir {
				t.Fatalf("%s %v", again, err)
			}
			if got := files(t, again); got != "x=contents y=1" {
				t.Errorf("it holds %s", got)
			}
		})
	}
}

func TestATornArchiveIsNotUsed(t *testing.T) {
	s := open(t)
	raw := acitest.Image("a", "", acitest.File("x", strings.Repeat("contents", 1000)))
	id := put(t, s, raw)
	blob := s.path("blob", id)
	for name, tear := range map[string]func() error{
		"cut short": func() error { return os.Truncate(blob, 2048) },
		"of zeros":  func() error { return os.WriteFile(blob, make([]byte, len(raw)), 0o600) },
		"empty":     func() error { return os.Truncate(blob, 0) },
	} {
		if err := tear(); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Render(ctx, id)
		if err == nil || !strings.Contains(err.Error(), "damaged in the local store") || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := put(t, s, raw); got != id {
		t.Errorf("put again as %s", got)
	}
	if _, done, err := s.Tree(ctx, id, true); err != nil {
		t.Errorf("put again: %v", err)
	} else {
		done()
	}
}

func TestATornRecordStandsInNobodysWay(t *testing.T) {
	s := open(t)
	good, torn := put(t, s, acitest.Image("good", "")), put(t, s, acitest.Image("torn", ""))
	if err := s.SetRemote(Remote{URL: "https://example.com/torn.aci", ID: torn}); err != nil {
		t.Fatal(err)
	}
	record := s.path("info", torn+".json")
	if err := os.Truncate(record, 10); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(); err != nil || len(list) != 1 || list[0].ID != good {
		t.Errorf("%v %v", list, err)
	}
	if got, err := s.Find("good", nil); err != nil || got != good {
		t.Errorf("%s %v", got, err)
	}
	if _, ok, err := s.Remote("https://example.com/torn.aci"); ok || err != nil {
		t.Errorf("the torn image counts as fetched: %v", err)
	}
	if _, err := s.Info(torn); err == nil || !strings.Contains(err.Error(), "hint: rkt image rm") {
		t.Errorf("%v", err)
	}
	if _, err := s.GC(GCOptions{Grace: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.path("blob")); len(left) != 1 || left[0].Name() != good {
		t.Errorf("left: %v", left)
	}
	if err := s.Remove(good); err != nil {
		t.Error(err)
	}
}

func TestGCKeepsWhatIsUsedAsADependency(t *testing.T) {
	needChown(t)
	s := open(t)
	now := time.Unix(1e9, 0)
	s.now = func() time.Time { return now }
	base := put(t, s, acitest.Image("base", "", acitest.File("b", "1")))
	middle := put(t, s, acitest.Image("middle", dep("base", "")))
	top := put(t, s, acitest.Image("top", dep("middle", "")))
	idle := put(t, s, acitest.Image("idle", ""))
	now = now.Add(23 * time.Hour)
	if _, _, err := s.RenderFor(ctx, top, "pod-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Release("pod-1"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	res, err := s.GC(GCOptions{Grace: 24 * time.Hour})
	if err != nil || len(res.Images) != 1 || res.Images[0].ID != idle {
		t.Errorf("GC removed %+v, %v", res.Images, err)
	}
	for _, id := range []string{base, middle, top} {
		if _, err := s.Info(id); err != nil {
			t.Error(err)
		}
	}
}

func TestGCOfWhatCanBeFetchedAgain(t *testing.T) {
	s := open(t)
	local, archive, fetched := put(t, s, acitest.Image("local", "")), put(t, s, acitest.Image("archive", "")), put(t, s, acitest.Image("fetched", ""))
	for url, id := range map[string]string{"docker-archive:/root/a.tar": archive, "docker://registry.example/fetched": fetched} {
		if err := s.SetRemote(Remote{URL: url, ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	res, err := s.GC(GCOptions{FetchedOnly: true})
	if err != nil || len(res.Images) != 1 || res.Images[0].ID != fetched {
		t.Errorf("GC removed %+v, %v", res, err)
	}
	if res, err = s.GC(GCOptions{}); err != nil || len(res.Images) != 2 {
		t.Errorf("GC removed %+v, not %s, %v", res, local, err)
	}
}
