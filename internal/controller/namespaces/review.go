// SPDX-License-Identifier: Apache-2.0

package namespaces

import (
	"context"
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// deniedError says which right is missing, or that the namespace does not exist.
type deniedError string

func (d deniedError) Error() string { return string(d) }

func isDenied(err error) bool {
	var denied deniedError
	return errors.As(err, &denied)
}

// reviewer asks the API server for the operator's rights.
type reviewer struct {
	client client.Client
	kinds  []client.Object
	cached cache.Options // of the caches that need the rights
}

func newReviewer(config *rest.Config, cached cache.Options, kinds []client.Object) (*reviewer, error) {
	direct, err := client.New(config, client.Options{HTTPClient: cached.HTTPClient, Mapper: cached.Mapper, Scheme: scheme.Scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &reviewer{client: direct, kinds: kinds, cached: cached}, nil
}

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get

// review returns a deniedError if the namespace does not exist or the operator may not list and watch all kinds there, and another
// error if that could not be found out. Without the right to get the namespace only the rights count.
func (r *reviewer) review(ctx context.Context, namespace string) error {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	switch err := r.client.Get(ctx, client.ObjectKey{Name: namespace}, object); {
	case apierrors.IsNotFound(err):
		return deniedError("it does not exist")
	case err != nil && !apierrors.IsForbidden(err):
		return fmt.Errorf("reading the namespace: %w", err)
	}
	for _, kind := range r.kinds {
		for _, verb := range []string{"list", "watch"} {
			if err := r.may(ctx, verb, kind, namespace); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reviewer) may(ctx context.Context, verb string, kind client.Object, namespace string) error {
	gvk, err := apiutil.GVKForObject(kind, r.cached.Scheme)
	if err != nil {
		return fmt.Errorf("finding the kind of %T: %w", kind, err)
	}
	mapping, err := r.cached.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return fmt.Errorf("finding the resource of %s: %w", gvk.Kind, err)
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: gvk.Group, Resource: mapping.Resource.Resource,
		},
	}}
	if err := r.client.Create(ctx, review); err != nil {
		return fmt.Errorf("asking for the operator's rights: %w", err)
	}
	if !review.Status.Allowed {
		return deniedError(fmt.Sprintf("the operator may not %s %s there, or it does not exist", verb, mapping.Resource.Resource))
	}
	return nil
}
