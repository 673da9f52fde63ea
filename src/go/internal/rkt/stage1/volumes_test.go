package stage1

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/kit/thread"
	"photonbuild.invalid/compat/internal/rkt/pod"
)

// withMounts runs f where it may mount what it likes.
func withMounts(t *testing.T, f func()) {
	t.Helper()
	thread.Run(func() {
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")); err != nil {
			t.Skipf("nothing can be mounted: %v", err)
		}
		f()
	})
}

// Who may write in a folder of the host puts a link where a volume was: the app
// still gets what was looked at.
func TestAVolumeIsPinned(t *testing.T) {
	withMounts(t, func() {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"secret", "mine/data"} {
			os.MkdirAll(dir+"/"+name, 0o755)
			if err := os.WriteFile(dir+"/"+name+"/file", []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		directory, err := pin(dir+"/mine/data", dir+"/pins/0", true)
		if err != nil || !directory {
			t.Fatalf("%v %v", directory, err)
		}
		if directory, err := pin(dir+"/mine/data/file", dir+"/pins/1", true); err != nil || directory {
			t.Fatalf("%v %v", directory, err)
		}
		if err := errors.Join(os.Rename(dir+"/mine/data", dir+"/mine/old"), os.Symlink("../secret", dir+"/mine/data")); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/pins/0/file", "/pins/1"} {
			if got, err := os.ReadFile(dir + path); err != nil || string(got) != "mine/data" {
				t.Errorf("%s: %q %v", path, got, err)
			}
		}
	})
}

func somePod(t *testing.T) *pod.Pod {
	t.Helper()
	p, err := pod.Open(t.TempDir()).New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Unlock)
	return p
}

func TestAnImageOfDockersFillsItsVolumes(t *testing.T) {
	if err := os.Chown(t.TempDir(), 7, 8); err != nil {
		t.Skipf("cannot change owners here: %v", err)
	}
	for _, c := range []struct {
		annotation, volume string
		want               string
	}{
		{"appc.io/docker/imageid", "app-data", "contents"},
		{"appc.io/docker/imageid", "data", ""}, // the user's own
		{"authors", "app-data", ""},            // not of Docker's
	} {
		p, rootfs := somePod(t), t.TempDir()
		for _, err := range []error{
			os.MkdirAll(rootfs+"/real/sub", 0o755), os.WriteFile(rootfs+"/real/sub/file", []byte("contents"), 0o640),
			os.Symlink("/real", rootfs+"/data"), os.Symlink("/etc/passwd", rootfs+"/real/link"),
			os.Chown(rootfs+"/real/sub/file", 5, 6), os.Chown(rootfs+"/real", 7, 8), os.Chmod(rootfs+"/real", 0o2770|os.ModeSetgid),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		image := schema.BlankImageManifest()
		image.Name = "image"
		image.Annotations = types.Annotations{{Name: types.ACIdentifier(c.annotation), Value: "x"}}
		if err := p.SetImage("app", image, "tree", rootfs); err != nil {
			t.Fatal(err)
		}
		v, err := types.VolumeFromString(c.volume + ",kind=empty")
		if err != nil {
			t.Fatal(err)
		}
		a := &schema.RuntimeApp{Name: "app", Mounts: []schema.Mount{{Volume: v.Name, Path: "/data"}},
			App: &types.App{MountPoints: []types.MountPoint{{Name: "data", Path: "/data"}}}}
		list, err := volumes(p, &schema.PodManifest{Volumes: []types.Volume{*v}}, a, rootfs)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(list[0].source + "/sub/file")
		if string(got) != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		var st unix.Stat_t
		if err := unix.Stat(list[0].source, &st); err != nil {
			t.Fatal(err)
		}
		if filled := st.Uid == 7 && st.Gid == 8 && st.Mode&0o7777 == 0o2770; filled != (c.want != "") {
			t.Errorf("%+v: owner %d:%d, mode %o", c, st.Uid, st.Gid, st.Mode)
		}
		if link, err := os.Readlink(list[0].source + "/link"); c.want != "" && (err != nil || link != "/etc/passwd") {
			t.Errorf("%+v: link %q %v", c, link, err)
		}
	}
}
