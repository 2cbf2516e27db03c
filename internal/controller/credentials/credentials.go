// SPDX-License-Identifier: Apache-2.0

// Package credentials reads the API key that an object refers to.
package credentials

import (
	"context"
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// Problem says why there is no key to be had, as the reason and message of a condition. Somebody has to mend it.
type Problem struct {
	Reason  string
	Message string
}

// RejectedHint follows, in a message, what the API said of a key that it rejects.
const RejectedHint = "; put a valid API key into the Secret, it is used as soon as it changes"

// Store reads API keys, each version of a Secret once. It is safe for concurrent use.
type Store struct {
	Live     client.Reader // reads from the API server
	Metadata client.Reader // reads the metadata of Secrets from a cache

	mu   sync.Mutex
	read map[reference]reading
}

type reference struct{ namespace, name, key string }

// reading is what was read of a reference, and of which version.
type reading struct {
	uid     types.UID
	version string
	key     alloy.Key
	problem *Problem
}

// Read reads a key from the Secret of a namespace. It returns a problem when the Secret or the key in it is missing or
// unusable, and an error when the Secret could not be read.
func (s *Store) Read(ctx context.Context, namespace string, ref v1alpha1.APIKeySecretReference) (alloy.Key, *Problem, error) {
	ref = ref.WithDefaultKey()
	at := reference{namespace, ref.Name, ref.Key}
	if len(validation.NameIsDNSSubdomain(ref.Name, false)) > 0 { // stored before the schema refused such names
		return alloy.Key{}, &Problem{
			v1alpha1.ReasonSecretNotFound, fmt.Sprintf("%q is not a valid name of a Secret; correct spec.apiKeySecretRef.name", ref.Name),
		}, nil
	}
	metadata := cached.Metadata(cached.SecretKind)
	if err := s.Metadata.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, metadata); client.IgnoreNotFound(err) != nil {
		return alloy.Key{}, nil, fmt.Errorf("looking up Secret %q: %w", ref.Name, err)
	}
	s.mu.Lock()
	known, ok := s.read[at]
	s.mu.Unlock()
	if ok && known.uid == metadata.UID && known.version == metadata.ResourceVersion {
		return known.key, known.problem, nil
	}
	var secret corev1.Secret
	key, problem, err := parse(ref, &secret, s.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.read, at)
	if secret.UID != "" && err == nil {
		if s.read == nil {
			s.read = map[reference]reading{}
		}
		s.read[at] = reading{uid: secret.UID, version: secret.ResourceVersion, key: key, problem: problem}
	}
	return key, problem, err
}

// Forget drops what was read of a Secret, which was changed or deleted: an old key must not stay in memory.
func (s *Store) Forget(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.read, func(at reference, _ reading) bool { return at.namespace == namespace && at.name == name })
}

// parse takes the key out of a Secret, or says why there is none; err is that of reading it.
func parse(ref v1alpha1.APIKeySecretReference, secret *corev1.Secret, err error) (alloy.Key, *Problem, error) {
	if apierrors.IsNotFound(err) {
		return alloy.Key{}, &Problem{
			Reason: v1alpha1.ReasonSecretNotFound,
			Message: fmt.Sprintf("Secret %q does not exist in this namespace; "+
				"create it with the API key under %q, or correct spec.apiKeySecretRef.name",
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
			Message: fmt.Sprintf("The value of %q in Secret %q %s", ref.Key, ref.Name, err),
		}, nil
	}
	return key, nil, nil
}
