package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"photonbuild.invalid/compat/internal/kit/bundle"
	"photonbuild.invalid/compat/internal/rkt/pod"
	"photonbuild.invalid/compat/internal/rkt/stage1"
)

// newEnter is "rkt enter" (Documentation/subcommands/enter.md).
func newEnter(g *Global) *cobra.Command {
	var app string
	c := &cobra.Command{
		Use:               "enter [--app=APPNAME] UUID [COMMAND [ARGUMENTS]]",
		Short:             "Enter the namespaces of an app within a pod",
		Args:              needArgs(1, "the UUID of a pod is needed"),
		ValidArgsFunction: completeUUID(g),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := g.pod(args[0])
			if err != nil {
				return err
			}
			if state, err := p.State(); err != nil || state != pod.StateRunning {
				return Errorf("pod %s is not running, it is %s", p.UUID, state)
			}
			name, err := chooseApp(p, app)
			if err != nil {
				return err
			}
			return enter(c, p, name, args[1:])
		},
	}
	c.Flags().StringVar(&app, "app", "", "name of the app to enter within the pod")
	c.Flags().SetInterspersed(false)
	return c
}

// chooseApp takes the given app, or the only one.
func chooseApp(p *pod.Pod, given string) (string, error) {
	m, err := p.Manifest()
	if err != nil {
		return "", err
	}
	var names []string
	for _, a := range m.Apps {
		names = append(names, a.Name.String())
	}
	switch {
	case given == "" && len(names) == 1:
		return names[0], nil
	case given == "":
		return "", Errorf("the pod has several apps: %s", strings.Join(names, ", ")).Hint("specify one by rkt enter --app=NAME")
	case !slices.Contains(names, given):
		return "", Errorf("the pod has no app %q, it has %s", given, strings.Join(names, ", "))
	}
	return given, nil
}

// enter runs a command in the app's namespaces and cgroup, as root there, with
// the app's capabilities and filter.
func enter(c *cobra.Command, p *pod.Pod, name string, command []string) error {
	dir := stage1.RuntimeDir(p.UUID)
	runc := bundle.Runc{Root: filepath.Join(dir, "runc"), Log: filepath.Join(dir, "log")}
	state, err := runc.State(c.Context(), name)
	if err != nil || state.Status != specs.StateRunning {
		return Errorf("app %s does not run", name)
	}
	data, err := os.ReadFile(filepath.Join(stage1.BundleDir(p.UUID, name), "config.json"))
	if err != nil {
		return fmt.Errorf("app %s: %w", name, err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return fmt.Errorf("app %s: %w", name, err)
	}
	process := spec.Process
	if len(command) == 0 {
		shell := "/bin/bash"
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/root%s", state.Pid, shell)); err != nil {
			shell = "/bin/sh"
		}
		fmt.Fprintf(os.Stderr, "No command specified, assuming %q\n", shell)
		command = []string{shell}
	}
	process.Args, process.Cwd = command, "/"
	process.User = specs.User{}
	if process.Terminal = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())); process.Terminal {
		process.Env = append(process.Env, "TERM="+os.Getenv("TERM"))
		if saved, err := term.GetState(int(os.Stdin.Fd())); err == nil {
			defer term.Restore(int(os.Stdin.Fd()), saved)
		}
	}
	running, err := runc.Exec(c.Context(), name, bundle.ExecOptions{Process: process,
		StartOptions: bundle.StartOptions{Stdio: bundle.Stdio{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}}})
	if err != nil {
		return err
	}
	go passSignals(running)
	status, err := running.Wait()
	if err == nil && status != 0 {
		err = exitStatus(status)
	}
	return err
}

// passSignals hands signals to runc, which hands them to the process.
func passSignals(p *bundle.Process) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH)
	for s := range signals {
		p.Signal(s)
	}
}
