// Command rkt is an independent App Container executor: it runs pods of the
// App Container specification 0.8.11 (https://github.com/appc/spec) with the
// command line that rkt documented. It is not upstream rkt.
package main

import (
	"os"

	"photonbuild.invalid/compat/internal/rkt/cli"
	"photonbuild.invalid/compat/internal/rkt/stage1"
)

func main() {
	if len(os.Args) > 0 && os.Args[0] == stage1.InitName {
		os.Exit(stage1.Init(os.Args[1:]))
	}
	os.Exit(cli.Main(os.Args[1:]))
}
