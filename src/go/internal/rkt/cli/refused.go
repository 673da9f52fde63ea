package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// refusedCommands are those that rkt documents and this implementation does not
// have, with what to do instead.
var refusedCommands = map[string]string{
	"api-service": "rkt list and rkt status print JSON with --format=json",
	"app":         "mutable pods are not implemented; give all apps to rkt run, separated by ---",
	"attach":      "start the pod by rkt run --interactive, or use rkt enter",
	"config":      "the configuration lies in /usr/lib/rkt and /etc/rkt as rkt documents it",
	"export":      "use rkt image export for an image; a pod's changes lie in its overlay folder",
	"fly":         "there is one flavor of stage1; use rkt run with --net=host and --insecure-options=all-run",
	"install":     "the package makes the directories",
}

// addRefused adds commands that only say that they are not there.
func addRefused(root *cobra.Command) {
	for name, hint := range refusedCommands {
		root.AddCommand(&cobra.Command{
			Use:                name,
			Short:              "Not implemented",
			Hidden:             true,
			DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return Errorf("rkt %s is documented by rkt, but this implementation does not have it", name).Hint("%s", hint)
			},
		})
	}
}

// refusedFlags of run, prepare and run-prepared. A false value is accepted: it asks for nothing.
var refusedFlags = []struct{ name, typ, hint string }{
	{"private-users", "bool", "apps run without capabilities over the host; see --caps-retain and --user"},
	{"no-overlay", "bool", "overlayfs is always there"},
	{"stage1-url", "string", stage1Hint},
	{"stage1-path", "string", stage1Hint},
	{"stage1-name", "string", stage1Hint},
	{"stage1-hash", "string", stage1Hint},
	{"stage1-from-dir", "string", stage1Hint},
}

const stage1Hint = "stage1 is built in, there is one flavor"

type refusedFlag struct{ name, typ, hint string }

func (r refusedFlag) String() string { return "" }
func (r refusedFlag) Type() string   { return r.typ }
func (r refusedFlag) Set(v string) error {
	if r.typ == "bool" && (v == "false" || v == "0") {
		return nil
	}
	return fmt.Errorf("--%s is documented by rkt, but this implementation does not have it: %s", r.name, r.hint)
}

func bindRefused(f *pflag.FlagSet) {
	for _, r := range refusedFlags {
		f.Var(refusedFlag(r), r.name, "not implemented")
		one := f.Lookup(r.name)
		one.Hidden = true
		if r.typ == "bool" {
			one.NoOptDefVal = "true"
		}
	}
}
