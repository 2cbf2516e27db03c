// SPDX-License-Identifier: Apache-2.0

package status

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/golden"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

var now = time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func later(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }

// batch returns a batch with conditions, of which the first is Ready; Reconciling or Stalled follows from it.
func batch(name string, counts v1alpha1.UserCounts, conditions ...metav1.Condition) *v1alpha1.EmbeddedUserBatch {
	b := &v1alpha1.EmbeddedUserBatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, Generation: 3, CreationTimestamp: ago(time.Minute)},
		Spec: v1alpha1.EmbeddedUserBatchSpec{
			APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: "alloy"},
			UsersFrom: []v1alpha1.UsersSource{
				{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "customers", Key: "users.csv"}},
				{SecretKeyRef: &v1alpha1.UsersKeyReference{Name: "more", Key: "users.ndjson"}},
			},
		},
		Status: v1alpha1.EmbeddedUserBatchStatus{ObservedGeneration: 3, Counts: counts, Conditions: conditions},
	}
	counts.Total = counts.Created + counts.Existing + counts.Invalid + counts.Pending
	b.Status.Counts = counts
	for i := range b.Status.Conditions {
		b.Status.Conditions[i].LastTransitionTime = ago(time.Minute)
	}
	return b
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: 3}
}

// stalled returns Ready and Stalled with a reason.
func stalled(reason, message string) []metav1.Condition {
	return []metav1.Condition{
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message),
		condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message),
	}
}

func working(status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{
		condition(v1alpha1.ConditionReady, status, reason, message),
		condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, reason, message),
	}
}

var (
	accepted = condition(v1alpha1.ConditionCredentialsValid, "True", v1alpha1.ReasonCredentialsAccepted, "The Alloy API accepted the key")
	allRead  = condition(v1alpha1.ConditionSourcesRead, "True", v1alpha1.ReasonSourcesRead, "Every list that spec.usersFrom names was read")
)

func sending() Report {
	b := batch("customers", v1alpha1.UserCounts{Created: 412000, Existing: 3100, Invalid: 12, Pending: 584888},
		append(working("Unknown", v1alpha1.ReasonProgressing, "415112 of 1000000 users done: 412000 created, …"), accepted, allRead)...)
	b.Status.Slices = v1alpha1.SliceCounts{Total: 1000, Ready: 415}
	r := New(b, nil, nil, nil)
	r.Pace = &Pace{PerSecond: 9876.5, Left: &metav1.Duration{Duration: 59 * time.Second}}
	return r
}

func retrying() Report {
	message := "The Alloy API answered 503 Service Unavailable: upstream is down; the operator retries"
	b := batch("partners", v1alpha1.UserCounts{Created: 900, Pending: 2100},
		append(working("False", v1alpha1.ReasonRetrying, message), accepted, allRead)...)
	b.Status.Slices = v1alpha1.SliceCounts{Total: 3, Ready: 0}
	rows := []SliceRow{
		{Name: "partners-61a2f956-0", Ready: "False", Pending: 100, Next: later(12 * time.Second), Message: message},
		{Name: "partners-61a2f956-1", Ready: "False", Pending: 1000, Next: later(12 * time.Second), Message: message},
		{Name: "partners-61a2f956-2", Ready: "Unknown", Pending: 1000, Message: "Users are waiting"},
	}
	events := []corev1.Event{
		{Type: "Normal", Reason: "Scheduled", Message: "Something older", LastTimestamp: ago(time.Hour)},
		{Type: "Warning", Reason: "Retrying", Message: "An attempt failed and will be retried; see the message of the condition Ready",
			EventTime: metav1.NewMicroTime(now.Add(-5 * time.Minute)),
			Series:    &corev1.EventSeries{Count: 3, LastObservedTime: metav1.NewMicroTime(now.Add(-90 * time.Second))}},
	}
	return New(b, rows, events, nil)
}

func invalid() Report {
	b := batch("customers", v1alpha1.UserCounts{Created: 2, Existing: 1, Invalid: 140},
		append(stalled(v1alpha1.ReasonInvalidUsers,
			"2 created, 1 existed already, 140 invalid; correct or remove the invalid ones, see status.invalidUsers"),
			accepted, allRead, condition(v1alpha1.ConditionUsersConfirmed, "True", v1alpha1.ReasonConfirmed, "The list was compared"))...)
	b.Spec.Users = make([]v1alpha1.UserRow, 3)
	b.Status.Slices = v1alpha1.SliceCounts{Total: 1, Ready: 1}
	b.Status.RepeatedRows = 2
	source := &v1alpha1.SourceKey{Kind: "ConfigMap", Name: "customers", Key: "users.csv"}
	b.Status.InvalidUsers = []v1alpha1.InvalidUser{
		{Username: "bad\x1b[31m", Row: 0, Reason: v1alpha1.InvalidReasonInvalidRow,
			Message: "username contains a control character, such as a tab or a line break; remove it"},
		{Username: "user_12345", Source: source, Row: 3, Reason: v1alpha1.InvalidReasonDuplicateUsername,
			Message: "An earlier row with the same username and a different fullName is used; remove one of the two"},
		{Source: source, Row: 7, Reason: v1alpha1.InvalidReasonInvalidRow, Message: "line 9: username is empty; give one of 1 to 256 characters"},
		{Username: "x", Source: source, Row: 8, Reason: v1alpha1.InvalidReasonRejectedByAPI, Message: "The API refused this user: no seats"},
	}
	b.Status.InvalidUsersOmitted = 136
	return New(b, nil, nil, []string{"the slices: you may not list embeddeduserslices; the role edit may, and the ClusterRole slice-viewer"})
}

