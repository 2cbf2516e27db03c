// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	// completionTime is how long somebody who presses Tab waits at most.
	completionTime = 3 * time.Second
	// maxCompletions is more than anybody reads.
	maxCompletions = 500
)

// CompleteBatch completes the name of a batch, which is the only argument or the value of --name.
func (o *Options) CompleteBatch(c *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if isArgument := c.Flags().Lookup("name") == nil; isArgument && len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	namespace, err := o.Namespace()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return o.complete(c.Context(), v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind), namespace, begin)
}

// CompleteNamespace completes the value of --namespace.
func (o *Options) CompleteNamespace(c *cobra.Command, _ []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return o.complete(c.Context(), corev1.SchemeGroupVersion.WithKind("Namespace"), "", begin)
}

// CompleteContext completes the value of --context.
func (o *Options) CompleteContext(_ *cobra.Command, _ []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
	config, err := o.ConfigFlags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return beginning(slices.Sorted(maps.Keys(config.Contexts)), begin), cobra.ShellCompDirectiveNoFileComp
}

// complete returns the names of objects of a kind. It reads nothing else of them.
func (o *Options) complete(
	ctx context.Context, kind schema.GroupVersionKind, namespace, begin string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	kube, err := o.Client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found metav1.PartialObjectMetadataList
	kind.Kind += "List"
	found.SetGroupVersionKind(kind)
	if err := kube.List(ctx, &found, client.InNamespace(namespace), client.Limit(maxCompletions)); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names := make([]string, 0, len(found.Items))
	for i := range found.Items {
		names = append(names, found.Items[i].Name)
	}
	return beginning(names, begin), cobra.ShellCompDirectiveNoFileComp
}

func beginning(names []string, begin string) []cobra.Completion {
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, begin) })
}
