package netns

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func make1(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sub", "ns")
	if err := New(path); err != nil {
		t.Skipf("no network namespace may be made here: %v", err)
	}
	t.Cleanup(func() { Remove(path) })
	return path
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestANewNamespaceHasLoopbackAndNothingElse(t *testing.T) {
	path := make1(t)
	var names []string
	var up bool
	err := Do(path, func() error {
		list, err := net.Interfaces()
		for _, i := range list {
			names = append(names, i.Name)
			up = up || i.Name == "lo" && i.Flags&net.FlagUp != 0
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !up || names[0] != "lo" {
		t.Errorf("interfaces %v, loopback up: %v", names, up)
	}
}

func TestASocketStaysInItsNamespace(t *testing.T) {
	path := make1(t)
	var l net.Listener
	if err := Do(path, func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:0"); return }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("the listener is reachable from outside")
	}
	err := Do(path, func() error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Errorf("from inside: %v", err)
	}
}

func TestTheCallersNamespaceIsUntouched(t *testing.T) {
	before := inode(t, "/proc/self/ns/net")
	path := make1(t)
	if inode(t, path) == before {
		t.Error("the namespace is the caller's own")
	}
	if after := inode(t, "/proc/self/ns/net"); after != before {
		t.Errorf("namespace changed from %d to %d", before, after)
	}
}

func TestRemoveTwiceAndNewOverAnExistingName(t *testing.T) {
	path := make1(t)
	if err := New(path); err == nil {
		t.Error("a second namespace took the same name")
	}
	for range 2 {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestATemporaryNamespaceIsFurnishedAndNotTheCallers(t *testing.T) {
	before := inode(t, "/proc/self/ns/net")
	var inside, called uint64
	err := Temporary(func() error {
		inside = inode(t, self)
		return nil
	}, func(path string) error {
		called = inode(t, path)
		if inode(t, self) != before {
			t.Error("the caller was moved")
		}
		return nil
	})
	if err != nil {
		t.Skipf("no network namespace may be made here: %v", err)
	}
	if inside == before || called != inside {
		t.Errorf("namespaces: own %d, inside %d, by path %d", before, inside, called)
	}
}
