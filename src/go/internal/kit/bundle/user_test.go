package bundle

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const passwd = "root:x:0:0:root:/root:/bin/sh\n# note\nbad\nweb:x:33:44:web:/srv:/bin/sh\n1000:x:7:7::/n:\nnohome:x:9:9:::\n"
const group = "root:x:0:\nweb:x:44:\nlog:x:4:web,root\nadm:x:3:web\nself:x:44:web\n"

func TestLookupUser(t *testing.T) {
	root := tree(t, map[string]string{"etc/passwd": passwd, "etc/group": group})
	for _, c := range []struct {
		user, group string
		want        User
	}{
		{"", "", User{0, 0, []uint32{4}, "/root", "root"}},
		{"web", "", User{33, 44, []uint32{3, 4}, "/srv", "web"}},
		{"33", "log", User{33, 4, []uint32{3, 44}, "/srv", "web"}},
		{"1000", "", User{7, 7, nil, "/n", "1000"}}, // a name that is a number comes first
		{"1001", "1002", User{1001, 1002, nil, "/", ""}},
		{"nohome", "", User{9, 9, nil, "/", "nohome"}},
	} {
		got, err := LookupUser(root, c.user, c.group)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:%s = %+v, %v; want %+v", c.user, c.group, got, err, c.want)
		}
	}
}

func TestLookupUserWithoutFiles(t *testing.T) {
	root := t.TempDir()
	if u, err := LookupUser(root, "5", "6"); err != nil || u.UID != 5 || u.GID != 6 {
		t.Errorf("%+v, %v", u, err)
	}
	for _, c := range [][2]string{{"web", ""}, {"0", "web"}, {"-1", ""}, {"4294967295", ""}} {
		if _, err := LookupUser(root, c[0], c[1]); err == nil || !strings.Contains(err.Error(), "container's etc") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestLookupUserByTheOwnerOfAFile(t *testing.T) {
	root := tree(t, map[string]string{"bin/tool": ""})
	want, err := os.Stat(root + "/bin/tool")
	if err != nil {
		t.Fatal(err)
	}
	owner := want.Sys().(*syscall.Stat_t)
	if u, err := LookupUser(root, "/bin/tool", "/bin/tool"); err != nil || u.UID != owner.Uid || u.GID != owner.Gid {
		t.Errorf("%+v, %v; want %d:%d", u, err, owner.Uid, owner.Gid)
	}
	if _, err := LookupUser(root, "/bin/none", ""); err == nil {
		t.Error("a missing file has an owner")
	}
}

func TestLookupUserStaysInside(t *testing.T) {
	root := tree(t, map[string]string{"real": "in:x:1:1::/:\n"})
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/real", root+"/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if u, err := LookupUser(root, "in", ""); err != nil || u.UID != 1 {
		t.Errorf("an absolute link inside: %+v, %v", u, err)
	}
	outside := tree(t, map[string]string{"passwd": "out:x:1:1::/:\n"})
	os.Remove(root + "/etc/passwd")
	if err := os.Symlink("../../../../../../.."+outside+"/passwd", root+"/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if _, err := LookupUser(root, "out", ""); err == nil {
		t.Error("a link led outside")
	}
}

// FuzzLookupUser: whatever an image's files say, an answer is one of theirs.
func FuzzLookupUser(f *testing.F) {
	f.Add(passwd, group, "web", "")
	f.Add("a:x:4294967295:1::/:/bin/sh\n:::::\n\x00:x:1:1::\x00:\n", "a:x:-1:a\n", "a", "a")
	f.Add(strings.Repeat("x:", 100), "\n\n", "1000", "4294967296")
	f.Fuzz(func(t *testing.T, passwd, group, user, asked string) {
		root := tree(t, map[string]string{"etc/passwd": passwd, "etc/group": group})
		u, err := LookupUser(root, user, asked)
		if err != nil {
			return
		}
		if u.Home == "" || strings.Contains(u.Name+u.Home, "\n") {
			t.Errorf("%+v", u)
		}
		if u.Name != "" && !strings.Contains(passwd, u.Name+":") {
			t.Errorf("nobody is named %q", u.Name)
		}
		if u.UID == 1<<32-1 || u.GID == 1<<32-1 {
			t.Errorf("%+v: (uid_t) -1 is no user", u)
		}
	})
}
