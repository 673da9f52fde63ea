package cli

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/appc/spec/schema/types"
	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/aci"
	"photonbuild.invalid/compat/internal/rkt/config"
	"photonbuild.invalid/compat/internal/rkt/fetch"
	"photonbuild.invalid/compat/internal/rkt/trust"
)

// trustCmd is "rkt trust" (rkt's Documentation/subcommands/trust.md).
type trustCmd struct {
	g         *Global
	prefix    string
	root      bool
	allowHTTP bool
	skip      bool
	in        *bufio.Reader
	out       io.Writer
}

func newTrust(g *Global) *cobra.Command {
	t := &trustCmd{g: g}
	c := &cobra.Command{
		Use:   "trust [--prefix=PREFIX] [--root] [PUBKEY...]",
		Short: "Trust a key for image verification",
		Long: "Trust adds public keys to the key store. PUBKEY is a file or an https:// URL; without\n" +
			"it, the keys are found by discovery of the prefix.",
		RunE: func(c *cobra.Command, args []string) error {
			t.in, t.out = bufio.NewReader(c.InOrStdin()), c.ErrOrStderr()
			return t.run(c, args)
		},
	}
	c.Flags().StringVar(&t.prefix, "prefix", "", "prefix to limit trust to")
	c.Flags().BoolVar(&t.root, "root", false, "add root key from filesystem without a prefix")
	c.Flags().BoolVar(&t.allowHTTP, "insecure-allow-http", false, "allow HTTP use for key discovery and/or retrieval")
	c.Flags().BoolVar(&t.skip, "skip-fingerprint-review", false, "accept key without fingerprint confirmation")
	return c
}

func (t *trustCmd) run(c *cobra.Command, args []string) error {
	switch {
	case t.prefix == "" && !t.root:
		return Errorf("neither --prefix nor --root given").Hint("--prefix=NAME limits the key to images of that name; --root trusts it for every image")
	case t.prefix != "" && t.root:
		return Errorf("--root and --prefix exclude each other")
	case t.root && len(args) == 0:
		return Errorf("--root needs a public key").Hint("rkt trust --root FILE")
	}
	if t.prefix != "" {
		if err := aci.CheckName(types.ACIdentifier(t.prefix)); err != nil {
			return fmt.Errorf("--prefix: %w", err)
		}
	}
	cfg, err := config.Load(t.g.ConfigDirs()...)
	if err != nil {
		return err
	}
	f := fetch.Fetcher{Config: cfg, Insecure: fetch.Insecure{
		TLS: t.g.Insecure.Has("tls"), HTTP: t.g.Insecure.Has("http"), PubKey: t.g.Insecure.Has("pubkey"),
	}}
	allowHTTP := t.allowHTTP || (f.Insecure.HTTP && f.Insecure.PubKey)
	if len(args) == 0 {
		if args, err = fetch.PublicKeyURLs(types.ACIdentifier(t.prefix), f, allowHTTP); err != nil {
			return fmt.Errorf("--prefix meta discovery: %w", err)
		}
	}
	for _, location := range args {
		keys, err := f.PublicKeys(c.Context(), location, allowHTTP)
		if err != nil {
			return err
		}
		if err := t.add(location, keys); err != nil {
			return err
		}
	}
	return nil
}

// add reviews and stores the keys of one place.
func (t *trustCmd) add(location string, keys openpgp.EntityList) error {
	for _, k := range keys {
		fmt.Fprintf(t.out, "Prefix: %q\nKey: %q\n", t.prefix, location)
		fmt.Fprintf(t.out, "GPG key fingerprint is: %s\n", groups(k.PrimaryKey.Fingerprint))
		for _, who := range trust.Identities(k) {
			fmt.Fprintf(t.out, "  %s\n", who)
		}
		ok, err := t.review()
		if err != nil {
			return err
		}
		if !ok {
			fmt.Fprintf(t.out, "Not trusting %q\n", location)
			continue
		}
		path, err := trust.Add(t.g.LocalConfig, types.ACIdentifier(t.prefix), k)
		if err != nil {
			return err
		}
		what := "root key"
		if t.prefix != "" {
			what = fmt.Sprintf("key for prefix %q", t.prefix)
		}
		fmt.Fprintf(t.out, "Added %s at %q\n", what, path)
	}
	return nil
}

// review asks whether a key is to be trusted.
func (t *trustCmd) review() (bool, error) {
	if t.skip {
		return true, nil
	}
	for {
		fmt.Fprint(t.out, "Are you sure you want to trust this key (yes/no)? ")
		line, err := t.in.ReadString('\n')
		switch strings.TrimSpace(line) {
		case "yes":
			return true, nil
		case "no":
			return false, nil
		}
		if err != nil {
			return false, Errorf("nobody answered whether to trust the key").Hint("--skip-fingerprint-review accepts it without asking")
		}
		fmt.Fprintln(t.out, `Please enter "yes" or "no"`)
	}
}

// groups writes a fingerprint in groups of four digits, a gap in the middle.
func groups(fp []byte) string {
	digits := strings.ToUpper(hex.EncodeToString(fp))
	var b strings.Builder
	for i := 0; i < len(digits); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		if i > 0 && i == len(digits)/2 {
			b.WriteByte(' ')
		}
		b.WriteString(digits[i:min(i+4, len(digits))])
	}
	return b.String()
}
