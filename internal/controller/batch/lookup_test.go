// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
)

// lookedUp returns a view of a batch with one slice, in which two users exist and one is pending, and the time of the test.
func lookedUp(change func(*cached.Batch)) (view, time.Time) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	batch := &cached.Batch{ObjectMeta: metav1.ObjectMeta{UID: "uid", CreationTimestamp: metav1.NewTime(now.Add(-24 * time.Hour))}}
	batch.Status.KeyFingerprint = "key"
	change(batch)
	slice := cached.Slice{Counts: v1alpha1.UserCounts{Total: 3, Existing: 2, Pending: 1}}
	return view{batch: batch, slices: []cached.Slice{slice}}, now
}

func TestWish_WhenUsersAreLookedUp(t *testing.T) {
	t.Parallel()
	at := func(value string) map[string]string { return map[string]string{v1alpha1.AnnotationReconcileAt: value} }
	for name, tc := range map[string]struct {
		change   func(*cached.Batch)
		key      keyFacts
		interval time.Duration
		running  time.Duration // of the operator
		want     cause
		isLater  bool
	}{
		"nothing is wished by default":     {want: noCause},
		"another key":                      {key: keyFacts{fingerprint: "other"}, want: otherKey},
		"another key that cannot be read":  {key: keyFacts{fingerprint: "other", isUnread: true}, want: noCause},
		"another key that is no key":       {key: keyFacts{fingerprint: "other", problem: &credentials.Problem{}}, want: noCause},
		"a key of which nothing was known": {change: func(b *cached.Batch) { b.Status.KeyFingerprint = "" }, want: noCause},
		"another key while suspended": {
			change: func(b *cached.Batch) { b.Suspend = true }, key: keyFacts{fingerprint: "other"}, want: noCause,
		},
		"a new value of the annotation": {change: func(b *cached.Batch) { b.Annotations = at("now") }, want: requested},
		"a value that was handled": {
			change: func(b *cached.Batch) { b.Annotations, b.Status.LastHandledReconcileAt = at("now"), "now" }, want: noCause,
		},
		"an observed batch with pending users": {change: func(b *cached.Batch) { b.Mode = v1alpha1.ModeObserve }, want: observing},
		"a batch that is older than the interval, which was set just now": {
			interval: time.Hour, want: noCause, isLater: true,
		},
		"a first resync that is due": {
			change:   func(b *cached.Batch) { b.CreationTimestamp = metav1.NewTime(b.CreationTimestamp.Add(23 * time.Hour)) },
			interval: 50 * time.Minute, running: 2 * time.Hour, want: resync,
		},
		"a resync that is due": {
			change:   func(b *cached.Batch) { b.Status.LastResyncTime = new(metav1.NewTime(b.CreationTimestamp.Time)) },
			interval: time.Hour, want: resync,
		},
		"a resync that is not due": {
			change:   func(b *cached.Batch) { b.Status.LastResyncTime = new(metav1.NewTime(b.CreationTimestamp.Time)) },
			interval: 25 * time.Hour, want: noCause, isLater: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.change == nil {
				tc.change = func(*cached.Batch) {}
			}
			if tc.key.fingerprint == "" {
				tc.key.fingerprint = "key"
			}
			v, now := lookedUp(tc.change)
			w, later := wishOf(v, tc.key, tc.interval, now.Add(-tc.running), now)
			if w.cause != tc.want || later > 0 != tc.isLater {
				t.Errorf("the cause is %d, the next resync in %s", w.cause, later)
			}
		})
	}
}

// TestResyncDue_BatchesOfAnAccountStayTogether checks that accounts differ in when they are looked up, and that the delay is bounded.
func TestResyncDue_BatchesOfAnAccountStayTogether(t *testing.T) {
	t.Parallel()
	last := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	dues := map[time.Time]bool{}
	for _, fingerprint := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		var both []time.Time
		for _, uid := range []string{"one", "other"} {
			batch := &cached.Batch{ObjectMeta: metav1.ObjectMeta{UID: "uid", Name: uid}}
			batch.Status.LastResyncTime = &last
			both = append(both, resyncDue(batch, fingerprint, time.Hour, last.Time))
		}
		if diff := cmp.Diff(both[0], both[1]); diff != "" {
			t.Errorf("two batches of account %s are due at different times (-one +other):\n%s", fingerprint, diff)
		}
		if both[0].Before(last.Add(time.Hour)) || both[0].After(last.Add(66*time.Minute)) {
			t.Errorf("account %s is due at %s", fingerprint, both[0])
		}
		dues[both[0]] = true
	}
	if len(dues) < 6 {
		t.Errorf("8 accounts are due at %d times", len(dues))
	}
}

func TestTally_TheApprovalDependsOnWhoIsMissing(t *testing.T) {
	t.Parallel()
	batch := &cached.Batch{ObjectMeta: metav1.ObjectMeta{UID: "uid"}}
	approval := func(lists ...[]string) string {
		var found tally
		for _, usernames := range lists {
			slice := &v1alpha1.EmbeddedUserSlice{}
			for _, username := range usernames {
				slice.Spec.Users = append(slice.Spec.Users, v1alpha1.User{Username: username})
				slice.Status.Results = append(slice.Status.Results, v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultCreated})
			}
			found.add(slice, fakeList{"there": true})
		}
		return found.approval(batch, "key")
	}
	if approval([]string{"a", "b"}, []string{"c"}) != approval([]string{"c", "there"}, []string{"b", "a"}) {
		t.Error("the approval depends on how the users are distributed")
	}
	if approval([]string{"a", "b"}) == approval([]string{"a", "c"}) {
		t.Error("other users have the same approval")
	}
}

// fakeList is an account's list with the users of the map.
type fakeList map[string]bool

func (l fakeList) Has(username string) bool { return l[username] }

func (fakeList) Shown(string) (userID, hash string, ok bool) { return "", "", false }
