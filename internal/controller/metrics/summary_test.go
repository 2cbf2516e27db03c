// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// minutes is a time.
func minutes(n int) metav1.Time { return metav1.NewTime(time.Unix(int64(n)*60, 0)) }

// batch returns a batch of namespace a that has two users, and has been in its state since the first minute.
func batch(name string, status metav1.ConditionStatus, reason string, change ...func(*cached.Batch)) *cached.Batch {
	b := &cached.Batch{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, CreationTimestamp: minutes(0)}}
	b.Status.Counts = v1alpha1.UserCounts{Total: 2, Created: 2, NotOwned: 1}
	b.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, LastTransitionTime: minutes(1)},
		{Type: v1alpha1.ConditionUsersCreated, Status: metav1.ConditionTrue, LastTransitionTime: minutes(2)},
	}
	for _, c := range change {
		c(b)
	}
	return b
}

// pending has two users of a batch wait since some minute.
func pending(since int) func(*cached.Batch) {
	return func(b *cached.Batch) {
		b.Status.Counts = v1alpha1.UserCounts{Total: 2, Pending: 2}
		b.Status.Conditions[1].Status, b.Status.Conditions[1].LastTransitionTime = metav1.ConditionFalse, minutes(since)
	}
}

func stalled(b *cached.Batch) {
	b.Status.Conditions = append(b.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue})
}

