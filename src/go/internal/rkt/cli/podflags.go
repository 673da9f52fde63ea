package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/appc/spec/schema"
	"github.com/appc/spec/schema/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"photonbuild.invalid/compat/internal/rkt/podspec"
)

// podFlags are the options of run and prepare. Those of an app belong to the
// image before them on the command line (Documentation/subcommands/run.md).
type podFlags struct {
	runtimeFlags
	pull        pullFlags
	apps        []*appFlags
	volumes     []types.Volume
	mounts      []schema.Mount // in all apps
	ports       []types.ExposedPort
	set, file   []podspec.Variable
	inherit     bool
	podManifest string
	uuidFile    string
	quiet       bool
}

// appFlags is an image with its options.
type appFlags struct {
	ref       string
	signature string
	app       podspec.App
	stdin     string
	stdout    string
	stderr    string
}

// funcValue is a flag whose value goes to a function.
type funcValue struct {
	typ string
	set func(string) error
}

func (f funcValue) String() string     { return "" }
func (f funcValue) Type() string       { return f.typ }
func (f funcValue) Set(s string) error { return f.set(s) }

func (p *podFlags) current() *appFlags {
	if len(p.apps) == 0 {
		return nil
	}
	return p.apps[len(p.apps)-1]
}

// appVar defines an option of the image before it.
func (p *podFlags) appVar(f *pflag.FlagSet, name, typ, usage string, set func(a *appFlags, v string) error) {
	f.Var(funcValue{typ, func(v string) error {
		a := p.current()
		if a == nil {
			return errors.New("it is an option of an app and must follow an image")
		}
		return set(a, v)
	}}, name, usage)
}

func (p *podFlags) bind(f *pflag.FlagSet) {
	p.bindApp(f)
	p.pull.policy = "new"
	p.pull.bind(f)
	f.Var(funcValue{"NAME,kind=KIND,...", p.addVolume}, "volume", "volumes to make available in the pod")
	f.Var(funcValue{"volume=NAME,target=PATH", p.addMount}, "mount", "mount point binding a volume to a path, in the preceding image or, before the first, in all")
	f.Var(funcValue{"NAME:[IP:]HOSTPORT", p.addPort}, "port", "ports to expose on the host")
	f.Var(funcValue{"NAME=VALUE", func(v string) error { return addVariable(&p.set, v) }}, "set-env", "environment variable to set for apps")
	f.Var(funcValue{"FILE", p.addEnvFile}, "set-env-file", "file with environment variables to set for apps")
	f.BoolVar(&p.inherit, "inherit-env", false, "inherit all environment variables not set by apps")
	f.StringVar(&p.podManifest, "pod-manifest", "", "the path to a pod manifest; of the other options only those of the network and --interactive have an effect")
	bindRefused(f)
}

func (p *podFlags) bindApp(f *pflag.FlagSet) {
	str := func(name, typ, usage string, to func(*appFlags) *string) {
		p.appVar(f, name, typ, usage, func(a *appFlags, v string) error { *to(a) = v; return nil })
	}
	str("name", "NAME", "set the name of the app", func(a *appFlags) *string { return &a.app.Name })
	str("exec", "PATH", "override the exec command of the preceding image", func(a *appFlags) *string { return &a.app.Exec })
	str("user", "USER", "user override for the preceding image", func(a *appFlags) *string { return &a.app.User })
	str("group", "GROUP", "group override for the preceding image", func(a *appFlags) *string { return &a.app.Group })
	str("working-dir", "DIR", "override the working directory of the preceding image", func(a *appFlags) *string { return &a.app.WorkingDir })
	str("signature", "FILE", "local signature file to use in validating the preceding image", func(a *appFlags) *string { return &a.signature })
	p.appVar(f, "environment", "NAME=VALUE", "set an environment variable of the preceding image's app", func(a *appFlags, v string) error {
		return addVariable(&a.app.Environment, v)
	})
	p.appVar(f, "supplementary-gids", "GID,...", "supplementary group IDs override for the preceding image", func(a *appFlags, v string) (err error) {
		a.app.SupplementaryGID, err = gids(v)
		return err
	})
	p.appVar(f, "readonly-rootfs", "bool", "mount the root filesystem of the preceding image's app read-only", func(a *appFlags, v string) error {
		on, err := boolean(v)
		a.app.ReadOnlyRootFS = &on
		return err
	})
	f.Lookup("readonly-rootfs").NoOptDefVal = "true"
	for name, set := range isolatorFlags {
		p.appVar(f, name, set.typ, set.usage, func(a *appFlags, v string) error {
			i, err := set.make(v)
			if err == nil {
				a.app.Isolators = append(a.app.Isolators, i)
			}
			return err
		})
	}
	p.appVar(f, "annotation", "NAME=VALUE", "set an annotation of the app in the pod manifest, over the image's", func(a *appFlags, v string) error { return addPair(&a.app.Annotations, v) })
	p.appVar(f, "user-annotation", "NAME=VALUE", "set an annotation of the app", func(a *appFlags, v string) error { return addPair(&a.app.UserAnnotations, v) })
	p.appVar(f, "user-label", "NAME=VALUE", "set a label of the app", func(a *appFlags, v string) error { return addPair(&a.app.UserLabels, v) })
	p.appVar(f, "stdin", "MODE", "standard input of the app: null or, with --interactive, the terminal", func(a *appFlags, v string) error { return mode(&a.stdin, v, "null") })
	p.appVar(f, "stdout", "MODE", "standard output of the app: null or log (the journal)", func(a *appFlags, v string) error { return mode(&a.stdout, v, "null", "log") })
	p.appVar(f, "stderr", "MODE", "standard error of the app: null or log (the journal)", func(a *appFlags, v string) error { return mode(&a.stderr, v, "null", "log") })
}

