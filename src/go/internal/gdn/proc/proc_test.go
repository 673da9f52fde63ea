package proc

import (
	"os"
	"testing"
)

func TestStat(t *testing.T) {
	const rest = " S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 10"
	for stat, want := range map[string]uint64{"7 (sh)" + rest: 4242, "7 (a) b) c)" + rest: 4242} {
		if got, err := parseStat(stat); got != want || err != nil {
			t.Errorf("%q: %d %v", stat, got, err)
		}
	}
	for _, stat := range []string{"", "7 (sh)", "7 sh" + rest, "7 (sh) Z 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9"} {
		if got, err := parseStat(stat); err == nil {
			t.Errorf("%q: %d", stat, got)
		}
	}
}

// FuzzStat: a process chooses its name.
func FuzzStat(f *testing.F) {
	f.Add("sh")
	f.Add(") S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1 9 10")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := parseStat("7 (" + name + ") S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 10")
		if err != nil || got != 4242 {
			t.Errorf("%q: %d %v", name, got, err)
		}
	})
}

func TestWriteJSONLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if err := WriteJSON(dir+"/f", func() {}); err == nil {
		t.Error("a function is JSON")
	}
	if err := WriteJSON(dir+"/f", 7); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%v", left)
	}
}
