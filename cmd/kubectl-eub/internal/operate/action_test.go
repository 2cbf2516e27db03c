// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/golden"
)

var now = time.Date(2026, 11, 26, 22, 0, 0, 123e6, time.UTC)

// batch returns a batch whose last change the operator has seen.
func batch(status metav1.ConditionStatus, reason string, change func(*v1alpha1.EmbeddedUserBatch)) *v1alpha1.EmbeddedUserBatch {
	b := &v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{Name: "customers", Generation: 1}}
	b.Status.ObservedGeneration = 1
	b.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: "2 of 2 users are missing\x1b[2J",
	}}
	if change != nil {
		change(b)
	}
	return b
}

func TestActions(t *testing.T) {
	type decide = func(*v1alpha1.EmbeddedUserBatch, time.Time) (change, error)
	var text strings.Builder
	for _, test := range []struct {
		what   string
		decide decide
		batch  *v1alpha1.EmbeddedUserBatch
	}{
		{"retry", retry, batch("True", "Succeeded", nil)},
		{"retry with invalid rows", retry, batch("False", "InvalidUsers", func(b *v1alpha1.EmbeddedUserBatch) {
			b.Status.Plan = &v1alpha1.PlanStatus{InvalidRows: 1200}
		})},
		{"retry with one invalid row", retry, batch("False", "InvalidUsers", func(b *v1alpha1.EmbeddedUserBatch) {
			b.Status.Plan = &v1alpha1.PlanStatus{InvalidRows: 1}
		})},
		{"retry while suspended", retry, batch("Unknown", "Suspended", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Suspend = true })},
		{"retry with a rejected key", retry, batch("False", "Unauthorized", nil)},
		{"retry of what only observes", retry, batch("Unknown", "Observed", func(b *v1alpha1.EmbeddedUserBatch) {
			b.Spec.Mode = v1alpha1.ModeObserve
		})},
		{"retry with an unreadable list", retry, batch("False", "SourceUnreadable", nil)},
		{"suspend", suspend, batch("Unknown", "Progressing", func(b *v1alpha1.EmbeddedUserBatch) { b.Status.Counts.Pending = 5000 })},
		{"suspend with one user", suspend, batch("Unknown", "Progressing", func(b *v1alpha1.EmbeddedUserBatch) { b.Status.Counts.Pending = 1 })},
		{"suspend again", suspend, batch("Unknown", "Suspended", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Suspend = true })},
		{"resume", resume, batch("Unknown", "Suspended", func(b *v1alpha1.EmbeddedUserBatch) {
			b.Spec.Suspend, b.Status.Counts.Pending = true, 3
		})},
		{"resume again", resume, batch("True", "Succeeded", nil)},
		{"approve", approve, batch("False", "AccountChanged", func(b *v1alpha1.EmbeddedUserBatch) { b.Status.Approval = "0f1e" })},
		{"approve again", approve, batch("False", "AccountChanged", func(b *v1alpha1.EmbeddedUserBatch) {
			b.Status.Approval, b.Annotations = "0f1e", map[string]string{v1alpha1.AnnotationApprove: "0f1e"}
		})},
		{"approve what asks for nothing", approve, batch("True", "Succeeded", nil)},
	} {
		c, err := test.decide(test.batch, now)
		fmt.Fprintf(&text, "%s\n  patch: %s\n  customers %s\n", test.what, c.patch, c.said)
		for _, note := range c.notes {
			fmt.Fprintf(&text, "  %s\n", note)
		}
		if c.cannotWait != "" {
			fmt.Fprintf(&text, "  cannot wait: %s\n", c.cannotWait)
		}
		if err != nil {
			fmt.Fprintf(&text, "  error: %v\n", err)
		}
	}
	golden.Equal(t, "actions", text.String())
}

