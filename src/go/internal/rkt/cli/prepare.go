package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"photonbuild.invalid/compat/internal/kit/durable"
	"photonbuild.invalid/compat/internal/rkt/fetch"
	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/podspec"
	"photonbuild.invalid/compat/internal/rkt/stage1"
	"photonbuild.invalid/compat/internal/rkt/store"
)

// newPrepare is "rkt prepare" (Documentation/subcommands/prepare.md).
func newPrepare(g *Global) *cobra.Command {
	p := &podFlags{}
	c := podCommand(g, p, "prepare", "Prepare to run images in a pod and print its UUID")
	c.Flags().BoolVar(&p.quiet, "quiet", false, "suppress superfluous output, print only the UUID on success")
	c.RunE = p.parsed(func(c *cobra.Command) error {
		made, err := g.preparePod(c.Context(), p, stage1.Options{})
		if err != nil {
			return err
		}
		defer made.Unlock()
		if err := durable.Flush(made.Path()); err != nil {
			return err
		}
		if err := made.Move(pod.Prepared); err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), made.UUID)
		return err
	})
	return c
}

const podHelp = "Options of an app follow its image; arguments of its command follow --, and the next image ---.\n" +
	"IMAGE is a name with labels, an image ID, an ACI file, an https:// URL, docker://NAME, oci:PATH or\n" +
	"docker-archive:PATH. Images that are not in the local store are fetched."

func podCommand(g *Global, p *podFlags, name, short string) *cobra.Command {
	c := &cobra.Command{
		Use:                name + " [--volume=...] IMAGE [--exec=PATH ...] [-- ARGUMENTS] [--- IMAGE ...]",
		Short:              short,
		Long:               podHelp,
		DisableFlagParsing: true, // options belong to the image before them
		ValidArgsFunction:  completePod(g),
	}
	p.bind(c.Flags())
	return c
}

// parsed parses the command line in place of cobra.
func (p *podFlags) parsed(run func(c *cobra.Command) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		c.Flags().AddFlagSet(c.InheritedFlags())
		err := p.parse(c.Flags(), args)
		if errors.Is(err, pflag.ErrHelp) {
			return c.Help()
		}
		if err != nil {
			return err
		}
		switch {
		case p.podManifest == "" && len(p.apps) == 0:
			return Errorf("an image is needed").Hint("rkt %s --help", c.Name())
		case p.podManifest != "" && len(p.apps) > 0:
			return Errorf("--pod-manifest goes with no image")
		case p.interactive && len(p.apps) > 1:
			return Errorf("--interactive goes with one image only")
		}
		return run(c)
	}
}

// preparePod fetches and renders the images and makes a pod in the prepare
// phase, locked. A failure leaves no pod.
func (g *Global) preparePod(ctx context.Context, p *podFlags, o stage1.Options) (made *pod.Pod, err error) {
	f, err := g.newFetcher(&p.pull)
	if err != nil {
		return nil, err
	}
	m, images, err := p.manifest(ctx, f)
	if err != nil {
		return nil, err
	}
	warnings, err := podspec.Reify(m, func(app types.ACName) (*schema.ImageManifest, error) {
		return images[app], nil
	})
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		Warnf("%s", w)
	}
	dir, err := g.dataDir()
	if err != nil {
		return nil, err
	}
	if made, err = pod.Open(dir).New(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Store.Release(made.UUID), made.Discard())
		}
	}()
	if err := g.render(ctx, f.Store, made, m, images); err != nil {
		return made, err
	}
	o.Stdio = p.stdio(m)
	return made, errors.Join(made.SetManifest(m), made.SetOptions(o), made.SetCreated())
}

func (g *Global) render(ctx context.Context, s *store.Store, p *pod.Pod, m *schema.PodManifest, images map[types.ACName]*schema.ImageManifest) error {
	for _, a := range m.Apps {
		dir, tree, err := s.RenderFor(ctx, a.Image.ID.String(), p.UUID)
		if err != nil {
			return fmt.Errorf("app %s: %w", a.Name, err)
		}
		g.Debugf("app %s: image %s, rendered in %s", a.Name, a.Image.ID, dir)
		if err := p.SetImage(a.Name.String(), images[a.Name], tree, dir); err != nil {
			return err
		}
	}
	return nil
}

// manifest makes the pod manifest, of images or of a file.
func (p *podFlags) manifest(ctx context.Context, f fetch.Fetcher) (*schema.PodManifest, map[types.ACName]*schema.ImageManifest, error) {
	images := map[types.ACName]*schema.ImageManifest{}
	var m *schema.PodManifest
	if p.podManifest != "" {
		data, err := os.ReadFile(p.podManifest)
		if err != nil {
			return nil, nil, fmt.Errorf("pod manifest: %w", err)
		}
		if m, err = podspec.Parse(data); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.podManifest, err)
		}
	} else {
		spec := podspec.Pod{Volumes: p.volumes, Mounts: p.mounts, Ports: p.ports, Set: append(append([]podspec.Variable{}, p.file...), p.set...)}
		if p.inherit {
			for _, e := range os.Environ() {
				var list []podspec.Variable
				if addVariable(&list, e) == nil {
					spec.Inherited = append(spec.Inherited, list...)
				}
			}
		}
		for _, a := range p.apps {
			if err := a.fetch(ctx, f); err != nil {
				return nil, nil, err
			}
			spec.Apps = append(spec.Apps, a.app)
		}
		var err error
		if m, err = podspec.Build(spec); err != nil {
			return nil, nil, err
		}
	}
	for _, a := range m.Apps {
		image, err := f.Store.Manifest(a.Image.ID.String())
		if err != nil {
			return nil, nil, fmt.Errorf("app %s: %w", a.Name, err)
		}
		images[a.Name] = image
	}
	return m, images, nil
}

func (a *appFlags) fetch(ctx context.Context, f fetch.Fetcher) error {
	f.Signature = a.signature
	id, err := f.Image(ctx, a.ref, fetch.Auto)
	if err != nil {
		return err
	}
	hash, err := types.NewHash(id)
	if err != nil {
		return fmt.Errorf("image %s: %w", a.ref, err)
	}
	a.app.ID = *hash
	a.app.Manifest, err = f.Store.Manifest(id)
	return err
}

func (p *podFlags) stdio(m *schema.PodManifest) map[string]stage1.Stdio {
	out := map[string]stage1.Stdio{}
	for i, a := range p.apps {
		if i < len(m.Apps) && (a.stdin != "" || a.stdout != "" || a.stderr != "") {
			out[m.Apps[i].Name.String()] = stage1.Stdio{Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr}
		}
	}
	return out
}
