// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// Line returns a report as one line, for a log. It has no time, rate or wait, so that the lines of two reports differ only if something
// has happened.
func Line(r *Report) string {
	c := r.Counts
	text := fmt.Sprintf("%s/%s %s: %d of %d users done, %d created, %d existing, %d invalid, %d pending",
		r.Namespace, r.Name, r.State, c.Total-c.Pending, c.Total, c.Created, c.Existing, c.Invalid, c.Pending)
	switch r.State {
	case Ready, Unseen:
	case Working:
		if r.Reason != v1alpha1.ReasonProgressing {
			text += fmt.Sprintf("; %s: %s", r.Reason, r.Message)
		}
	default:
		text += fmt.Sprintf("; %s: %s", r.Reason, r.Message)
	}
	return terminal.Clean(text)
}

// Ending returns what to do at the end of a watch, in a line; empty for nothing.
func Ending(r *Report) string {
	if !r.State.NeedsPerson() || r.Do == "" {
		return ""
	}
	return terminal.Clean("To do: " + r.Do)
}
