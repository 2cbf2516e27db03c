// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"time"

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

// hint returns what to do about a batch if it seems to lack an operator; else it is empty.
func hint(r *Report, now time.Time) string {
	silence := r.Silence(now)
	switch {
	case r.State == Unseen:
		return r.Do
	case silence > 0:
		return fmt.Sprintf("Nothing has changed for %s: the operator may not run, or has other batches first; see kubectl eub check.",
			terminal.Duration(silence))
	default:
		return ""
	}
}

// Late returns a report on a batch that was waited for in vain: its line, and what to do if that seems to be for want of an operator.
func Late(r *Report) string {
	text := Line(r)
	if do := hint(r, time.Now()); do != "" {
		text += "\nTo do: " + terminal.Clean(do)
	}
	return text
}

// Ending returns what to do at the end of a watch, in a line; empty for nothing.
func Ending(r *Report) string {
	if !r.State.NeedsPerson() || r.Do == "" {
		return ""
	}
	return terminal.Clean("To do: " + r.Do)
}