func TestIsDone(t *testing.T) {
	suspended := func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Suspend = true
		b.Status.Conditions = append(b.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionTrue})
	}
	const handled = "2026-11-26T22:00:00.123Z"
	asking := batch("True", "Succeeded", func(b *v1alpha1.EmbeddedUserBatch) { b.Status.Approval = "a" })
	for what, test := range map[string]struct {
		decide        func(*v1alpha1.EmbeddedUserBatch, time.Time) (change, error)
		before, after *v1alpha1.EmbeddedUserBatch
		want          bool
	}{
		"retry that was not handled": {retry, batch("True", "Succeeded", nil), batch("True", "Succeeded", nil), false},
		"retry that was handled": {retry, batch("True", "Succeeded", nil),
			batch("True", "Succeeded", func(b *v1alpha1.EmbeddedUserBatch) { b.Status.LastHandledReconcileAt = handled }), true},
		"retry that another retry overtook": {retry, batch("True", "Succeeded", nil),
			batch("True", "Succeeded", func(b *v1alpha1.EmbeddedUserBatch) {
				b.Annotations = map[string]string{v1alpha1.AnnotationReconcileAt: "later"}
				b.Status.LastHandledReconcileAt = "later"
			}), true},
		"retry that another retry overtook, which was not handled": {retry, batch("True", "Succeeded", nil),
			batch("True", "Succeeded", func(b *v1alpha1.EmbeddedUserBatch) {
				b.Annotations = map[string]string{v1alpha1.AnnotationReconcileAt: "later"}
				b.Status.LastHandledReconcileAt = "earlier"
			}), false},
		"retry that was handled, and users are being sent again": {retry, batch("True", "Succeeded", nil),
			batch("Unknown", "Progressing", func(b *v1alpha1.EmbeddedUserBatch) { b.Status.LastHandledReconcileAt = handled }), false},
		"retry that cannot be handled without a key": {retry, batch("True", "Succeeded", nil),
			batch("False", "SecretNotFound", func(b *v1alpha1.EmbeddedUserBatch) {
				b.Status.Conditions = append(b.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue})
			}), true},
		"suspend that the operator has seen": {suspend, batch("Unknown", "Progressing", nil), batch("Unknown", "Suspended", suspended), true},
		"suspend that the operator has not seen": {suspend, batch("Unknown", "Progressing", nil),
			batch("Unknown", "Progressing", func(b *v1alpha1.EmbeddedUserBatch) { b.Generation = 2 }), false},
		"resume of a batch that is ready":      {resume, batch("Unknown", "Suspended", suspended), batch("True", "Succeeded", nil), true},
		"resume of a batch that is being sent": {resume, batch("Unknown", "Suspended", suspended), batch("Unknown", "Progressing", nil), false},
		"approve that was not handled":         {approve, asking, asking, false},
		"approve that was handled":             {approve, asking, batch("True", "Succeeded", nil), true},
	} {
		c, err := test.decide(test.before, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.isDone(test.after); got != test.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}

// A sync from Git may set a field back, and somebody who waits would wait for ever.
func TestHolds(t *testing.T) {
	suspended := func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Suspend = true }
	asking := func(b *v1alpha1.EmbeddedUserBatch) { b.Status.Approval = "a" }
	approved := func(b *v1alpha1.EmbeddedUserBatch) {
		b.Status.Approval, b.Annotations = "a", map[string]string{v1alpha1.AnnotationApprove: "a"}
	}
	retried := func(value string) func(*v1alpha1.EmbeddedUserBatch) {
		return func(b *v1alpha1.EmbeddedUserBatch) {
			b.Annotations = map[string]string{v1alpha1.AnnotationReconcileAt: value}
		}
	}
	for what, test := range map[string]struct {
		decide        func(*v1alpha1.EmbeddedUserBatch, time.Time) (change, error)
		before, after func(*v1alpha1.EmbeddedUserBatch)
		want          bool
	}{
		"suspend":                                {suspend, nil, suspended, true},
		"suspend that somebody has set back":     {suspend, nil, nil, false},
		"resume":                                 {resume, suspended, nil, true},
		"resume that somebody has set back":      {resume, suspended, suspended, false},
		"retry":                                  {retry, nil, retried("2026-11-26T22:00:00.123Z"), true},
		"retry that another one overtook":        {retry, nil, retried("later"), true},
		"retry whose annotation was removed":     {retry, nil, nil, false},
		"approve that the operator has not seen": {approve, asking, approved, true},
		"approve whose annotation was removed":   {approve, asking, asking, false},
		"approve that the operator has seen":     {approve, asking, nil, true},
	} {
		c, err := test.decide(batch("True", "Succeeded", test.before), now)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.holds(batch("True", "Succeeded", test.after)); got != test.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}
