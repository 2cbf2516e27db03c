// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
)

var anInstant = time.Date(2026, 11, 24, 6, 42, 0, 0, time.UTC)

// factsOf returns the facts of a batch in its third generation, whose slices are given. The batch has the key of the Secret alloy.
func factsOf(slices ...cached.Slice) facts {
	batch := &cached.Batch{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "b", UID: "0123-4567-89ab", Generation: 3}}
	batch.APIKeySecretRef.Name = "alloy"
	return facts{view: view{batch: batch, slices: slices}, key: keyFacts{fingerprint: "current"}, now: anInstant}
}

// pendingSlice returns a slice with a pending user, under the key of a Secret, whose Ready condition has a reason.
func pendingSlice(secret, reason string) cached.Slice {
	slice := cached.Slice{
		ObjectMeta: metav1.ObjectMeta{Generation: 1}, ObservedGeneration: 1,
		Counts: v1alpha1.UserCounts{Total: 1, Pending: 1},
	}
	slice.APIKeySecretRef = v1alpha1.APIKeySecretReference{Name: secret, Key: v1alpha1.DefaultSecretKey}
	slice.Ready = &metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: "said of the slice"}
	return slice
}

// lacking returns facts in which something is missing.
func lacking(reason string) facts {
	if reason == v1alpha1.ReasonSecretNotFound {
		f := factsOf(pendingSlice("alloy", reason))
		f.key.problem = &credentials.Problem{Reason: reason, Message: "missing"}
		return f
	}
	f := factsOf()
	f.batch.UsersFrom = make([]v1alpha1.UsersSource, 1)
	f.listing.problem = &listError{Verdict: conditions.Stalled(reason, "missing")}
	return f
}

// shownVerdict returns the reason of Ready, and the condition that says whose turn it is.
func shownVerdict(status v1alpha1.EmbeddedUserBatchStatus) (reason, turn string) {
	for _, conditionType := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if meta.IsStatusConditionTrue(status.Conditions, conditionType) {
			turn = conditionType
		}
	}
	return meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason, turn
}

func TestPatience_TwoMinutesFromTheTransition(t *testing.T) {
	t.Parallel()
	for reason, conditionType := range map[string]string{
		v1alpha1.ReasonSecretNotFound: v1alpha1.ConditionCredentialsValid, v1alpha1.ReasonSourceNotFound: v1alpha1.ConditionSourcesRead,
	} {
		missing := func(ago time.Duration, generation int64) *metav1.Condition {
			return &metav1.Condition{
				Status: metav1.ConditionFalse, Reason: reason, ObservedGeneration: generation,
				LastTransitionTime: metav1.NewTime(anInstant.Add(-ago)),
			}
		}
		const waits, stalls = v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled
		type outcome struct {
			turn        string
			since, left time.Duration
		}
		for name, tc := range map[string]struct {
			stored *metav1.Condition
			want   outcome
		}{
			"nothing is stored": {nil, outcome{waits, 0, 2 * time.Minute}},
			"it was there an hour ago": {
				&metav1.Condition{
					Status: metav1.ConditionTrue, Reason: "Fine", ObservedGeneration: 3,
					LastTransitionTime: missing(time.Hour, 3).LastTransitionTime,
				},
				outcome{waits, 0, 2 * time.Minute},
			},
			"it has been missing for a while": {missing(time.Minute, 3), outcome{waits, time.Minute, time.Minute}},
			"not quite two minutes":           {missing(2*time.Minute-time.Second, 3), outcome{waits, 2*time.Minute - time.Second, time.Second}},
			"two minutes":                     {missing(2*time.Minute, 3), outcome{stalls, 2 * time.Minute, 0}},
			"an hour":                         {missing(time.Hour, 3), outcome{stalls, time.Hour, 0}},
			"in another generation":           {missing(time.Hour, 2), outcome{waits, 0, 2 * time.Minute}},
			"something else was wrong": {
				&metav1.Condition{
					Status: metav1.ConditionFalse, Reason: "Other", ObservedGeneration: 3,
					LastTransitionTime: missing(time.Hour, 3).LastTransitionTime,
				},
				outcome{waits, 0, 2 * time.Minute},
			},
			"the clock was an hour ahead": {missing(-time.Hour, 3), outcome{waits, 0, 2 * time.Minute}},
		} {
			f := lacking(reason)
			if tc.stored != nil {
				tc.stored.Type = conditionType
				f.batch.Status.Conditions = []metav1.Condition{*tc.stored}
			}
			status := summarize(f)
			got := outcome{left: untilStalled(status.Conditions, f.now)}
			var shown string
			shown, got.turn = shownVerdict(status)
			got.since = f.now.Sub(meta.FindStatusCondition(status.Conditions, conditionType).LastTransitionTime.Time)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(outcome{})); diff != "" || shown != reason {
				t.Errorf("%s, %s: Ready says %s (-want +got):\n%s", reason, name, shown, diff)
			}
		}
	}
}