// parse reads the command line: images, each with its options after it, its
// arguments after "--" and the next image after "---".
func (p *podFlags) parse(f *pflag.FlagSet, args []string) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "---":
		case arg == "--":
			a := p.current()
			if a == nil {
				return Errorf("arguments after -- belong to an image, and there is none before").Hint("rkt run IMAGE -- ARGUMENTS")
			}
			for i++; i < len(args) && args[i] != "---"; i++ {
				a.app.Args = append(a.app.Args, args[i])
			}
		case arg == "-h":
			return pflag.ErrHelp
		case strings.HasPrefix(arg, "--"):
			used, err := setFlag(f, arg[2:], args[i+1:])
			if err != nil {
				return err
			}
			i += used
		case strings.HasPrefix(arg, "-"):
			return Errorf("unknown option %q", arg)
		default:
			p.apps = append(p.apps, &appFlags{ref: arg})
		}
	}
	return nil
}

// setFlag sets one option; used says how many of the following arguments it took.
func setFlag(f *pflag.FlagSet, text string, rest []string) (used int, err error) {
	name, value, given := strings.Cut(text, "=")
	flag := f.Lookup(name)
	switch {
	case name == "help":
		return 0, pflag.ErrHelp
	case flag == nil:
		return 0, Errorf("unknown option --%s", name).Hint("rkt run --help lists the options")
	case given:
	case flag.NoOptDefVal != "":
		value = flag.NoOptDefVal
	case len(rest) == 0:
		return 0, Errorf("option --%s needs a value", name)
	default:
		value, used = rest[0], 1
	}
	if err := flag.Value.Set(value); err != nil {
		return 0, Errorf("option --%s=%s: %w", name, value, err)
	}
	flag.Changed = true
	return used, nil
}

func (p *podFlags) addVolume(v string) error {
	one, err := types.VolumeFromString(v)
	if err == nil {
		p.volumes = append(p.volumes, *one)
	}
	return err
}

func (p *podFlags) addMount(v string) error {
	var m schema.Mount
	for _, pair := range strings.Split(v, ",") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "volume":
			name, err := types.NewACName(value)
			if err != nil {
				return err
			}
			m.Volume = *name
		case "target":
			m.Path = value
		default:
			return fmt.Errorf("unknown key %q, the keys are volume and target", key)
		}
	}
	if m.Volume.Empty() || !strings.HasPrefix(m.Path, "/") {
		return errors.New("it must be volume=NAME,target=/ABSOLUTE/PATH")
	}
	if a := p.current(); a != nil {
		a.app.Mounts = append(a.app.Mounts, m)
	} else {
		p.mounts = append(p.mounts, m)
	}
	return nil
}

func (p *podFlags) addPort(v string) error {
	port, err := parsePort(v)
	if err == nil {
		p.ports = append(p.ports, port)
	}
	return err
}

func (p *podFlags) addEnvFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if err := addVariable(&p.file, line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n+1, err)
		}
	}
	return nil
}

// completePod completes images and options.
func completePod(g *Global) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(c *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		var list []string
		if strings.HasPrefix(text, "-") {
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if !f.Hidden && strings.HasPrefix("--"+f.Name, text) {
					list = append(list, "--"+f.Name+"\t"+f.Usage)
				}
			})
			return list, cobra.ShellCompDirectiveNoSpace
		}
		if s, err := g.imageStore(); err == nil {
			if images, err := s.List(); err == nil {
				for _, i := range images {
					list = append(list, i.Name)
				}
			}
		}
		return list, cobra.ShellCompDirectiveDefault
	}
}
