// SPDX-License-Identifier: Apache-2.0

// Package names completes the names of batches on the command line.
package names

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
)

// patience is how long somebody who has pressed Tab waits at most.
const patience = 3 * time.Second

// Complete returns a function that completes the first argument of a command with the names of the namespace's batches. It reads the
// metadata only, because batches can be large.
func Complete(o *command.Options) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := list(c.Context(), o)
		if err != nil {
			cobra.CompErrorln(err.Error())
			return nil, cobra.ShellCompDirectiveError
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// OfFlag does the same for a flag.
func OfFlag(o *command.Options) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return Complete(o)(c, nil, text)
	}
}

func list(ctx context.Context, o *command.Options) ([]string, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	kube, err := o.Client()
	if err != nil {
		return nil, err //nolint:wrapcheck // says itself what failed
	}
	namespace, err := o.Namespace()
	if err != nil {
		return nil, err //nolint:wrapcheck // says itself what failed
	}
	var batches metav1.PartialObjectMetadataList
	batches.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("EmbeddedUserBatchList"))
	if err := kube.List(ctx, &batches, client.InNamespace(namespace)); err != nil {
		return nil, err //nolint:wrapcheck // shown to nobody but with BASH_COMP_DEBUG_FILE
	}
	found := make([]string, len(batches.Items))
	for i := range batches.Items {
		found[i] = batches.Items[i].Name
	}
	return found, nil
}
