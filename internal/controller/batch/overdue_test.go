// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

func TestIsOverdue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *metav1.Time { return new(metav1.NewTime(now.Add(-d))) }
	every := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	for name, tc := range map[string]struct {
		last    *metav1.Time
		own     *metav1.Duration
		flag    time.Duration
		suspend bool
		unknown bool // no user is known to exist
		want    bool
	}{
		"nobody wants a resync":                        {last: ago(1000 * time.Hour)},
		"it was due just now":                          {last: ago(70 * time.Minute), own: every(time.Hour)},
		"it was due an interval ago":                   {last: ago(140 * time.Minute), own: every(time.Hour), want: true},
		"so, by the flag":                              {last: ago(140 * time.Minute), flag: time.Hour, want: true},
		"the batch wants none, whatever the flag says": {last: ago(140 * time.Minute), own: every(0), flag: time.Hour},
		"the batch wants it less often than the flag":  {last: ago(140 * time.Minute), own: every(24 * time.Hour), flag: time.Hour},
		"none was made since the operator began":       {own: every(time.Hour), want: true},
		"none was made yet, and it began just now":     {own: every(12 * time.Hour)},
		"the batch is suspended":                       {last: ago(140 * time.Minute), own: every(time.Hour), suspend: true},
		"there is nobody to look for":                  {last: ago(140 * time.Minute), own: every(time.Hour), unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batch := &cached.Batch{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: *ago(1000 * time.Hour)}, Suspend: tc.suspend, ResyncInterval: tc.own,
				Status: v1alpha1.EmbeddedUserBatchStatus{LastResyncTime: tc.last, Counts: v1alpha1.UserCounts{Total: 2, Created: 1, Existing: 1}},
			}
			if tc.unknown {
				batch.Status.Counts = v1alpha1.UserCounts{Total: 2, Pending: 2}
			}
			r := &Reconciler{Options: Options{ResyncInterval: tc.flag}, began: now.Add(-3 * time.Hour)}
			if got := r.IsOverdue(batch, now); got != tc.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
