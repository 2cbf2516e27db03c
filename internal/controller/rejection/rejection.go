// Package rejection tells requests that the API server refuses as such from those that may succeed when they are repeated.
package rejection

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// Is reports whether the API server refuses a request because of a quota, an admission policy, missing rights or its schema:
// another attempt soon will not do better.
func Is(err error) bool {
	var status apierrors.APIStatus
	switch {
	case meta.IsNoMatchError(err):
		return true
	case !errors.As(err, &status),
		apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err),
		apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err), apierrors.IsResourceExpired(err):
		return false
	}
	return true
}

// Redact replaces the API server's words in a rejection, which may quote users, by its reason: errors end up in logs. It
// returns other errors unchanged.
func Redact(err error) error {
	if Is(err) {
		return fmt.Errorf("the API server refused it as %s", apierrors.ReasonForError(err))
	}
	return err
}
