// SPDX-License-Identifier: Apache-2.0

// Package index defines the field indexes of the cache.
package index

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

const (
	// KeyRef indexes batches and slices by the name of the Secret with their API key.
	KeyRef = "spec.apiKeySecretRef.name"
	// ConfigMapSource indexes batches by the names of the ConfigMaps with their lists.
	ConfigMapSource = "spec.usersFrom.configMapKeyRef.name"
	// SecretSource indexes batches by the names of the Secrets with their lists.
	SecretSource = "spec.usersFrom.secretKeyRef.name" //nolint:gosec // the name of a field
	// Batch indexes slices by the names of the batches that their label and their controller name: mostly one.
	Batch = "metadata.batch"
)

// Register adds the indexes to a cache.
func Register(ctx context.Context, indexer client.FieldIndexer) error {
	for _, i := range []struct {
		object client.Object
		field  string
		value  func(client.Object) []string
	}{
		{&cached.Batch{}, KeyRef, keyRef},
		{&cached.Batch{}, ConfigMapSource, sources(func(s v1alpha1.UsersSource) *v1alpha1.UsersKeyReference { return s.ConfigMapKeyRef })},
		{&cached.Batch{}, SecretSource, sources(func(s v1alpha1.UsersSource) *v1alpha1.UsersKeyReference { return s.SecretKeyRef })},
		{&cached.Slice{}, KeyRef, keyRef},
		{&cached.Slice{}, Batch, Batches},
	} {
		if err := indexer.IndexField(ctx, i.object, i.field, i.value); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", i.object, i.field, err)
		}
	}
	return nil
}

func keyRef(object client.Object) []string {
	switch o := object.(type) {
	case *cached.Batch:
		return []string{o.APIKeySecretRef.Name}
	case *cached.Slice:
		return []string{o.APIKeySecretRef.Name}
	}
	return nil
}

// Batches returns the names of the batches to which a slice belongs by its label and by its controller.
func Batches(slice client.Object) []string {
	var names []string
	if label := slice.GetLabels()[v1alpha1.LabelBatch]; label != "" {
		names = append(names, label)
	}
	owner := metav1.GetControllerOf(slice)
	if owner != nil && owner.Kind == v1alpha1.EmbeddedUserBatchKind && !slices.Contains(names, owner.Name) {
		names = append(names, owner.Name)
	}
	return names
}

// sources returns an indexer for the names that one kind of source refers to.
func sources(reference func(v1alpha1.UsersSource) *v1alpha1.UsersKeyReference) func(client.Object) []string {
	return func(object client.Object) []string {
		batch, ok := object.(*cached.Batch)
		if !ok {
			return nil
		}
		var names []string
		for _, source := range batch.UsersFrom {
			if ref := reference(source); ref != nil && !slices.Contains(names, ref.Name) {
				names = append(names, ref.Name)
			}
		}
		return names
	}
}
