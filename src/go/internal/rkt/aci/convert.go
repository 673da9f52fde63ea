package aci

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/kit/image"
)

// Source says where a Docker or OCI image came from, for its name, version
// and annotations.
type Source struct {
	Name       string // registry and repository; made an AC Identifier
	Version    string // tag or digest; "" means latest
	Registry   string // "" for images that are not from a registry
	Repository string
	Original   string // what the user asked for
}

// Convert writes the App Container image, uncompressed, that a Docker or OCI
// image corresponds to: layers flattened, and the manifest made of the image's
// configuration as docker2aci documents it (ports named "6379-tcp", volumes
// "volume-var-tmp", Docker's own data in annotations "appc.io/docker/…").
// The same image and source give the same bytes. Layers are spooled in tmp.
func Convert(ctx context.Context, img v1.Image, src Source, tmp string, w io.Writer) error {
	tree, done, err := image.Merge(ctx, img, tmp)
	if err != nil {
		return err
	}
	defer done()
	cf, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	m, err := manifest(img, cf, src, tree)
	if err != nil {
		return err
	}
	if m.App.WorkingDirectory != "" { // Docker makes it; appc demands it
		if err := tree.MakeDir(m.App.WorkingDirectory); err != nil {
			return fmt.Errorf("working directory %q: %w", m.App.WorkingDirectory, err)
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("image manifest: %w", err)
	}
	if _, err := ParseManifest(data); err != nil {
		return err
	}
	return write(ctx, w, data, tree)
}

func write(ctx context.Context, w io.Writer, manifest []byte, tree *archive.Tree) error {
	tw := tar.NewWriter(w)
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: ManifestFile, Size: int64(len(manifest)), Mode: 0o644,
		ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	if _, err := tw.Write(manifest); err != nil {
		return err
	}
	if err := tree.WriteTar(ctx, tw, RootFS+"/"); err != nil {
		return err
	}
	return tw.Close()
}

func manifest(img v1.Image, cf *v1.ConfigFile, src Source, tree *archive.Tree) (*schema.ImageManifest, error) {
	m := schema.BlankImageManifest()
	name, err := SanitizeName(src.Name)
	if err != nil {
		return nil, err
	}
	m.Name = name
	if m.Labels, err = labels(cf, src.Version); err != nil {
		return nil, err
	}
	if m.App, err = app(cf.Config, tree); err != nil {
		return nil, err
	}
	m.Annotations, err = annotations(img, cf, src)
	return m, err
}

var (
	notIdentifier = regexp.MustCompile(`[^a-z0-9\-._~/]`)
	separators    = regexp.MustCompile(`[-._~/]{2,}`)
	notName       = regexp.MustCompile(`[^a-z0-9]+`)
)

// SanitizeName makes an AC Identifier (types.md) of a name: lower case, "-" for
// characters that are not allowed, one separator where there are several.
func SanitizeName(s string) (types.ACIdentifier, error) {
	out := notIdentifier.ReplaceAllString(strings.ToLower(s), "-")
	out = separators.ReplaceAllStringFunc(out, func(run string) string {
		if strings.Contains(run, "/") {
			return "/"
		}
		return run[:1]
	})
	out = strings.Trim(out, "-._~/")
	if out == "" {
		return "", fmt.Errorf("%q has nothing that an image name may be made of", s)
	}
	return types.ACIdentifier(out), CheckName(types.ACIdentifier(out))
}

// acName makes an AC Name.
func acName(s string) (types.ACName, error) {
	n, err := types.NewACName(strings.Trim(notName.ReplaceAllString(strings.ToLower(s), "-"), "-"))
	if err != nil {
		return "", fmt.Errorf("%q: %w", s, err)
	}
	return *n, nil
}

func labels(cf *v1.ConfigFile, version string) (types.Labels, error) {
	if version == "" {
		version = "latest"
	}
	l := map[types.ACIdentifier]string{"version": version}
	if cf.OS != "" && cf.Architecture != "" {
		os, arch, err := types.ToAppcOSArch(cf.OS, cf.Architecture, strings.TrimPrefix(cf.Variant, "v"))
		if err != nil {
			return nil, err
		}
		l["os"], l["arch"] = os, arch
	}
	return types.LabelsFromMap(l)
}

func app(c v1.Config, tree *archive.Tree) (*types.App, error) {
	a := &types.App{Exec: types.Exec(slices.Concat(c.Entrypoint, c.Cmd)), UserLabels: c.Labels}
	if c.WorkingDir != "" {
		a.WorkingDirectory = path.Clean("/" + c.WorkingDir)
	}
	setUser(a, c.User, tree)
	for _, e := range c.Env {
		k, v, _ := strings.Cut(e, "=")
		if _, err := json.Marshal(types.Environment{{Name: k}}); err != nil {
			continue // appc has no such names (aci.md, "environment")
		}
		a.Environment.Set(k, v)
	}
	var err error
	if a.Ports, err = ports(c.ExposedPorts); err != nil {
		return nil, err
	}
	a.MountPoints, err = mountPoints(c.Volumes)
	return a, err
}

// setUser splits Docker's "user[:group]". Without a group it is the user's in
// the image's etc/passwd, and supplementary groups come from its etc/group, as
// Docker has it; a user that is not listed there gets group 0.
func setUser(a *types.App, user string, tree *archive.Tree) {
	name, group, hasGroup := strings.Cut(user, ":")
	a.User, a.Group = orZero(name), orZero(group)
	if hasGroup {
		return
	}
	for _, f := range colonFile(tree, "etc/passwd", 4) {
		if f[0] != a.User && f[2] != a.User {
			continue
		}
		if _, err := strconv.ParseUint(f[3], 10, 32); err == nil {
			a.Group = f[3]
		}
		a.SupplementaryGIDs = groupsOf(tree, f[0], a.Group)
		return
	}
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

func groupsOf(tree *archive.Tree, user, primary string) []int {
	var gids []int
	for _, f := range colonFile(tree, "etc/group", 4) {
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err == nil && f[2] != primary && slices.Contains(strings.Split(f[3], ","), user) {
			gids = append(gids, int(gid))
		}
	}
	return gids
}

// colonFile reads passwd(5) and group(5): lines of at least n fields.
func colonFile(tree *archive.Tree, name string, n int) [][]string {
	data, _ := tree.ReadFile(name, 4<<20)
	var out [][]string
	for line := range strings.SplitSeq(string(data), "\n") {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) >= n {
			out = append(out, f)
		}
	}
	return out
}

func ports(exposed map[string]struct{}) ([]types.Port, error) {
	var out []types.Port
	for _, spec := range sorted(exposed) {
		number, proto, ok := strings.Cut(spec, "/")
		if !ok || proto == "" {
			proto = "tcp"
		}
		first, last, isRange := strings.Cut(number, "-")
		from, err := strconv.ParseUint(first, 10, 16)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(last, 10, 16)
		}
		if err != nil || from == 0 || to < from {
			return nil, fmt.Errorf("exposed port %q is not a port", spec)
		}
		name, err := acName(number + "-" + proto)
		if err != nil {
			return nil, fmt.Errorf("exposed port: %w", err)
		}
		out = append(out, types.Port{Name: name, Protocol: proto, Port: uint(from), Count: uint(to - from + 1)})
	}
	return out, nil
}

