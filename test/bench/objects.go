// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// largestPage is the page size when reading all objects of a kind.
const largestPage = "20"

// largest returns the size of the largest object of a kind as JSON.
func (w *world) largest(ctx context.Context, namespace, resource string) (int, error) {
	size, next := 0, ""
	for {
		answer, err := w.rest.Get().AbsPath(collection(namespace, resource)...).
			Param("limit", largestPage).Param("continue", next).DoRaw(ctx)
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err == nil {
			err = json.Unmarshal(answer, &page)
		}
		if err != nil {
			return 0, fmt.Errorf("looking for the largest of %s: %w", resource, err)
		}
		for _, item := range page.Items {
			size = max(size, len(item))
		}
		if next = page.Metadata.Continue; next == "" {
			return size, nil
		}
	}
}

// versions returns the resourceVersions of a namespace's slices by name.
func (w *world) versions(ctx context.Context, namespace string) (map[string]string, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("EmbeddedUserSliceList"))
	if err := w.plane.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing the slices: %w", err)
	}
	versions := make(map[string]string, len(list.Items))
	for i := range list.Items {
		versions[list.Items[i].Name] = list.Items[i].ResourceVersion
	}
	return versions, nil
}

// changed counts new and changed objects.
func changed(before, after map[string]string) int {
	n := 0
	for name, version := range after {
		if before[name] != version {
			n++
		}
	}
	return n
}
