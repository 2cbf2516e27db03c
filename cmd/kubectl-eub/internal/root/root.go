// SPDX-License-Identifier: Apache-2.0

// Package root has the commands of the plugin under one.
package root

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/check"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/importing"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/operate"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/planning"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/results"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/status"
)

// NewCommand returns kubectl eub.
func NewCommand(streams genericiooptions.IOStreams, version string) *cobra.Command {
	shared := &command.Options{ConfigFlags: genericclioptions.NewConfigFlags(true), IOStreams: streams}
	c := &cobra.Command{
		Use:   "eub",
		Short: "Import users, and see what becomes of them",
		Long: `Work with EmbeddedUserBatches: import lists of users, see what would happen and what has happened, and try again.

The commands read and write the cluster only; the operator talks to Alloy.`,
		Version:       version,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl eub"},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.SetIn(streams.In)
	c.SetOut(streams.Out)
	c.SetErr(streams.ErrOut)
	shared.ConfigFlags.AddFlags(c.PersistentFlags())
	c.AddCommand(
		importing.NewCommand(shared), planning.NewCommand(shared), status.NewCommand(shared), results.NewCommand(shared),
		operate.NewRetryCommand(shared), operate.NewSuspendCommand(shared), operate.NewResumeCommand(shared), operate.NewApproveCommand(shared),
		check.NewCommand(shared),
	)
	return c
}