func mountPoints(volumes map[string]struct{}) ([]types.MountPoint, error) {
	var out []types.MountPoint
	used := map[types.ACName]int{}
	for _, v := range sorted(volumes) {
		name, err := acName("volume-" + v)
		if err != nil {
			return nil, fmt.Errorf("volume: %w", err)
		}
		if used[name]++; used[name] > 1 { // "/a-b" and "/a/b"
			name += types.ACName(fmt.Sprintf("-%d", used[name]))
		}
		out = append(out, types.MountPoint{Name: name, Path: path.Clean("/" + v)})
	}
	return out, nil
}

func sorted(set map[string]struct{}) []string {
	var keys []string
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func annotations(img v1.Image, cf *v1.ConfigFile, src Source) (types.Annotations, error) {
	id, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	created := ""
	if !cf.Created.IsZero() {
		created = cf.Created.UTC().Format(time.RFC3339)
	}
	var a types.Annotations
	for _, kv := range [][2]string{
		{"authors", cf.Author}, {"created", created},
		{"appc.io/docker/originalname", src.Original}, {"appc.io/docker/registryurl", src.Registry},
		{"appc.io/docker/repository", src.Repository}, {"appc.io/docker/tag", src.Version},
		{"appc.io/docker/imageid", id.String()}, {"appc.io/docker/manifesthash", digest.String()},
		{"appc.io/docker/entrypoint", jsonList(cf.Config.Entrypoint)}, {"appc.io/docker/cmd", jsonList(cf.Config.Cmd)},
	} {
		if kv[1] != "" {
			a = append(a, types.Annotation{Name: types.ACIdentifier(kv[0]), Value: kv[1]})
		}
	}
	return a, nil
}

func jsonList(list []string) string {
	if len(list) == 0 {
		return ""
	}
	data, err := json.Marshal(list)
	if err != nil {
		return ""
	}
	return string(data)
}
