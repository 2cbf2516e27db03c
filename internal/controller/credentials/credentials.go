// Package credentials reads the API key that an object refers to.
package credentials

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// Problem says why there is no key to be had, as the reason and message of a condition. Somebody has to mend it.
type Problem struct {
	Reason  string
	Message string
}

// Read reads a key from the Secret of a namespace. The reader must not be a cache: Secrets are watched as metadata only. It
// returns a problem when the Secret or the key in it is missing or unusable, and an error when the Secret could not be read.
func Read(ctx context.Context, reader client.Reader, namespace string, ref v1alpha1.APIKeySecretReference) (alloy.Key, *Problem, error) {
	var secret corev1.Secret
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &secret)
	if apierrors.IsNotFound(err) {
		return alloy.Key{}, &Problem{
			Reason: v1alpha1.ReasonSecretNotFound,
			Message: fmt.Sprintf("Secret %q does not exist in this namespace; create it with the API key under %q, or correct spec.apiKeySecretRef.name",
				ref.Name, ref.Key),
		}, nil
	}
	if err != nil {
		return alloy.Key{}, nil, fmt.Errorf("reading Secret %q: %w", ref.Name, err)
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return alloy.Key{}, &Problem{
			Reason:  v1alpha1.ReasonSecretNotFound,
			Message: fmt.Sprintf("Secret %q has no key %q; add it, or correct spec.apiKeySecretRef.key", ref.Name, ref.Key),
		}, nil
	}
	key, err := alloy.ParseKey(value)
	if err != nil {
		return alloy.Key{}, &Problem{
			Reason:  v1alpha1.ReasonInvalidCredentials,
			Message: fmt.Sprintf("The value of %q in Secret %q %s; put the API key there as Alloy shows it under Settings, API Keys", ref.Key, ref.Name, err),
		}, nil
	}
	return key, nil, nil
}
