// Package redact keeps user data out of error messages, which end up in logs.
package redact

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Error replaces errors of the API server that quote the written object, such as validation errors. It returns other errors
// unchanged.
func Error(err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return fmt.Errorf("the API server refused it as %s", apierrors.ReasonForError(err))
	}
	return err
}
