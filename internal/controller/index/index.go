// Package index names the ways in which objects are found in the cache.
package index

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	// KeyRef finds batches and slices by the name of the Secret that they refer to.
	KeyRef = "spec.apiKeySecretRef.name"
	// Owner finds slices by the UID of the batch that controls them.
	Owner = "metadata.controller.uid"
)

// Register adds the indexes to a cache.
func Register(ctx context.Context, indexer client.FieldIndexer) error {
	for _, i := range []struct {
		object client.Object
		field  string
		value  func(client.Object) []string
	}{
		{&v1alpha1.EmbeddedUserBatch{}, KeyRef, keyRef},
		{&v1alpha1.EmbeddedUserSlice{}, KeyRef, keyRef},
		{&v1alpha1.EmbeddedUserSlice{}, Owner, owner},
	} {
		if err := indexer.IndexField(ctx, i.object, i.field, i.value); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", i.object, i.field, err)
		}
	}
	return nil
}

func keyRef(object client.Object) []string {
	switch o := object.(type) {
	case *v1alpha1.EmbeddedUserBatch:
		return []string{o.Spec.APIKeySecretRef.Name}
	case *v1alpha1.EmbeddedUserSlice:
		return []string{o.Spec.APIKeySecretRef.Name}
	}
	return nil
}

func owner(object client.Object) []string {
	if reference := metav1.GetControllerOf(object); reference != nil {
		return []string{string(reference.UID)}
	}
	return nil
}
