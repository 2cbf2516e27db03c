// SPDX-License-Identifier: Apache-2.0

// Package usersource reads a list that spec.usersFrom of a batch names, given its ConfigMap or Secret. The operator and its kubectl plugin
// both use it, so that they find the same rows and say the same of a list that cannot be read.
package usersource

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// Kinds of objects that have lists.
const (
	ConfigMap = "ConfigMap"
	Secret    = "Secret"
)

// ListError says why a list cannot be read, and how somebody can fix that.
type ListError struct {
	Reason  string // of the condition
	Message string
}

func (p *ListError) Error() string { return p.Message }

// Reference returns the kind of object and the key that a source refers to.
func Reference(source *v1alpha1.UsersSource) (kind string, ref *v1alpha1.UsersKeyReference) {
	if source.ConfigMapKeyRef != nil {
		return ConfigMap, source.ConfigMapKeyRef
	}
	return Secret, source.SecretKeyRef
}

// Value returns what an object has under a key; nil if it has none. One of the objects may be empty.
func Value(configMap *corev1.ConfigMap, secret *corev1.Secret, key string) []byte {
	if text, found := configMap.Data[key]; found {
		return []byte(text)
	}
	for _, values := range []map[string][]byte{configMap.BinaryData, secret.Data} {
		if value, found := values[key]; found {
			return append([]byte{}, value...) // not nil
		}
	}
	return nil
}

// Version identifies what an object has; empty for one that was not found. [digest.Of] those of all lists is status.plan.sources.
func Version(object metav1.Object) string {
	if object.GetUID() == "" {
		return ""
	}
	return string(object.GetUID()) + "/" + object.GetResourceVersion()
}

// Rows calls visit for each row of a source; data is nil if it does not exist. It returns the size of the text that it read. The error is
// a ListError, [decode.ErrLimit], or that of visit or the context.
func Rows(
	ctx context.Context, source *v1alpha1.UsersSource, data []byte, most decode.Limits, visit func(decode.Row) error,
) (text int64, err error) {
	kind, ref := Reference(source)
	problem := func(reason, what string) error {
		return &ListError{Reason: reason, Message: fmt.Sprintf("The list %q in %s %q %s", ref.Key, kind, ref.Name, what)}
	}
	format, known := decode.FormatOf(ref.Key)
	if source.Format != "" {
		format, known = decode.Format(source.Format), true
	}
	switch {
	case data == nil && ref.Optional:
		return 0, nil
	case data == nil:
		return 0, problem(v1alpha1.ReasonSourceNotFound, "does not exist; create it, correct spec.usersFrom, or mark it as optional")
	case !known:
		return 0, problem(v1alpha1.ReasonSourceUnreadable, "has no known extension; set the format in spec.usersFrom")
	}
	var ofVisit error
	text, err = decode.Rows(ctx, data, format, most, func(row decode.Row) error {
		ofVisit = visit(row)
		return ofVisit
	})
	switch {
	case err == nil, errors.Is(err, decode.ErrLimit), ofVisit != nil:
		return text, err //nolint:wrapcheck // a named error, or the caller's
	case ctx.Err() != nil:
		return text, fmt.Errorf("reading %s %q: %w", kind, ref.Name, err)
	default:
		return text, problem(v1alpha1.ReasonSourceUnreadable, "cannot be read: "+err.Error())
	}
}