func keyMissing() Report {
	const message = "Secret alloy does not exist; create it"
	b := batch("customers", v1alpha1.UserCounts{Pending: 5}, append(stalled(v1alpha1.ReasonSecretNotFound, message),
		condition(v1alpha1.ConditionCredentialsValid, "False", v1alpha1.ReasonSecretNotFound, message),
		condition(v1alpha1.ConditionSourcesRead, "False", v1alpha1.ReasonSourceUnreadable,
			"ConfigMap customers, users.csv: line 3: a double quote is never closed"),
	)...)
	return New(b, nil, nil, nil)
}

func unseen() Report {
	b := batch("fresh", v1alpha1.UserCounts{})
	b.Spec.UsersFrom = nil
	b.Status.ObservedGeneration = -1
	return New(b, nil, nil, nil)
}

func done() Report {
	ready := condition(v1alpha1.ConditionReady, "True", v1alpha1.ReasonSucceeded, "40 created")
	return New(batch("staff", v1alpha1.UserCounts{Created: 40}, ready, accepted), nil, nil, nil)
}

func suspended() Report {
	b := batch("later", v1alpha1.UserCounts{Created: 1, Pending: 2},
		condition(v1alpha1.ConditionReady, "Unknown", v1alpha1.ReasonSuspended, "1 of 3 users done; set spec.suspend to false to go on"),
		condition(v1alpha1.ConditionSuspended, "True", v1alpha1.ReasonSuspended, "spec.suspend is true"))
	return New(b, nil, nil, nil)
}

func TestScreen(t *testing.T) {
	for name, report := range map[string]Report{
		"sending": sending(), "retrying": retrying(), "invalid": invalid(), "key-missing": keyMissing(), "unseen": unseen(), "done": done(),
		"suspended": suspended(), "silent": silent(), "changed": changed(),
	} {
		t.Run(name, func(t *testing.T) {
			text := Screen(&report, 100, false, now)
			golden.Equal(t, "screen-"+name, text)
			if strings.ContainsRune(text, '\x1b') {
				t.Error("the screen has an escape sequence that a user chose")
			}
			// A line that the terminal breaks in two would spoil the next screen of --watch, which is drawn over this one.
			for _, columns := range []int{100, 40, 20} {
				for line := range strings.SplitSeq(Screen(&report, columns, false, now), "\n") {
					if terminal.Width(line) > columns {
						t.Errorf("%d columns instead of %d: %s", terminal.Width(line), columns, line)
					}
				}
			}
		})
	}
}

func TestBar_OfASlowRate(t *testing.T) {
	r := sending()
	r.Pace.PerSecond = 0.2
	if text := bar(&r, 100); !strings.Contains(text, "   <1/s   59s left") {
		t.Error(text)
	}
}

// A batch that an operator has begun with, and that stays as it is.
func silent() Report {
	r := sending()
	r.LastChange = ago(5 * time.Minute)
	return r
}

// What was Ready before the last change is not.
func changed() Report {
	b := batch("changed", v1alpha1.UserCounts{Created: 40}, condition(v1alpha1.ConditionReady, "True", v1alpha1.ReasonSucceeded, "40 created"))
	b.Generation++
	return New(b, nil, nil, nil)
}

func TestFleet(t *testing.T) {
	reports := []Report{done(), sending(), retrying(), invalid(), keyMissing(), unseen(), suspended(), changed()}
	golden.Equal(t, "fleet", Fleet(reports, 150, false))
	golden.Equal(t, "fleet-one", Fleet([]Report{done()}, 150, false))
	golden.Equal(t, "fleet-empty", Fleet(nil, 150, false))
}

func TestLine(t *testing.T) {
	var lines []string
	for _, r := range []Report{unseen(), sending(), retrying(), invalid(), suspended(), done()} {
		lines = append(lines, Line(&r))
		if ending := Ending(&r); ending != "" {
			lines = append(lines, ending)
		}
	}
	golden.Equal(t, "lines", strings.Join(lines, "\n")+"\n")
}

// Scripts read the report as JSON.
func TestReport_AsJSON(t *testing.T) {
	text, err := json.MarshalIndent(retrying(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "json", string(text)+"\n")
}
