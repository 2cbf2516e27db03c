// SPDX-License-Identifier: Apache-2.0

// Package check is the command kubectl eub check: it says in one sentence each what is wrong with a cluster, and with its batches.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/discovery"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// exitWrong is the exit code if something is wrong.
const exitWrong = 1

type options struct {
	*command.Options

	output string
}

// NewCommand returns the command.
func NewCommand(shared *command.Options) *cobra.Command {
	o := &options{Options: shared}
	c := &cobra.Command{
		Use:   "check [NAME]",
		Short: "Say what is wrong with the cluster and its batches",
		Long: `Check what the batches of a namespace need, and say in one sentence each what is
wrong, and what to do about it:

  API server  whether it answers
  CRDs        whether they are installed, and have the fields that this plugin
              knows
  Operator    whether it runs, and is of this plugin's version, for those who
              may list Deployments
  Rights      which right is missing, and for which command
  Batch       what keeps it from being Ready; without a name all batches of the
              namespace
  Key         whether its Secret exists, and whether the API accepts the key
  Limits      whether it comes close to a limit, and what quotas leave

The verdict on the key is the operator's last one: the command never talks to
Alloy, reads no key, and prints none. Of a Secret it reads the metadata only. It
changes nothing.

The exit code is 1 if something is wrong. Warnings, and what cannot be told
without a right, do not count.`,
		Example: `  # What is wrong in this namespace?
  kubectl eub check

  # With one batch
  kubectl eub check customers

  # For a script
  kubectl eub check -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return o.run(c.Context(), name)
		},
	}
	c.Flags().StringVarP(&o.output, "output", "o", "", "json or yaml")
	return c
}

func (o *options) run(ctx context.Context, name string) error {
	if o.output != "" && o.output != "json" && o.output != "yaml" {
		return fmt.Errorf("--output %q is unknown; give json or yaml, or leave it out", o.output)
	}
	kube, namespace, err := o.Connect()
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	config, err := o.Config()
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	// Not that of the flags, which keeps answers on disk.
	asks, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("creating a client: %w", err)
	}
	g := &gatherer{client: kube, discovery: asks}
	f, err := g.gather(ctx, namespace, name, o.Version)
	if err != nil {
		return err
	}
	found := findings(f)
	if err := o.print(found); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	if failed(found) {
		return &command.ExitError{Code: exitWrong, Err: errors.New("something is wrong, see above")}
	}
	return nil
}

func (o *options) print(found []Finding) error {
	if o.output != "" {
		return o.Print(o.output, map[string][]Finding{"findings": found}) //nolint:wrapcheck // wrapped by the caller
	}
	columns, _ := terminal.Size(o.Out)
	_, err := io.WriteString(o.Out, Text(found, columns, terminal.PaletteFor(o.Out)))
	return err //nolint:wrapcheck // wrapped by the caller
}
