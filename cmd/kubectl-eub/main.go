// SPDX-License-Identifier: Apache-2.0

// Kubectl-eub is a plugin of kubectl for people who keep lists of users. It never talks to Alloy.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/root"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run()) }

// run returns the exit code of the command line.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	err := root.NewCommand(streams, version).ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	if exit := (*command.ExitError)(nil); errors.As(err, &exit) {
		return exit.Code
	}
	return 1
}
