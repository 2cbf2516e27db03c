// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// families returns how many series each metric of some sources has.
func families(t *testing.T, sources Sources) map[string]int {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := Register(registry, sources); err != nil {
		t.Fatal(err)
	}
	waited, err := NewWaits(registry)
	if err != nil {
		t.Fatal(err)
	}
	waited(time.Second)
	missed, err := NewMissing(registry)
	if err != nil {
		t.Fatal(err)
	}
	missed(2)
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, family := range gathered {
		series[family.GetName()] = len(family.GetMetric())
	}
	return series
}

// TestCollector_ShowsWhatIsKnown shows the metrics of a leader, of a replica that stands by, and of one whose cache is not synced.
func TestCollector_ShowsWhatIsKnown(t *testing.T) {
	t.Parallel()
	elected := make(chan struct{})
	close(elected)
	leader := Sources{
		Elected: elected,
		Batches: func(_ context.Context, visit func(*cached.Batch)) error {
			visit(batch("a", metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
			visit(batch("b", metav1.ConditionFalse, v1alpha1.ReasonRetrying, pending(0)))
			visit(batch("c", metav1.ConditionFalse, v1alpha1.ReasonInvalidUsers))
			return nil
		},
		Sender:     func() sender.Stats { return sender.Stats{} },
		ListMemory: func() (short, long budget.Usage) { return },
		IsOverdue:  func(b *cached.Batch, _ time.Time) bool { return b.Name == "a" },
	}
	waits := map[string]int{"embeddeduser_alloy_limiter_wait_seconds": 1, "embeddeduser_missing_users_total": 1}
	others := map[string]int{
		"embeddeduser_alloy_accounts": 3, "embeddeduser_users_in_doubt": 1, "embeddeduser_list_memory_used_bytes": 2,
		"embeddeduser_list_memory_limit_bytes": 2, "embeddeduser_list_memory_waiting_batches": 2,
	}
	maps.Copy(others, waits)
	all := maps.Clone(others)
	maps.Copy(all, map[string]int{
		"embeddeduser_users_not_owned": 1,
		"embeddeduser_batches":         len(reasons), "embeddeduser_users": 4, "embeddeduser_oldest_pending_user_age_seconds": 1,
		"embeddeduser_unready_batch_since_timestamp_seconds": 2, "embeddeduser_unready_batch_pending_since_timestamp_seconds": 1,
		"embeddeduser_unready_batch_users": 4, "embeddeduser_paused_batches": 2, "embeddeduser_oldest_suspension_age_seconds": 1,
		"embeddeduser_overdue_resync_batches": 1,
	})
	standby, unsynced := leader, leader
	standby.Elected = make(chan struct{})
	unsynced.Batches = func(context.Context, func(*cached.Batch)) error { return errors.New("the cache is not synced") }
	for name, tc := range map[string]struct {
		sources Sources
		want    map[string]int
	}{
		"a leader":                     {leader, all},
		"a replica that stands by":     {standby, waits},
		"one that has not read it all": {unsynced, others},
	} {
		if diff := cmp.Diff(tc.want, families(t, tc.sources)); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%v", name, diff, slices.Sorted(maps.Keys(tc.want)))
		}
	}
}

// BenchmarkScrape gathers the metrics of 10,000 batches that are ready, and of as many that are not.
func BenchmarkScrape(b *testing.B) {
	elected := make(chan struct{})
	close(elected)
	for name, one := range map[string]*cached.Batch{
		"ready":     batch("b", metav1.ConditionTrue, v1alpha1.ReasonSucceeded),
		"not ready": batch("b", metav1.ConditionFalse, v1alpha1.ReasonRetrying, pending(1)),
	} {
		list := cached.BatchList{}
		for i := range 10_000 {
			named := *one
			named.Name = fmt.Sprint("batch-", i)
			list.Items = append(list.Items, named)
		}
		registry := prometheus.NewRegistry()
		err := Register(registry, Sources{
			Elected: elected, Sender: func() sender.Stats { return sender.Stats{} }, ListMemory: func() (short, long budget.Usage) { return },
			IsOverdue: func(*cached.Batch, time.Time) bool { return false },
			Batches: func(_ context.Context, visit func(*cached.Batch)) error {
				copied := slices.Clone(list.Items) // as the cache does
				for i := range copied {
					visit(&copied[i])
				}
				return nil
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := registry.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
