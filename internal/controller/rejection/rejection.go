// SPDX-License-Identifier: Apache-2.0

// Package rejection tells requests that the API server refuses as such from those that may succeed when they are repeated.
package rejection

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// Is reports whether the API server refuses a request because of a quota, an admission policy, missing rights or its schema:
// another attempt soon will not do better.
func Is(err error) bool {
	switch {
	case meta.IsNoMatchError(err):
		return true
	case !IsAnswer(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsResourceExpired(err):
		return false
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError ||
		strings.Contains(err.Error(), "field not declared in schema") // the API server answers 500 then
}

// IsAnswer reports whether an error is an answer of the API server.
func IsAnswer(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// Redact replaces the API server's words, which may quote users, by their reason: errors end up in logs. It returns other errors
// unchanged.
func Redact(err error) error {
	if IsAnswer(err) {
		return fmt.Errorf("the API server answered %s", apierrors.ReasonForError(err))
	}
	return err
}