func TestSummary_ShowsEachBatch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		batch  *cached.Batch
		reason string
		want   *unready // besides its name and reason; nil if it is ready
		oldest metav1.Time
	}{
		"it is ready": {batch: batch("b", metav1.ConditionTrue, v1alpha1.ReasonSucceeded), reason: v1alpha1.ReasonSucceeded},
		"users are pending, longer than the Ready condition says": {
			batch:  batch("b", metav1.ConditionFalse, v1alpha1.ReasonRetrying, pending(0)),
			reason: v1alpha1.ReasonRetrying, want: &unready{since: minutes(1).Time, pendingSince: minutes(0).Time, pending: 2}, oldest: minutes(0),
		},
		"it is stalled, and nobody is pending": {
			batch: batch("b", metav1.ConditionFalse, v1alpha1.ReasonInvalidUsers, stalled, func(b *cached.Batch) {
				b.Status.Counts = v1alpha1.UserCounts{Total: 2, Created: 1, Invalid: 1}
			}),
			reason: v1alpha1.ReasonInvalidUsers, want: &unready{since: minutes(1).Time, stalled: true, invalid: 1},
		},
		"its list cannot be read, so that nobody knows whether all users exist": {
			batch: batch("b", metav1.ConditionFalse, v1alpha1.ReasonSourceUnreadable, stalled, func(b *cached.Batch) {
				b.Status.Conditions[1].Status = metav1.ConditionFalse
			}),
			reason: v1alpha1.ReasonSourceUnreadable, want: &unready{since: minutes(1).Time, stalled: true},
		},
		"the operator has not looked at it": {
			batch:  batch("b", "", "", func(b *cached.Batch) { b.Status = v1alpha1.EmbeddedUserBatchStatus{ObservedGeneration: -1} }),
			reason: unknown, want: &unready{since: minutes(0).Time, pendingSince: minutes(0).Time}, oldest: minutes(0),
		},
		"somebody else wrote a reason": {
			batch: batch("b", metav1.ConditionFalse, "demo@runalloy.com"), reason: unknown, want: &unready{since: minutes(1).Time},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSummary()
			s.add(tc.batch)
			var want []unready
			if tc.want != nil {
				tc.want.namespace, tc.want.name, tc.want.reason = "a", "b", tc.reason
				want = []unready{*tc.want}
			}
			if diff := cmp.Diff(want, s.shown(), cmp.AllowUnexported(unready{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.batches[tc.reason] != 1 || !s.oldest.Equal(tc.oldest.Time) {
				t.Errorf("batches %v, the oldest since %s", s.batches, s.oldest)
			}
		})
	}
}

func TestSummary_AddsUp(t *testing.T) {
	t.Parallel()
	s := newSummary()
	s.add(batch("one", metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
	s.add(batch("two", metav1.ConditionFalse, v1alpha1.ReasonRetrying, pending(9)))
	s.add(batch("three", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, pending(5)))
	s.add(batch("four", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, pending(0), func(b *cached.Batch) {
		b.DeletionTimestamp = new(minutes(10))
	}))
	want := map[string]int64{resultCreated: 2, resultExisting: 0, resultInvalid: 0, resultPending: 4}
	if diff := cmp.Diff(want, s.users); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if !s.oldest.Equal(minutes(5).Time) || len(s.unready) != 2 || len(s.batches) != len(reasons) {
		t.Errorf("%+v", s)
	}
}

func TestSummary_CountsWhatIsPaused(t *testing.T) {
	t.Parallel()
	since := func(minute int) func(*cached.Batch) {
		return func(b *cached.Batch) {
			b.Suspend = true
			b.Status.Conditions = append(b.Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionTrue, LastTransitionTime: minutes(minute),
			})
		}
	}
	resumed := func(b *cached.Batch) { b.Suspend = false }
	observing := func(b *cached.Batch) { b.Mode = v1alpha1.ModeObserve }
	s := newSummary()
	s.add(batch("pending", metav1.ConditionUnknown, v1alpha1.ReasonSuspended, pending(9), since(20)))
	s.add(batch("done", metav1.ConditionTrue, v1alpha1.ReasonSucceeded, since(10)))
	s.add(batch("both", metav1.ConditionUnknown, v1alpha1.ReasonSuspended, pending(9), since(30), observing))
	s.add(batch("observed", metav1.ConditionUnknown, v1alpha1.ReasonObserved, pending(9), observing))
	s.add(batch("resumed just now", metav1.ConditionUnknown, v1alpha1.ReasonSuspended, pending(9), since(1), resumed))
	s.add(batch("suspended just now", metav1.ConditionTrue, v1alpha1.ReasonSucceeded, func(b *cached.Batch) { b.Suspend = true }))
	want := map[string]int{pauseSuspended: 4, pauseObserving: 1}
	if diff := cmp.Diff(want, s.paused); diff != "" || !s.suspended.Equal(minutes(10).Time) {
		t.Errorf("suspended since %s; (-want +got):\n%s", s.suspended, diff)
	}
}

// TestSummary_NoNamespaceHidesAnother has one namespace with more failing batches than are shown, which failed first.
func TestSummary_NoNamespaceHidesAnother(t *testing.T) {
	t.Parallel()
	s := newSummary()
	for i := range 2 * maxShown {
		s.add(batch(fmt.Sprintf("batch-%04d", i), metav1.ConditionFalse, v1alpha1.ReasonRetrying))
	}
	for i := range 3 {
		s.add(batch(fmt.Sprint("late-", i), metav1.ConditionFalse, v1alpha1.ReasonRetrying, func(b *cached.Batch) {
			b.Namespace, b.Status.Conditions[0].LastTransitionTime = "b", minutes(100)
		}))
	}
	shown := s.shown()
	late := slices.DeleteFunc(slices.Clone(shown), func(one unready) bool { return one.namespace != "b" })
	if len(shown) != maxShown || len(late) != 3 {
		t.Errorf("%d batches are shown, %d of them of the second namespace", len(shown), len(late))
	}
	again := newSummary()
	for _, one := range slices.Backward(s.unready) { // the cache has no order
		again.unready = append(again.unready, one)
	}
	if diff := cmp.Diff(shown, again.shown(), cmp.AllowUnexported(unready{})); diff != "" {
		t.Errorf("another scrape shows others (-first +second):\n%s", diff)
	}
}

// TestReasons_AreThoseOfTheAPI compares the reasons with the source of the API.
func TestReasons_AreThoseOfTheAPI(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../../api/v1alpha1/condition_types.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{unknown}
	for _, declared := range file.Decls {
		block, ok := declared.(*ast.GenDecl)
		if !ok || !strings.HasPrefix(block.Doc.Text(), "Reasons of ConditionReady") {
			continue
		}
		for _, spec := range block.Specs {
			value := spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit) //nolint:forcetypeassert // a constant text
			reason, err := strconv.Unquote(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, reason)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(reasons))); diff != "" || len(want) < 10 {
		t.Errorf("(-API +metrics):\n%s", diff)
	}
}
