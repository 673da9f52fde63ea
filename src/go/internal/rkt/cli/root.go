// Package cli is rkt's command line, as rkt's Documentation/commands.md and
// Documentation/subcommands/*.md describe it.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// commands makes every command; each file of this package that is named after
// a command defines its function.
var commands = []func(*Global) *cobra.Command{
	newVersion, newRun, newPrepare, newRunPrepared, newList, newStatus, newEnter, newStop, newRm, newGC,
	newCatManifest, newMetadataService, newManPages, newStage1, newStage1Cleanup,
	newFetch, newTrust, newImage,
}

// exitFailure is what rkt ends with when it failed itself; every other status is an app's.
const exitFailure = 254

// Main runs the command line and returns the exit status. Data goes to stdout,
// everything else to stderr.
func Main(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	report(os.Stderr, err)
	return exitFailure
}

func newRoot() *cobra.Command {
	g := &Global{}
	root := &cobra.Command{
		Use:           "rkt",
		Short:         "Run App Container pods",
		Long:          "rkt runs pods of App Container images. This is an independent implementation of the\nApp Container specification " + specVersion + " with rkt's documented command line, not upstream rkt.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          refuseUnknown,
		RunE:          func(c *cobra.Command, args []string) error { return c.Help() },
	}
	g.bind(root.PersistentFlags())
	for _, f := range commands {
		root.AddCommand(f(g))
	}
	addRefused(root)
	return root
}

func refuseUnknown(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := Errorf("unknown command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return e.Hint("did you mean %s?", strings.Join(near, " or "))
	}
	return e.Hint("rkt help lists the commands")
}

// exitStatus is the status of an app, handed through.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Error is a failure with a hint what to do next.
type Error struct {
	msg, hint string
	err       error
}

// Errorf makes an Error; %w works as in fmt.Errorf.
func Errorf(format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{msg: err.Error(), err: errors.Unwrap(err)}
}

// Hint adds what to do next.
func (e *Error) Hint(format string, args ...any) *Error {
	e.hint = fmt.Sprintf(format, args...)
	return e
}

func (e *Error) Error() string { return e.msg }
func (e *Error) Unwrap() error { return e.err }

func report(w io.Writer, err error) {
	fmt.Fprintf(w, "rkt: %v\n", err)
	var e *Error
	if errors.As(err, &e) && e.hint != "" {
		fmt.Fprintf(w, "\nhint: %s\n", e.hint)
	}
}
