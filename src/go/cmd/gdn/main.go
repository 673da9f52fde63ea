// Command gdn is a server with Cloud Foundry Garden's HTTP API over runc: an independent
// implementation from the public API documentation.
package main

import (
	"fmt"
	"os"

	"photonbuild.invalid/compat/internal/gdn/cli"
	"photonbuild.invalid/compat/internal/gdn/initproc"
	"photonbuild.invalid/compat/internal/gdn/inside"
	"photonbuild.invalid/compat/internal/gdn/shim"
)

func main() {
	// The three that live in or beside containers take no flags and nothing of the rest.
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "inside":
			if err := inside.Main(os.Args[2:], "/", os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		case "init":
			initproc.Main()
		case "shim":
			if err := shim.Main(os.Stdin, os.Stdout); err != nil {
				os.Exit(1) // the server has been told
			}
			return
		}
	}
	if err := cli.Command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "gdn:", err)
		os.Exit(1)
	}
}
