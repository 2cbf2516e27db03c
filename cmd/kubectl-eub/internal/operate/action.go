// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/status"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// change is what a command does to a batch. A change without a patch has nothing to do.
type change struct {
	patch []byte // JSON merge patch; nil for none
	said  string // what was done, as the last word of a line such as "customers suspended"
	notes []string
	// isDone reports whether what --wait waits for has happened, to a batch in which the patch is stored.
	isDone func(*v1alpha1.EmbeddedUserBatch) bool
	// holds reports whether nobody has undone the change, as a sync from Git may, or suspended the batch. Otherwise what --wait waits
	// for may never happen.
	holds func(*v1alpha1.EmbeddedUserBatch) bool
	// cannotWait says why waiting would be in vain; empty if it would not.
	cannotWait string
}

// patchOf returns a merge patch that sets a field; a nil value removes it.
func patchOf(value any, path ...string) []byte {
	for i := len(path) - 1; i >= 0; i-- {
		value = map[string]any{path[i]: value}
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // impossible for maps of strings
	}
	return text
}

func annotate(annotation, value string) []byte {
	return patchOf(value, "metadata", "annotations", annotation)
}

// retry has the users of a batch looked up, and those sent again that the API rejected.
func retry(batch *v1alpha1.EmbeddedUserBatch, now time.Time) (change, error) {
	value := now.UTC().Format("2006-01-02T15:04:05.000Z")
	c := change{
		patch: annotate(v1alpha1.AnnotationReconcileAt, value), said: "asked to look up its users, and to send the rejected ones again",
		isDone: func(b *v1alpha1.EmbeddedUserBatch) bool {
			last := b.Status.LastHandledReconcileAt
			handled := last == value || last != "" && last == b.Annotations[v1alpha1.AnnotationReconcileAt] // of somebody who asked later
			// Without a key nobody is looked up.
			return status.StateOf(b).Ends() && (handled || status.WaitsForKey(b))
		},
		holds: func(b *v1alpha1.EmbeddedUserBatch) bool {
			return b.Annotations[v1alpha1.AnnotationReconcileAt] != "" && !b.Spec.Suspend
		},
	}
	if batch.Spec.Mode == v1alpha1.ModeObserve {
		c.said = "asked to look up its users"
		c.notes = append(c.notes, "It only observes: nothing is sent before spec.mode is Apply.")
	}
	if batch.Spec.Suspend {
		c.cannotWait = "it is suspended, and does so when it goes on; run kubectl eub resume " + target(batch)
	}
	switch status.ReasonOf(batch) {
	case v1alpha1.ReasonUnauthorized:
		c.notes = append(c.notes, "The API rejected the key. That is not tried sooner because of this: "+
			"put another key into the Secret, which is used at once.")
	case v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceUnreadable, v1alpha1.ReasonListTooLarge:
		c.notes = append(c.notes, "A list cannot be read. It is read again by itself when it changes.")
	}
	if n := selfInvalid(batch); n > 0 {
		c.notes = append(c.notes, fmt.Sprintf(
			"%s, and not sent before being corrected: kubectl eub results %s --result Invalid.",
			terminal.Count(n, "row is invalid by itself", "rows are invalid by themselves"), target(batch)))
	}
	return c, nil
}

func target(batch *v1alpha1.EmbeddedUserBatch) string {
	return advice.Target(batch.Namespace, batch.Name)
}

func selfInvalid(batch *v1alpha1.EmbeddedUserBatch) int32 {
	if batch.Status.Plan == nil {
		return 0
	}
	return batch.Status.Plan.InvalidRows
}

// suspend stops the requests of a batch.
func suspend(batch *v1alpha1.EmbeddedUserBatch, _ time.Time) (change, error) {
	c := change{
		patch: patchOf(true, "spec", "suspend"), said: "suspended",
		isDone: func(b *v1alpha1.EmbeddedUserBatch) bool {
			return isSeen(b) && meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionSuspended)
		},
		holds: func(b *v1alpha1.EmbeddedUserBatch) bool { return b.Spec.Suspend },
		notes: []string{"Nothing more is sent. A request that is running ends, and its results are recorded."},
	}
	if n := batch.Status.Counts.Pending; n > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%s pending. To go on: kubectl eub resume %s.",
			terminal.Count(n, "user is", "users are"), target(batch)))
	}
	if batch.Spec.Suspend {
		c.patch, c.said, c.notes = nil, "was suspended already", c.notes[1:]
	}
	return c, nil
}

// resume has a suspended batch go on.
func resume(batch *v1alpha1.EmbeddedUserBatch, _ time.Time) (change, error) {
	c := change{
		patch: patchOf(nil, "spec", "suspend"), said: "resumed",
		isDone: func(b *v1alpha1.EmbeddedUserBatch) bool { return status.StateOf(b).Ends() },
		holds:  func(b *v1alpha1.EmbeddedUserBatch) bool { return !b.Spec.Suspend },
	}
	if !batch.Spec.Suspend {
		c.patch, c.said = nil, "was not suspended"
	}
	if n := batch.Status.Counts.Pending; n > 0 {
		c.notes = append(c.notes, terminal.Count(n, "user is", "users are")+" pending.")
	}
	return c, nil
}

// approve has the missing users of a batch created under the key that the Secret has now, although it may be another account's.
func approve(batch *v1alpha1.EmbeddedUserBatch, _ time.Time) (change, error) {
	value := batch.Status.Approval
	if value == "" {
		return change{}, fmt.Errorf("batch %s asks for no approval: it does so, with reason AccountChanged, when the Secret has a key under "+
			"which more than half of the users are missing", batch.Name)
	}
	c := change{
		patch: annotate(v1alpha1.AnnotationApprove, value), said: "approved",
		isDone: func(b *v1alpha1.EmbeddedUserBatch) bool {
			return b.Status.Approval != value && status.StateOf(b).Ends()
		},
		holds: func(b *v1alpha1.EmbeddedUserBatch) bool {
			return b.Status.Approval != value || b.Annotations[v1alpha1.AnnotationApprove] == value && !b.Spec.Suspend
		},
	}
	if ready := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		c.notes = append(c.notes, "You approve this: "+terminal.Clean(ready.Message))
	}
	if batch.Annotations[v1alpha1.AnnotationApprove] == value {
		c.patch, c.said = nil, "was approved already"
	}
	if batch.Spec.Suspend {
		c.cannotWait = "it is suspended, and goes on when it is resumed; run kubectl eub resume " + target(batch)
	}
	return c, nil
}

// isSeen reports whether the status is that of the last change.
func isSeen(batch *v1alpha1.EmbeddedUserBatch) bool {
	return batch.Status.ObservedGeneration == batch.Generation
}
