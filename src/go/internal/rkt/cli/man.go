package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManPages writes a manual page for each command, for the package.
func newManPages(*Global) *cobra.Command {
	return &cobra.Command{
		Use:    "man-pages DIR",
		Short:  "Write manual pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("manual pages: %w", err)
			}
			return writeMan(c.Root(), args[0])
		},
	}
}

func writeMan(c *cobra.Command, dir string) error {
	if c.Hidden {
		return nil
	}
	path := filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1")
	if err := os.WriteFile(path, []byte(manPage(c)), 0o644); err != nil {
		return fmt.Errorf("manual pages: %w", err)
	}
	for _, sub := range c.Commands() {
		if err := writeMan(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// roff escapes text for man(7).
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	for _, c := range []string{".", "'"} {
		s = strings.ReplaceAll("\n"+s, "\n"+c, "\n\\&"+c)[1:]
	}
	return s
}

// manPage is the page of one command.
func manPage(c *cobra.Command) string {
	var b strings.Builder
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"rkt-compat\" \"App Container executor\"\n", strings.ToUpper(roff(name)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	if c.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(c.Long))
	}
	manFlags(&b, "OPTIONS", c.LocalFlags())
	manFlags(&b, "GLOBAL OPTIONS", c.InheritedFlags())
	var related []string
	if c.HasParent() {
		related = append(related, strings.ReplaceAll(c.Parent().CommandPath(), " ", "-"))
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			related = append(related, strings.ReplaceAll(sub.CommandPath(), " ", "-"))
		}
	}
	if len(related) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, r := range related {
			comma := ","
			if i == len(related)-1 {
				comma = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(r), comma)
		}
	}
	return b.String()
}

func manFlags(b *strings.Builder, title string, f *pflag.FlagSet) {
	if !f.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	f.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value := ""
		if t := f.Value.Type(); t != "bool" {
			value = "=" + t
		}
		fmt.Fprintf(b, ".TP\n.B \\-\\-%s%s\n%s\n", roff(f.Name), roff(value), roff(f.Usage))
	})
}
