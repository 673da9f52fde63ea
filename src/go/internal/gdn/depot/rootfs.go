package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/sys/unix"

	"photonbuild.invalid/compat/internal/gdn/api"
	"photonbuild.invalid/compat/internal/gdn/disk"
	"photonbuild.invalid/compat/internal/gdn/sidecar"
	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/image"
	"photonbuild.invalid/compat/internal/kit/overlay"
)

// base is what a container's own file system lies on.
type base struct {
	layers []string // lowest first
	env    []string
	image  string // id in the store, "" for a directory
}

// reference turns Garden's URI of a root file system into what kit/image reads:
//
//	docker:///name#tag, docker://registry/name#tag, oci:///path#ref, docker-archive:///path#ref
//
// ok is false for a plain path, which comes back without "file://" and the like.
func reference(uri, registry string) (ref string, ok bool, err error) {
	scheme, rest, has := strings.Cut(uri, ":")
	if !has || strings.HasPrefix(uri, "/") {
		path, _, _ := strings.Cut(uri, "#")
		return path, false, nil
	}
	name, tag, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "#")
	switch scheme {
	case "docker":
		if strings.HasPrefix(name, "/") { // no host: the default registry
			if name = strings.Trim(name, "/"); registry != "" && name != "" {
				name = registry + "/" + name
			}
		}
		if name == "" {
			return "", false, fmt.Errorf("root file system %q names no image", uri)
		}
		if strings.HasPrefix(tag, "sha256:") {
			name += "@" + tag
		} else if tag != "" {
			name += ":" + tag
		}
		return "docker://" + name, true, nil
	case "oci", "docker-archive":
		if !strings.HasPrefix(name, "/") {
			return "", false, fmt.Errorf("root file system %q: the path must be absolute", uri)
		}
		if tag != "" {
			name += ":" + tag
		}
		return scheme + ":" + name, true, nil
	case "file":
		return name, false, nil
	}
	return "", false, fmt.Errorf("root file system %q: unknown scheme %q (hint: a path, docker://, oci:// or docker-archive://)", uri, scheme)
}

// prepare makes the layers of a root file system available.
func (d *Depot) prepare(ctx context.Context, spec api.ContainerSpec) (base, error) {
	uri := spec.RootFS()
	if uri == "" {
		if uri = d.c.DefaultRootFS; uri == "" {
			return base{}, fmt.Errorf("no root file system is given and the server has no default one (hint: image.uri, or gdn server --default-rootfs)")
		}
	}
	ref, isImage, err := reference(uri, d.c.Registry)
	if err != nil {
		return base{}, err
	}
	if !isImage {
		st, err := os.Stat(ref)
		switch {
		case err != nil:
			return base{}, fmt.Errorf("root file system: %w", err)
		case !filepath.IsAbs(ref):
			return base{}, fmt.Errorf("root file system %q: the path must be absolute", uri)
		case st.IsDir():
			return base{layers: []string{filepath.Clean(ref)}}, nil
		case !st.Mode().IsRegular():
			return base{}, fmt.Errorf("root file system %s is neither a directory nor an image archive", ref)
		}
		ref = "docker-archive:" + ref
	}
	return d.unpack(ctx, ref, spec.Image)
}

func (d *Depot) unpack(ctx context.Context, name string, login api.ImageRef) (base, error) {
	ref, err := image.Parse(name)
	if err != nil {
		return base{}, err
	}
	key, local := archiveKey(ref)
	if local { // many creations at once read an archive once
		d.reading.Lock()
		defer d.reading.Unlock()
		if b, ok := d.unpacked(key); ok {
			return b, nil
		}
	}
	o := image.FetchOptions{Insecure: slices.Contains(d.c.InsecureRegistries, ref.Registry())}
	if login.Username != "" {
		o.Auth = keychain{authn.AuthConfig{Username: login.Username, Password: login.Password}}
	}
	img, err := image.Fetch(ctx, ref, o)
	if err != nil {
		return base{}, err
	}
	u, err := d.store.Add(ctx, img)
	if err != nil {
		return base{}, err
	}
	if local {
		d.usageMu.Lock()
		d.archives[key] = u.ID
		d.usageMu.Unlock()
	}
	return base{layers: u.Layers, env: u.Config.Env, image: u.ID}, nil
}

// archiveKey tells one state of an archive file from all others, so that an archive that was
// read once, which takes a second or more, need not be read again.
func archiveKey(ref image.Reference) (key string, ok bool) {
	if ref.Transport != image.DockerArchive {
		return "", false
	}
	var st unix.Stat_t
	if err := unix.Stat(ref.Path, &st); err != nil {
		return "", false
	}
	return fmt.Sprintf("%s %d %d %d %d.%d %d.%d", ref, st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec), true
}

