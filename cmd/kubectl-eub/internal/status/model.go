// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
)

// Report is what status shows of a batch. As JSON and YAML it is stable: fields are added, and none changes its meaning.
type Report struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Verdict
	Users
	Conditions []Condition `json:"conditions"`
	Lists      []List      `json:"lists"`
	Key        Key         `json:"key"`
	Slices     Slices      `json:"slices"`
	Events     []Event     `json:"events,omitempty"`
	// Missing says what is not shown, and why, such as without a right.
	Missing []string `json:"missing,omitempty"`
	// LastChange is when anything of the batch last changed, its status included.
	LastChange metav1.Time `json:"lastChange"`
}

// Verdict is the state of a batch, and why.
type Verdict struct {
	State State `json:"state"`
	// Reason and Message are those of the condition Ready; empty in the state Unseen, in which they are of what the batch was before.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Do is what to do next; empty for nothing.
	Do    string `json:"do,omitempty"`
	words string // of the state
}

// Users says how far the users of a batch are.
type Users struct {
	Counts   v1alpha1.UserCounts    `json:"counts"`
	Pace     *Pace                  `json:"pace,omitempty"`         // absent where it was not measured
	Invalid  []v1alpha1.InvalidUser `json:"invalidUsers,omitempty"` // the first 100
	Repeated int32                  `json:"repeatedRows,omitempty"`
}

// Condition is a condition of a batch in words.
type Condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
	Since   metav1.Time            `json:"since"`
	Words   string                 `json:"words,omitempty"`
	Do      string                 `json:"do,omitempty"`
}

// List is a list of users of a batch.
type List struct {
	Kind string `json:"kind"` // ConfigMap, Secret, or Inline for spec.users
	Name string `json:"name,omitempty"`
	Key  string `json:"key,omitempty"`
	Rows int    `json:"rows,omitempty"` // of spec.users; the others are not read
}

// Key says where the API key of a batch is, and what the API made of it. It does not have the key.
type Key struct {
	Secret      string `json:"secret"`
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Verdict     string `json:"verdict,omitempty"` // reason of CredentialsValid
}

// Event is what the operator recorded.
type Event struct {
	Time    metav1.Time `json:"time"`
	Type    string      `json:"type"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
	Count   int32       `json:"count"`
}

// maxEvents is the maximum number of events in a report, the latest ones.
const maxEvents = 5

// New returns the report on a batch. Its slices and events are nil where they cannot be read, which missing says.
func New(batch *v1alpha1.EmbeddedUserBatch, rows []SliceRow, events []corev1.Event, missing []string) Report {
	status := &batch.Status
	return Report{
		Namespace: batch.Namespace, Name: batch.Name, Verdict: verdictOn(batch),
		Users:      Users{Counts: status.Counts, Invalid: status.InvalidUsers, Repeated: status.RepeatedRows},
		Conditions: conditionsOf(batch), Lists: listsOf(batch), Key: keyOf(batch), Slices: slicesOf(batch, rows),
		Events: recent(events), Missing: missing, LastChange: lastChange(batch),
	}
}

func verdictOn(batch *v1alpha1.EmbeddedUserBatch) Verdict {
	v := Verdict{State: StateOf(batch), Do: advice.Unseen.Do, words: advice.Unseen.Words}
	if batch.Status.ObservedGeneration > 0 {
		v.words = "The operator has not looked at the last change of this batch yet."
	}
	if v.State != Unseen {
		ready := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionReady)
		a, _ := advice.For(ready.Reason, advice.Target(batch.Namespace, batch.Name))
		v.Reason, v.Message, v.Do, v.words = ready.Reason, ready.Message, a.Do, a.Words
	}
	return v
}

// lastChange returns when anything of a batch last changed.
func lastChange(batch *v1alpha1.EmbeddedUserBatch) metav1.Time {
	last := batch.CreationTimestamp
	for _, entry := range batch.ManagedFields {
		if entry.Time != nil && entry.Time.After(last.Time) {
			last = *entry.Time
		}
	}
	return last
}

// silentAfter is how long an operator that works leaves a batch as it is that it should be working on. It writes a status each second, but
// may have other batches first.
const silentAfter = 2 * time.Minute

// Silence returns for how long nothing has changed of a batch that an operator should be working on; 0 if that is no surprise.
func (r *Report) Silence(now time.Time) time.Duration {
	isAwaited := r.State == Unseen || r.State == Working && r.Reason == v1alpha1.ReasonProgressing
	if silence := now.Sub(r.LastChange.Time); isAwaited && silence > silentAfter {
		return silence
	}
	return 0
}

func conditionsOf(batch *v1alpha1.EmbeddedUserBatch) []Condition {
	described := make([]Condition, 0, len(batch.Status.Conditions))
	for _, c := range batch.Status.Conditions {
		a, _ := advice.For(c.Reason, advice.Target(batch.Namespace, batch.Name))
		described = append(described, Condition{
			Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime, Words: a.Words, Do: a.Do,
		})
	}
	return described
}

// condition returns the condition of a type; nil for none.
func (r *Report) condition(conditionType string) *Condition {
	for i := range r.Conditions {
		if r.Conditions[i].Type == conditionType {
			return &r.Conditions[i]
		}
	}
	return nil
}

func listsOf(batch *v1alpha1.EmbeddedUserBatch) []List {
	var lists []List
	if n := len(batch.Spec.Users); n > 0 {
		lists = append(lists, List{Kind: "Inline", Rows: n})
	}
	for _, source := range batch.Spec.UsersFrom {
		if ref := source.ConfigMapKeyRef; ref != nil {
			lists = append(lists, List{Kind: "ConfigMap", Name: ref.Name, Key: ref.Key})
		} else if ref := source.SecretKeyRef; ref != nil {
			lists = append(lists, List{Kind: "Secret", Name: ref.Name, Key: ref.Key})
		}
	}
	return lists
}

func keyOf(batch *v1alpha1.EmbeddedUserBatch) Key {
	ref := batch.Spec.APIKeySecretRef.WithDefaultKey()
	key := Key{Secret: ref.Name, Key: ref.Key, Fingerprint: batch.Status.KeyFingerprint}
	if c := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionCredentialsValid); c != nil {
		key.Verdict = c.Reason
	}
	return key
}

// recent returns the latest events, the latest first.
func recent(events []corev1.Event) []Event {
	all := make([]Event, 0, len(events))
	for i := range events {
		e := &events[i]
		count := max(e.Count, 1)
		if e.Series != nil {
			count = max(count, e.Series.Count)
		}
		all = append(all, Event{Time: lastTime(e), Type: e.Type, Reason: e.Reason, Message: e.Message, Count: count})
	}
	slices.SortStableFunc(all, func(a, b Event) int { return b.Time.Compare(a.Time.Time) })
	return all[:min(len(all), maxEvents)]
}

// lastTime returns when an event was last seen. Events of events.k8s.io leave out what those of the core API have, and the reverse.
func lastTime(e *corev1.Event) metav1.Time {
	last := e.CreationTimestamp.Time
	times := []time.Time{e.FirstTimestamp.Time, e.LastTimestamp.Time, e.EventTime.Time}
	if e.Series != nil {
		times = append(times, e.Series.LastObservedTime.Time)
	}
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return metav1.NewTime(last)
}
