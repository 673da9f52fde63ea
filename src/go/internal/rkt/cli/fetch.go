package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/appc/spec/schema/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"photonbuild.invalid/compat/internal/rkt/config"
	"photonbuild.invalid/compat/internal/rkt/fetch"
	"photonbuild.invalid/compat/internal/rkt/store"
	"photonbuild.invalid/compat/internal/rkt/trust"
)

// newFetch is "rkt fetch" (rkt's Documentation/subcommands/fetch.md).
func newFetch(g *Global) *cobra.Command {
	var full bool
	pull := pullFlags{policy: string(fetch.Update)}
	c := &cobra.Command{
		Use:   "fetch [--signature=FILE] IMAGE [IMAGE...]",
		Short: "Fetch images and store them in the local store",
		Long: "Fetch locates images, verifies their signatures and stores them. IMAGE is an image name\n" +
			"with labels, an https:// URL, an ACI file, docker://NAME, oci:PATH or docker-archive:PATH.",
		Args: needArgs(1, "an image is needed"),
	}
	signatures := newSignatures(c.Flags())
	c.Flags().BoolVar(&full, "full", false, "print the full image hash after fetching")
	c.Flags().Var(signatures, "signature", "local signature file to use in validating the preceding image")
	pull.bind(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := g.newFetcher(&pull)
		if err != nil {
			return err
		}
		for i, ref := range args {
			f.Signature = signatures.of(i)
			id, err := f.Image(c.Context(), ref, fetch.Auto)
			if err != nil {
				return err
			}
			if !full {
				id = types.ShortHash(id)
			}
			fmt.Fprintln(c.OutOrStdout(), id)
		}
		return nil
	}
	return c
}

// needArgs refuses fewer than n arguments.
func needArgs(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return Errorf("%s", what).Hint("rkt %s --help", strings.TrimPrefix(c.CommandPath(), "rkt "))
		}
		return nil
	}
}

// pullFlags are --pull-policy and its older forms.
type pullFlags struct {
	policy             string
	noStore, storeOnly bool
}

func (p *pullFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&p.policy, "pull-policy", p.policy, "when to fetch an image: never, new (what the store does not have) or update")
	f.BoolVar(&p.noStore, "no-store", false, "the same as --pull-policy=update")
	f.BoolVar(&p.storeOnly, "store-only", false, "the same as --pull-policy=never")
}

// value combines the flags ("image fetching behavior" of rkt's documentation).
func (p *pullFlags) value() (fetch.Policy, error) {
	switch {
	case p.noStore && p.storeOnly:
		return "", Errorf("--no-store and --store-only exclude each other")
	case p.noStore:
		return fetch.Update, nil
	case p.storeOnly:
		return fetch.Never, nil
	}
	return fetch.ParsePolicy(p.policy)
}

// signatures are --signature options, each of the image before it.
type signatures struct {
	flags *pflag.FlagSet
	files map[int]string // by index of the image
	early string
}

func newSignatures(f *pflag.FlagSet) *signatures {
	return &signatures{flags: f, files: map[int]string{}}
}

func (s *signatures) Set(file string) error {
	i := s.flags.NArg() - 1
	if i < 0 {
		i = 0 // before the first image: of that one
	}
	if _, twice := s.files[i]; twice {
		return fmt.Errorf("a second signature for one image")
	}
	s.files[i] = file
	return nil
}

func (s *signatures) String() string { return s.early }

func (s *signatures) Type() string { return "FILE" }

func (s *signatures) of(i int) string { return s.files[i] }

// imageStore opens the store of images below the data directory.
func (g *Global) imageStore() (*store.Store, error) {
	dir, err := g.dataDir()
	if err != nil {
		return nil, err
	}
	return store.Open(filepath.Join(dir, "cas"))
}

// newFetcher makes what fetches images, as the global options say. pull may be
// nil, which means to fetch what the store does not have.
func (g *Global) newFetcher(pull *pullFlags) (fetch.Fetcher, error) {
	f := fetch.Fetcher{
		Keys:               trust.NewKeystore(g.UserConfig, g.LocalConfig, g.SystemConfig),
		TrustKeysFromHTTPS: g.TrustKeysFromHTTPS,
		KeyDir:             g.LocalConfig,
		Policy:             fetch.New,
		Log:                os.Stderr,
		Insecure: fetch.Insecure{
			Image: g.Insecure.Has("image"), TLS: g.Insecure.Has("tls"),
			HTTP: g.Insecure.Has("http"), PubKey: g.Insecure.Has("pubkey"),
		},
	}
	var err error
	if pull != nil {
		if f.Policy, err = pull.value(); err != nil {
			return f, err
		}
	}
	if f.Config, err = config.Load(g.ConfigDirs()...); err != nil {
		return f, err
	}
	f.Store, err = g.imageStore()
	return f, err
}