// unpacked finds an archive's image in the store.
func (d *Depot) unpacked(key string) (base, bool) {
	d.usageMu.Lock()
	id, known := d.archives[key]
	d.usageMu.Unlock()
	if !known {
		return base{}, false
	}
	u, ok, err := d.store.Lookup(id)
	return base{layers: u.Layers, env: u.Config.Env, image: u.ID}, ok && err == nil
}

// keychain gives the same credentials to every registry.
type keychain struct{ login authn.AuthConfig }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(k.login), nil
}

// usage adds up the layers; the sum is remembered beside the store.
func (d *Depot) usage(b base) disk.Usage {
	var sum disk.Usage
	for _, l := range b.layers {
		d.usageMu.Lock()
		u, known := d.usages[l]
		d.usageMu.Unlock()
		if !known {
			var err error
			if u, err = disk.Walk(l); err != nil {
				d.log.Warn("cannot add up a layer", "layer", l, "error", err)
			}
			if b.image != "" { // a directory may change
				d.usageMu.Lock()
				d.usages[l] = u
				d.usageMu.Unlock()
			}
		}
		sum.Bytes += u.Bytes
		sum.Inodes += u.Inodes
	}
	return sum
}

// mountRoot makes the container's own file system, bounded when it has a disk limit, and
// mounts it over the layers.
func (d *Depot) mountRoot(s State, layers []string) error {
	dir := d.dir(s.ID)
	own := dir
	if limit := s.Limits.Disk; limit.ByteHard != 0 {
		size := limit.ByteHard
		if limit.Scope == api.DiskScopeTotal {
			if s.ImageUsage.Bytes >= size {
				return fmt.Errorf("disk limit of %d bytes: the image alone takes %d", size, s.ImageUsage.Bytes)
			}
			size -= s.ImageUsage.Bytes
		}
		own = d.diskDir(s.ID)
		if err := d.makeSearchable(own); err != nil {
			return err
		}
		if err := disk.Create(d.diskImage(s.ID), own, size, limit.InodeHard); err != nil {
			return err
		}
	}
	return d.mountLayers(s, mountPoint{rootfs: d.rootfs(s.ID), own: own, base: filepath.Join(dir, "base"), image: s.Image}, layers)
}

// mountPoint is where layers are mounted.
type mountPoint struct {
	rootfs string // made
	own    string // folder of the upper and the work folder, which are made
	base   string // of a copy, when the layers have no id-mapped mounts
	image  string // id in the store, "" for a directory
}

func (d *Depot) mountLayers(s State, m mountPoint, layers []string) error {
	upper, work := filepath.Join(m.own, "upper"), filepath.Join(m.own, "work")
	for _, p := range []string{upper, work} {
		if err := os.Mkdir(p, 0o755); err != nil {
			return err
		}
		if err := os.Chown(p, d.c.hostID(s.Privileged, 0), d.c.hostID(s.Privileged, 0)); err != nil {
			return err
		}
	}
	var st unix.Stat_t // the top folder is the upper one: it must look like that of the image
	if err := unix.Stat(layers[len(layers)-1], &st); err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	if err := os.Chmod(upper, os.FileMode(st.Mode&0o777)); err != nil {
		return err
	}
	if err := os.Mkdir(m.rootfs, 0o755); err != nil {
		return err
	}
	err := overlay.Mount(m.rootfs, layers, upper, work, d.c.idMap(s.Privileged))
	if errors.Is(err, unix.EINVAL) && !s.Privileged && m.image == "" {
		d.log.Info("copying a root file system whose file system has no id-mapped mounts", "handle", s.Handle, "path", layers[0])
		cerr := copyTree(m.base, layers[0])
		if cerr != nil {
			return errors.Join(err, cerr)
		}
		err = overlay.Mount(m.rootfs, []string{m.base}, upper, work, d.c.idMap(s.Privileged))
	}
	return err
}

// copyTree copies a directory.
func copyTree(to, from string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() {
		_ = w.CloseWithError(archive.Create(context.Background(), w, from, "/", archive.CreateOptions{ContentsOnly: true}))
	}()
	err := archive.Extract(context.Background(), r, to, archive.Options{})
	_ = r.CloseWithError(err)
	return err
}

// collectAbove removes unused images when the store takes more than limit bytes.
func (d *Depot) collectAbove(limit uint64) error {
	u, err := disk.Walk(d.c.Graph)
	if err != nil || u.Bytes <= limit {
		return err
	}
	used := map[string]bool{}
	d.mu.Lock()
	for _, c := range d.containers {
		s := c.get()
		used[s.Image] = true
		for _, p := range sidecar.List(s.ID, d.sidecars(s.ID)) {
			used[p.Image] = true
		}
	}
	d.mu.Unlock()
	freed, err := d.store.GC(func(id string) bool { return used[id] })
	d.log.Info("unused images removed", "bytes", freed)
	return err
}
