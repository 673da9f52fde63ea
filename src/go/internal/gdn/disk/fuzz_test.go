package disk

import (
	"strings"
	"testing"
)

// FuzzMounts: a mount point's name may hold anything, as the kernel writes it.
func FuzzMounts(f *testing.F) {
	f.Add("/a b\tc\nd\\e", "/dev/loop0")
	f.Add("/x - y", "none")
	f.Fuzz(func(t *testing.T, target, source string) {
		if !strings.HasPrefix(target, "/") || source == "" { // a mount point is an absolute path
			return
		}
		for _, c := range []byte(target + source) { // other white space the kernel leaves as it is
			if c < 9 || c > 10 && c < 32 || c > 126 {
				return
			}
		}
		escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)
		text := "36 35 98:0 / " + escape.Replace(target) + " rw,noatime master:1 - ext4 " + escape.Replace(source) + " rw\n"
		got := parseMounts(text)
		if len(got) != 1 || got[0].Target != target || got[0].Source != source {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
