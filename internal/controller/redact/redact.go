// Package redact keeps user data out of error texts, which end in logs.
package redact

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Error returns an error of the API server without what it repeats of the object that was written: a validation error holds
// the value that it does not like. Other errors stay as they are.
func Error(err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return fmt.Errorf("the API server refused it as %s", apierrors.ReasonForError(err))
	}
	return err
}
