package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/pflag"

	"photonbuild.invalid/compat/internal/rkt/config"
)

// Global holds the options that every command takes (Documentation/commands.md).
type Global struct {
	Debug              bool
	Dir                string // data directory
	LocalConfig        string
	SystemConfig       string
	UserConfig         string
	TrustKeysFromHTTPS bool
	Insecure           Insecure

	flags *pflag.FlagSet
}

func (g *Global) bind(f *pflag.FlagSet) {
	g.Insecure, g.flags = Insecure{}, f
	f.BoolVar(&g.Debug, "debug", false, "print out more debug information to stderr")
	f.StringVar(&g.Dir, "dir", "/var/lib/rkt", "rkt data directory")
	f.StringVar(&g.LocalConfig, "local-config", "/etc/rkt", "local configuration directory")
	f.StringVar(&g.SystemConfig, "system-config", "/usr/lib/rkt", "system configuration directory")
	f.StringVar(&g.UserConfig, "user-config", "", "user configuration directory")
	f.BoolVar(&g.TrustKeysFromHTTPS, "trust-keys-from-https", false, "automatically trust gpg keys fetched from HTTPS")
	f.Var(g.Insecure, "insecure-options", "comma-separated list of security features to disable: "+strings.Join(insecureNames, ", "))
}

// ConfigDirs returns the configuration directories, the one that wins last.
func (g *Global) ConfigDirs() []string {
	dirs := []string{g.SystemConfig, g.LocalConfig}
	if g.UserConfig != "" {
		dirs = append(dirs, g.UserConfig)
	}
	return dirs
}

// Debugf prints to stderr with --debug.
func (g *Global) Debugf(format string, args ...any) {
	if g.Debug {
		fmt.Fprintf(os.Stderr, "rkt: "+format+"\n", args...)
	}
}

// Warnf prints a warning to stderr.
func Warnf(format string, args ...any) { fmt.Fprintf(os.Stderr, "rkt: warning: "+format+"\n", args...) }

// dataDir is --dir, or what a file of kind "paths" says (configuration.md), or
// the default.
func (g *Global) dataDir() (string, error) {
	name := g.Dir
	if g.flags != nil && !g.flags.Changed("dir") {
		c, err := config.Load(g.ConfigDirs()...)
		if err != nil {
			return "", err
		}
		if c.DataDir != "" {
			name = c.DataDir
		}
	}
	dir, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return dir, nil
}

// Insecure is the set of security features that --insecure-options disables.
// It is a flag value; groups are kept as their members.
type Insecure map[string]bool

var insecureNames = []string{"none", "http", "image", "tls", "pubkey", "ondisk", "capabilities", "paths", "seccomp", "all-fetch", "all-run", "all"}

var insecureGroups = map[string][]string{
	"none":      {},
	"all-fetch": {"image", "tls", "http"},
	"all-run":   {"capabilities", "paths", "seccomp"},
	"all":       {"http", "image", "tls", "pubkey", "ondisk", "capabilities", "paths", "seccomp"},
}

// Has says whether the feature is disabled.
func (i Insecure) Has(name string) bool { return i[name] }

func (i Insecure) Set(s string) error {
	for _, name := range strings.Split(s, ",") {
		if !slices.Contains(insecureNames, name) {
			return fmt.Errorf("unknown security feature %q, the known ones are %s", name, strings.Join(insecureNames, ", "))
		}
		members, group := insecureGroups[name]
		if !group {
			members = []string{name}
		}
		for _, m := range members {
			i[m] = true
		}
	}
	return nil
}

func (i Insecure) String() string {
	var list []string
	for name := range i {
		list = append(list, name)
	}
	sort.Strings(list)
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ",")
}

func (i Insecure) Type() string { return "list" }
