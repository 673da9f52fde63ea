package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"photonbuild.invalid/compat/internal/rkt/pod"
)

// waitFlag is a boolean or a duration; less than zero is for ever.
type waitFlag struct {
	wait  bool
	until time.Duration // 0: for ever
}

func (f *waitFlag) String() string { return strconv.FormatBool(f.wait) }
func (f *waitFlag) Type() string   { return "bool|timeout" }
func (f *waitFlag) Set(v string) error {
	if on, err := strconv.ParseBool(v); err == nil {
		f.wait, f.until = on, 0
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return errors.New("it is neither true, false nor a duration such as 10s")
	}
	f.wait, f.until = d != 0, max(d, 0)
	return nil
}

func (f *waitFlag) deadline() time.Time {
	if f.until == 0 {
		return time.Time{}
	}
	return time.Now().Add(f.until)
}

// newStatus is "rkt status" (Documentation/subcommands/status.md).
func newStatus(g *Global) *cobra.Command {
	var wait, ready waitFlag
	var format string
	c := &cobra.Command{
		Use:               "status [--wait=bool|timeout] [--wait-ready=bool|timeout] UUID",
		Short:             "Check the status of a pod",
		Args:              needArgs(1, "the UUID of a pod is needed"),
		ValidArgsFunction: completeUUID(g),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := g.pod(args[0])
			if err != nil {
				return err
			}
			if ready.wait {
				if err := waitReady(g, p, ready.deadline()); err != nil {
					return err
				}
			}
			if wait.wait {
				if _, err := p.Wait(wait.deadline()); err != nil {
					return err
				}
			}
			if p, err = g.pod(p.UUID); err != nil {
				return err
			}
			i, err := describe(p)
			if err != nil {
				return err
			}
			if format != "" {
				return printJSON(c.OutOrStdout(), format, i)
			}
			return printStatus(c.OutOrStdout(), i)
		},
	}
	c.Flags().Var(&wait, "wait", "toggles waiting for the pod to finish")
	c.Flags().Var(&ready, "wait-ready", "toggles waiting until the pod is ready")
	c.Flags().Lookup("wait").NoOptDefVal = "true"
	c.Flags().Lookup("wait-ready").NoOptDefVal = "true"
	c.Flags().StringVar(&format, "format", "", "output format: json or json-pretty instead of key=value lines")
	return c
}

// waitReady waits until all apps were started, or the pod has ended.
func waitReady(g *Global, p *pod.Pod, deadline time.Time) error {
	for deadline.IsZero() || time.Now().Before(deadline) {
		now, err := g.pod(p.UUID)
		if err != nil {
			return err
		}
		if now.Ready() || now.Phase == pod.ExitedGarbage || now.Phase == pod.Garbage {
			return nil
		}
		if state, err := now.State(); err == nil && state == pod.StateExited {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

func printStatus(w io.Writer, i *podInfo) error {
	fmt.Fprintf(w, "state=%s\n", i.State)
	if !i.created.IsZero() {
		fmt.Fprintf(w, "created=%s\n", i.created.Format(timeFormat))
	}
	if !i.started.IsZero() {
		fmt.Fprintf(w, "started=%s\n", i.started.Format(timeFormat))
	}
	if nets := networks(i.Networks); nets != "" {
		fmt.Fprintf(w, "networks=%s\n", nets)
	}
	exited := i.State == pod.StateExited || i.State == pod.StateExitedGarbage || i.State == pod.StateDeleting
	if exited || i.State == pod.StateRunning {
		fmt.Fprintf(w, "pid=%d\nexited=%t\n", i.Pid, exited)
	}
	for _, name := range i.AppNames {
		if code := i.Apps[name].ExitCode; code != nil {
			fmt.Fprintf(w, "app-%s=%d\n", name, *code)
		}
	}
	return nil
}
