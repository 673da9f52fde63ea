package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/kit/archive"
	"photonbuild.invalid/compat/internal/rkt/aci"
	"photonbuild.invalid/compat/internal/rkt/fetch"
	"photonbuild.invalid/compat/internal/rkt/store"
)

func newImageExport(g *Global) *cobra.Command {
	var overwrite bool
	c := &cobra.Command{
		Use:   "export IMAGE OUTPUT_ACI_FILE",
		Short: "Export a stored image to an ACI file",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := g.imageStore()
			if err != nil {
				return err
			}
			id, err := fetch.Local(s, args[0])
			if err != nil {
				return err
			}
			return export(s, id, args[1], overwrite)
		},
	}
	c.Flags().BoolVar(&overwrite, "overwrite", false, "overwrite output ACI")
	return c
}

// export writes the uncompressed archive of an image; "-" is standard output.
func export(s *store.Store, id, to string, overwrite bool) error {
	blob, err := s.OpenBlob(id)
	if err != nil {
		return err
	}
	defer blob.Close()
	if to == "-" {
		_, err := io.Copy(os.Stdout, blob)
		return err
	}
	if _, err := os.Lstat(to); err == nil && !overwrite {
		return Errorf("output file %s exists", to).Hint("--overwrite replaces it")
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".export-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, blob); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}

// extractFlags are those of "rkt image extract" and "rkt image render".
type extractFlags struct{ overwrite, rootfsOnly bool }

func newImageExtract(g *Global) *cobra.Command {
	return extractCommand(g, "extract", "Extract a stored image to a directory", true)
}

func newImageRender(g *Global) *cobra.Command {
	return extractCommand(g, "render", "Render a stored image to a directory with all its dependencies", false)
}

func extractCommand(g *Global, name, short string, alone bool) *cobra.Command {
	var o extractFlags
	c := &cobra.Command{
		Use:   name + " IMAGE OUTPUT_DIR",
		Short: short,
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := g.imageStore()
			if err != nil {
				return err
			}
			id, err := fetch.Local(s, args[0])
			if err != nil {
				return err
			}
			return extract(c.Context(), s, id, args[1], alone, o)
		},
	}
	c.Flags().BoolVar(&o.overwrite, "overwrite", false, "overwrite output directory")
	c.Flags().BoolVar(&o.rootfsOnly, "rootfs-only", false, "extract rootfs only")
	return c
}

// extract unpacks an image into the directory to, which appears whole.
func extract(ctx context.Context, s *store.Store, id, to string, alone bool, o extractFlags) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil && !o.overwrite {
		return Errorf("output directory %s exists", to).Hint("--overwrite replaces it")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tree, done, err := s.Tree(ctx, id, alone)
	if err != nil {
		return err
	}
	defer done()
	tmp, err := os.MkdirTemp(filepath.Dir(to), ".extract-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := fill(ctx, s, id, tree, tmp, o.rootfsOnly); err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(tmp, to)
}

func fill(ctx context.Context, s *store.Store, id string, tree *archive.Tree, dir string, rootfsOnly bool) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if rootfsOnly {
		return store.ExtractTree(ctx, tree, dir)
	}
	m, err := s.Manifest(id)
	if err != nil {
		return err
	}
	data, err := m.MarshalJSON()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, aci.ManifestFile), data, 0o644); err != nil {
		return err
	}
	root := filepath.Join(dir, aci.RootFS)
	if err := os.Mkdir(root, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", root, err)
	}
	return store.ExtractTree(ctx, tree, root)
}
