// SPDX-License-Identifier: Apache-2.0

// Package access reads batches and lists, and says which right is missing, and who has it.
package access

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// Resources that commands use.
const (
	Batches    = "embeddeduserbatches"
	Slices     = "embeddeduserslices"
	Events     = "events"
	ConfigMaps = "configmaps"
	Secrets    = "secrets"
)

const (
	edit        = "the role edit"
	viewAndEdit = "the roles view and edit"
)

// reads has the roles that may get, list and watch a resource. All others may only those who may edit.
var reads = map[string]string{
	Batches: viewAndEdit, Slices: "the role edit and the ClusterRole slice-viewer", Events: viewAndEdit,
	ConfigMaps: viewAndEdit, Secrets: edit,
}

// Who returns the roles that may do something, in words.
func Who(verb, resource string) string {
	switch verb {
	case "get", "list", "watch":
		if who, known := reads[resource]; known {
			return who
		}
	}
	return edit
}

// Missing says that a right is missing, and who has it.
func Missing(verb, resource, namespace string) string {
	where := "in namespace " + namespace
	if namespace == "" {
		where = "in all namespaces"
	}
	return fmt.Sprintf("you may not %s %s %s; %s may", verb, resource, where, Who(verb, resource))
}

// Batch reads a batch. It is empty after an error, of which [Explain] says what to do about it.
func Batch(ctx context.Context, reader client.Reader, key client.ObjectKey) (*v1alpha1.EmbeddedUserBatch, error) {
	batch := &v1alpha1.EmbeddedUserBatch{}
	if err := reader.Get(ctx, key, batch); err != nil {
		return batch, Explain(fmt.Errorf("reading batch %s: %w", key.Name, err), "get", Batches, key)
	}
	return batch, nil
}

// ListResource returns the resource of a kind of object that has a list of users.
func ListResource(kind string) string {
	if kind == usersource.Secret {
		return Secrets
	}
	return ConfigMaps
}

// List reads the text of a list; nil if it does not exist.
func List(ctx context.Context, reader client.Reader, namespace string, source *v1alpha1.UsersSource) ([]byte, error) {
	kind, ref := usersource.Reference(source)
	configMap, secret := &corev1.ConfigMap{}, &corev1.Secret{}
	object := client.Object(configMap)
	if kind == usersource.Secret {
		object = secret
	}
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	if err := reader.Get(ctx, key, object); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, Explain(fmt.Errorf("reading %s %s: %w", kind, ref.Name, err), "get", ListResource(kind), key)
	}
	return usersource.Value(configMap, secret, ref.Key), nil
}

// Explain returns an error of the API server with what to do about it, if something can be said.
func Explain(err error, verb, resource string, key client.ObjectKey) error {
	var unanswered *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unanswered):
		return fmt.Errorf("the API server does not answer; check --context, the kubeconfig and the network: %w", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not know you; log in again, or give another --context: %w", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w", Missing(verb, resource, key.Namespace), err)
	case meta.IsNoMatchError(err):
		return fmt.Errorf("the cluster has no %s: the operator's CRDs are not installed; see kubectl eub check: %w", resource, err)
	case apierrors.IsNotFound(err) && resource == Batches && key.Name != "":
		return fmt.Errorf("there is no batch %s in namespace %s; kubectl eub status -A lists all: %w", key.Name, key.Namespace, err)
	default:
		return err
	}
}
