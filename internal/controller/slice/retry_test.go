// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// retried is a slice whose status is written as the controller writes it, at a time that the test sets.
type retried struct {
	*testing.T

	slice *v1alpha1.EmbeddedUserSlice
	now   time.Time
}

func newRetried(t *testing.T, usernames ...string) *retried {
	r := &retried{t, &v1alpha1.EmbeddedUserSlice{ObjectMeta: metav1.ObjectMeta{Generation: 1}}, time.Unix(1_800_000_000, 0)}
	r.slice.Status.ObservedGeneration = -1
	for _, username := range usernames {
		r.slice.Spec.Users = append(r.slice.Spec.Users, v1alpha1.User{Username: username})
	}
	return r
}

// reconcile records a report some time later, and returns the usernames that are then to be sent.
func (r *retried) reconcile(after time.Duration, maySend bool, report sender.Report) (pending []string) {
	r.Helper()
	r.now = r.now.Add(after)
	s := newState(r.now, r.slice, report, DefaultRetryDelay)
	s.fingerprint = "key"
	if maySend && s.retryIsDue() {
		s.retry()
	}
	if next, write := s.status(); write {
		r.slice.Status = next
	}
	for _, user := range s.pending {
		pending = append(pending, user.Username)
	}
	return pending
}

// rejected is a report that the API rejects users.
func (r *retried) rejected(usernames ...string) sender.Report {
	report := sender.Report{News: true, AcceptedKey: "key", Results: map[string]sender.Result{}}
	for _, user := range r.slice.Spec.Users {
		for _, username := range usernames {
			if user.Username == username {
				report.Results[username] = sender.Result{State: sender.Invalid, Sent: users.User(user)}
			}
		}
	}
	return report
}

// check compares the usernames that are to be sent, and the time until the second try; none if it is negative.
func (r *retried) check(what string, got, want []string, until time.Duration) {
	r.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("%s: to be sent (-want +got):\n%s", what, diff)
	}
	switch due := r.slice.Status.RetryTime; {
	case due == nil && until >= 0:
		r.Errorf("%s: there is no second try", what)
	case due != nil && due.Sub(r.now) != until:
		r.Errorf("%s: the second try is in %s, want %s", what, due.Sub(r.now), until)
	}
}

const never = -time.Hour

func TestRetry_OnceTenMinutesLater(t *testing.T) {
	t.Parallel()
	r := newRetried(t, "a", "b")
	r.check("at first", r.reconcile(0, true, sender.Report{}), []string{"a", "b"}, never)
	report := r.rejected("a")
	report.Results["b"] = sender.Result{State: sender.Created, Sent: users.User{Username: "b"}}
	r.check("rejected", r.reconcile(0, true, report), nil, 10*time.Minute)
	r.check("a minute later", r.reconcile(time.Minute, true, sender.Report{}), nil, 9*time.Minute)
	r.check("due", r.reconcile(9*time.Minute, true, sender.Report{}), []string{"a"}, never)
	if pending := r.slice.Status.Results[0].Pending; pending != v1alpha1.PendingRetry {
		t.Errorf("what is sent is not recorded before: %q", pending)
	}
	r.check("after a restart", r.reconcile(time.Hour, true, sender.Report{}), []string{"a"}, never)
	r.check("rejected again", r.reconcile(0, true, r.rejected("a")), nil, never)
	r.check("long after", r.reconcile(24*time.Hour, true, sender.Report{}), nil, never)
	if first := r.slice.Status.Results[0]; !first.Retried || first.Pending != "" {
		t.Errorf("at the end: %+v", first)
	}

	r.slice.Spec.Users[0].FullName = "Corrected"
	r.slice.Generation++
	r.check("corrected", r.reconcile(0, true, sender.Report{}), []string{"a"}, never)
	r.check("and rejected", r.reconcile(0, true, r.rejected("a")), nil, 10*time.Minute)
}

func TestRetry_WaitsUntilUsersMayBeSent(t *testing.T) {
	t.Parallel()
	r := newRetried(t, "a")
	r.reconcile(0, true, r.rejected("a"))
	r.check("suspended when it is due", r.reconcile(time.Hour, false, sender.Report{}), nil, -50*time.Minute)
	if ready := r.slice.Status.Conditions[0]; ready.Status != metav1.ConditionTrue {
		t.Errorf("suspended: %+v", ready)
	}
	r.check("resumed", r.reconcile(0, true, sender.Report{}), []string{"a"}, never)
}

func TestRetry_LaterRejectionsDoNotPutItOff(t *testing.T) {
	t.Parallel()
	r := newRetried(t, "a", "b")
	r.reconcile(0, true, r.rejected("a"))
	r.check("a second user", r.reconcile(9*time.Minute, true, r.rejected("b")), nil, time.Minute)
	r.check("due", r.reconcile(time.Minute, true, sender.Report{}), []string{"a", "b"}, never)
}

// TestRetry_IsRecordedWhileAnAttemptFails has it fall due in a slice that was left by an earlier process with a failed attempt.
func TestRetry_IsRecordedWhileAnAttemptFails(t *testing.T) {
	t.Parallel()
	r := newRetried(t, "a", "b")
	report := r.rejected("a")
	report.Failed = &sender.Attempt{KeyFingerprint: "key", Answer: alloy.Answer{Outcome: alloy.Unavailable}, Time: r.now, Next: r.now}
	r.check("one is rejected, one fails", r.reconcile(0, true, report), []string{"b"}, 10*time.Minute)
	r.check("due", r.reconcile(10*time.Minute, true, sender.Report{}), []string{"a", "b"}, never)
	if pending := r.slice.Status.Results[0].Pending; pending != v1alpha1.PendingRetry {
		t.Errorf("what is sent is not recorded before: %q", pending)
	}
}
