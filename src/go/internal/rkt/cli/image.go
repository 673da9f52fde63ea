package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/fetch"
	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/store"
)

// newImage is "rkt image" (rkt's Documentation/subcommands/image.md).
func newImage(g *Global) *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Operate on images in the local store",
		Args:  refuseUnknown,
		RunE:  func(c *cobra.Command, args []string) error { return c.Help() },
	}
	for _, f := range []func(*Global) *cobra.Command{
		newImageCatManifest, newImageExport, newImageExtract, newImageGC, newImageList, newImageRender, newImageRm, newImageVerify,
	} {
		sub := f(g)
		if strings.Contains(sub.Use, "IMAGE") {
			sub.ValidArgsFunction = completeImage(g)
		}
		c.AddCommand(sub)
	}
	return c
}

// completeImage completes IDs and names of the images in the store, and files.
func completeImage(g *Global) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		s, err := g.imageStore()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		list, err := s.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var out []string
		for _, i := range list {
			out = append(out, versioned(i), i.ID[:len("sha512-")+12]+"\t"+versioned(i))
		}
		return out, cobra.ShellCompDirectiveDefault
	}
}

func newImageCatManifest(g *Global) *cobra.Command {
	var pretty bool
	c := &cobra.Command{
		Use:   "cat-manifest IMAGE",
		Short: "Inspect and print the image manifest",
		Args:  needArgs(1, "an image is needed"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := g.imageStore()
			if err != nil {
				return err
			}
			id, err := fetch.Local(s, args[0])
			if err != nil {
				return err
			}
			m, err := s.Manifest(id)
			if err != nil {
				return err
			}
			data, err := json.Marshal(m)
			if pretty {
				data, err = json.MarshalIndent(m, "", "\t")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), string(data))
			return err
		},
	}
	c.Flags().BoolVar(&pretty, "pretty-print", true, "apply indent to format the output")
	return c
}

func newImageRm(g *Global) *cobra.Command {
	return &cobra.Command{
		Use:   "rm IMAGE...",
		Short: "Remove one or more images with the given IDs or names from the local store",
		Args:  needArgs(1, "an image is needed"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := g.imageStore()
			if err != nil {
				return err
			}
			return forEach(args, func(ref string) error {
				id, err := fetch.Local(s, ref)
				if err != nil {
					return err
				}
				info, err := s.Info(id)
				if err != nil {
					return err
				}
				if err := s.Remove(id); err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "successfully removed aci for image: %q (%q)\n", id, info.Name)
				return err
			})
		},
	}
}

// forEach does all and joins what failed.
func forEach(args []string, do func(string) error) error {
	var errs []error
	for _, a := range args {
		if err := do(a); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func newImageGC(g *Global) *cobra.Command {
	var o store.GCOptions
	c := &cobra.Command{
		Use:   "gc",
		Short: "Garbage collect local store",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := g.imageStore()
			if err != nil {
				return err
			}
			if o.Alive, err = g.alivePods(); err != nil {
				return err
			}
			res, err := s.GC(o)
			if res != nil {
				printGC(c, res)
			}
			return err
		},
	}
	c.Flags().BoolVar(&o.FetchedOnly, "fetched-only", false, "keep images that came from files: they cannot be fetched again")
	c.Flags().DurationVar(&o.Grace, "grace-period", 24*time.Hour, "duration to wait since an image was last used before removing it")
	return c
}

func printGC(c *cobra.Command, res *store.GCResult) {
	for _, t := range res.Trees {
		fmt.Fprintf(c.OutOrStdout(), "removed treestore %q\n", t)
	}
	for _, i := range res.Images {
		fmt.Fprintf(c.OutOrStdout(), "successfully removed aci for image: %q (%q)\n", i.ID, i.Name)
	}
	fmt.Fprintf(c.OutOrStdout(), "%d image(s) successfully removed\n", len(res.Images))
}

// alivePods says which pods still exist, and so hold rendered images.
func (g *Global) alivePods() (func(uuid string) bool, error) {
	dir, err := g.dataDir()
	if err != nil {
		return nil, err
	}
	pods, err := pod.Open(dir).List()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, p := range pods {
		known[p.UUID] = true
	}
	return func(uuid string) bool {
		if known[uuid] {
			return true
		}
		_, err := pod.Open(dir).Get(uuid) // made meanwhile
		return err == nil
	}, nil
}

func newImageVerify(g *Global) *cobra.Command {
	return &cobra.Command{
		Use:   "verify IMAGE...",
		Short: "Verify one or more rendered images in the local store",
		Args:  needArgs(1, "an image is needed"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := g.imageStore()
			if err != nil {
				return err
			}
			return forEach(args, func(ref string) error {
				id, err := fetch.Local(s, ref)
				if err != nil {
					return err
				}
				if err := s.Verify(c.Context(), id); err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "successfully verified checksum for image: %q (%q)\n", ref, id)
				return err
			})
		},
	}
}
