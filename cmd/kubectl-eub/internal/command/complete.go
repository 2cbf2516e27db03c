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
	// maxCompletions is more than anybody reads, and the number of names in a page.
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
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(config.Contexts)), func(name string) bool { return !strings.HasPrefix(name, begin) })
	return names, cobra.ShellCompDirectiveNoFileComp
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
	kind.Kind += "List"
	var names []cobra.Completion
	for next := ""; ; {
		var found metav1.PartialObjectMetadataList
		found.SetGroupVersionKind(kind)
		err := kube.List(ctx, &found, client.InNamespace(namespace), client.Limit(maxCompletions), client.Continue(next))
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		for i := range found.Items {
			if name := found.Items[i].Name; strings.HasPrefix(name, begin) {
				names = append(names, name)
			}
		}
		if next = found.Continue; next == "" || len(names) >= maxCompletions {
			return names, cobra.ShellCompDirectiveNoFileComp
		}
	}
}