// TestPatience_OnlyForWhatMayCome has conditions that are an hour old or new, and make no difference.
func TestPatience_OnlyForWhatMayCome(t *testing.T) {
	t.Parallel()
	ready := pendingSlice("alloy", v1alpha1.ReasonSucceeded)
	ready.Ready.Status, ready.Counts = metav1.ConditionTrue, v1alpha1.UserCounts{Total: 1, Created: 1}
	unneeded := lacking(v1alpha1.ReasonSecretNotFound)
	unneeded.slices[0] = ready
	unusable := lacking(v1alpha1.ReasonSecretNotFound)
	unusable.key.problem.Reason = v1alpha1.ReasonInvalidCredentials
	for name, tc := range map[string]struct {
		f            facts
		reason, turn string
	}{
		"a Secret that nobody needs": {unneeded, v1alpha1.ReasonSucceeded, ""},
		"an unusable key":            {unusable, v1alpha1.ReasonInvalidCredentials, v1alpha1.ConditionStalled},
		"an unreadable list":         {lacking(v1alpha1.ReasonSourceUnreadable), v1alpha1.ReasonSourceUnreadable, v1alpha1.ConditionStalled},
		"a list that is too large":   {lacking(v1alpha1.ReasonListTooLarge), v1alpha1.ReasonListTooLarge, v1alpha1.ConditionStalled},
	} {
		for _, ago := range []time.Duration{0, time.Hour} {
			tc.f.batch.Status = summarize(tc.f)
			later := tc.f
			later.now = tc.f.now.Add(ago)
			status := summarize(later)
			reason, turn := shownVerdict(status)
			if left := untilStalled(status.Conditions, later.now); reason != tc.reason || turn != tc.turn || left != 0 {
				t.Errorf("%s after %s: %s, %s, %s left", name, ago, reason, turn, left)
			}
		}
	}
}

// TestVerdict_OfSlicesWithAnotherKey has slices that keep the key of the Secret old, because the list cannot be read.
func TestVerdict_OfSlicesWithAnotherKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		slices       []cached.Slice
		key, list    string // what is wrong with them
		reason, turn string
	}{
		"their Secret is missing": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonSecretNotFound)}, "", v1alpha1.ReasonSourceNotFound,
			v1alpha1.ReasonSourceNotFound, v1alpha1.ConditionReconciling,
		},
		"their key is unusable": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonInvalidCredentials)}, "", v1alpha1.ReasonSourceNotFound,
			v1alpha1.ReasonSourceNotFound, v1alpha1.ConditionReconciling,
		},
		"their key was rejected": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonUnauthorized)}, "", v1alpha1.ReasonSourceUnreadable,
			v1alpha1.ReasonSourceUnreadable, v1alpha1.ConditionStalled,
		},
		"they can be sent": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonProgressing)}, v1alpha1.ReasonSecretNotFound,
			v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonProgressing, v1alpha1.ConditionReconciling,
		},
		"they are tried again": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonRetrying)}, v1alpha1.ReasonSecretNotFound,
			v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonRetrying, v1alpha1.ConditionReconciling,
		},
		"both keys are missing": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonSecretNotFound)}, v1alpha1.ReasonSecretNotFound,
			v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceNotFound, v1alpha1.ConditionReconciling,
		},
		"another one can be sent": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonSecretNotFound), pendingSlice("alloy", v1alpha1.ReasonProgressing)},
			"", v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonProgressing, v1alpha1.ConditionReconciling,
		},
		"another one misses its Secret": {
			[]cached.Slice{pendingSlice("old", v1alpha1.ReasonUnauthorized), pendingSlice("alloy", v1alpha1.ReasonProgressing)},
			v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonSourceUnreadable, v1alpha1.ReasonSecretNotFound,
			v1alpha1.ConditionReconciling,
		},
	} {
		f := lacking(tc.list)
		f.slices = tc.slices
		if tc.key != "" {
			f.key = keyFacts{problem: &credentials.Problem{Reason: tc.key, Message: "missing"}}
		}
		if reason, turn := shownVerdict(summarize(f)); reason != tc.reason || turn != tc.turn {
			t.Errorf("%s: %s, %s; want %s, %s", name, reason, turn, tc.reason, tc.turn)
		}
	}
}
