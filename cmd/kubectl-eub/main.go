// SPDX-License-Identifier: Apache-2.0

// Command kubectl-eub is a plugin of kubectl for EmbeddedUserBatches: kubectl eub.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/root"
)

// version is set with -ldflags.
var version = ""

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)  // so that another Ctrl-C ends a command that waits for its input
	log.SetLogger(logr.Discard()) // commands tell people what matters
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	return command.Exit(root.New(command.NewOptions(buildVersion(), streams)).ExecuteContext(ctx), streams.ErrOut)
}

// buildVersion returns the version set with -ldflags or by the Go toolchain.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
