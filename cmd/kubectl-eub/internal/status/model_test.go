// SPDX-License-Identifier: Apache-2.0

package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

func TestStateOf(t *testing.T) {
	for name, test := range map[string]struct {
		conditions []metav1.Condition
		observed   int64
		want       State
		ends       bool
	}{
		"a batch that no operator has seen":        {observed: -1, want: Unseen},
		"a batch that was ready before its change": {[]metav1.Condition{condition("Ready", "True", "Succeeded", "x")}, 2, Unseen, false},
		"a batch that is ready":                    {[]metav1.Condition{condition("Ready", "True", "Succeeded", "x")}, 3, Ready, true},
		"a batch that is stalled":                  {stalled(v1alpha1.ReasonUnauthorized, "x"), 3, Stalled, true},
		"a batch that retries":                     {working("False", v1alpha1.ReasonRetrying, "x"), 3, Working, false},
		"a batch that waits for a Secret":          {working("False", v1alpha1.ReasonSecretNotFound, "x"), 3, Working, false},
		"a batch that is suspended":                {[]metav1.Condition{condition("Ready", "Unknown", "Suspended", "x")}, 3, Suspended, true},
		"a batch that only observes":               {[]metav1.Condition{condition("Ready", "Unknown", "Observed", "x")}, 3, Observed, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := batch("customers", v1alpha1.UserCounts{}, test.conditions...)
			b.Status.ObservedGeneration = test.observed
			if got := StateOf(b); got != test.want || got.Ends() != test.ends {
				t.Errorf("%s, ends: %t", got, got.Ends())
			}
		})
	}
}

func TestSliceRows(t *testing.T) {
	columns := []metav1.TableColumnDefinition{
		{Name: "Name"}, {Name: "Ready"}, {Name: "Created"}, {Name: "Existing"}, {Name: "Invalid"}, {Name: "Pending"}, {Name: "Age"},
		{Name: "Batch"}, {Name: "Next"}, {Name: "Message"},
	}
	table := &metav1.Table{ColumnDefinitions: columns, Rows: []metav1.TableRow{
		{Cells: []any{"customers-1-0", "False", int64(1), int64(0), float64(2), int64(997), "1m", "customers", "2026-11-26T22:00:12Z", "503"}},
		{Cells: []any{"customers-1-1", nil, nil, nil, nil, nil, "1m", "customers", nil, nil}},
	}}
	rows, err := sliceRows(table)
	want := []SliceRow{
		{Name: "customers-1-0", Ready: "False", Pending: 997, Invalid: 2, Next: later(12 * time.Second), Message: "503"}, {Name: "customers-1-1"},
	}
	if diff := cmp.Diff(want, rows); diff != "" || err != nil {
		t.Error(err, diff)
	}
	table.ColumnDefinitions = columns[:9]
	if _, err := sliceRows(table); err == nil {
		t.Error("a table without the columns of this version is accepted")
	}
}

func TestMeter(t *testing.T) {
	var m meter
	if m.pace(now) != nil {
		t.Error("a rate of nothing")
	}
	m.add(now, 1000, 10000)
	if m.pace(now.Add(500*time.Millisecond)) != nil {
		t.Error("a rate of half a second")
	}
	m.add(now.Add(2*time.Second), 5000, 10000)
	want := &Pace{PerSecond: 2000, Left: &metav1.Duration{Duration: 3 * time.Second}} // 2500 ms, rounded
	if diff := cmp.Diff(want, m.pace(now.Add(2*time.Second))); diff != "" {
		t.Error(diff)
	}
	// Nothing happens any more: the rate falls, and the time left grows.
	if p := m.pace(now.Add(20 * time.Second)); p.PerSecond != 200 || p.Left.Duration != 25*time.Second {
		t.Errorf("%+v", p)
	}
	for i := range 100 {
		m.add(now.Add(time.Duration(60+i)*time.Second), 5000, 10000)
	}
	if p := m.pace(now.Add(160 * time.Second)); p.PerSecond != 0 || p.Left != nil || len(m.samples) > 32 {
		t.Errorf("%+v of %d samples", p, len(m.samples))
	}
	m.add(now.Add(161*time.Second), 4000, 10000) // users are sent again
	if p := m.pace(now.Add(161 * time.Second)); p != nil {
		t.Errorf("%+v", p)
	}
}

// The rate is that of the last half minute, whatever happened before it.
func TestMeter_ForgetsWhatIsLongAgo(t *testing.T) {
	for name, test := range map[string]struct {
		samples []sample
		at      time.Duration
		want    *Pace
	}{
		"users are sent again after an hour without the API": {
			[]sample{{now, 0, 10000}, {now.Add(2 * time.Second), 4000, 10000}, {now.Add(time.Hour), 7000, 10000}}, time.Hour,
			&Pace{PerSecond: 100, Left: &metav1.Duration{Duration: 30 * time.Second}},
		},
		"one of a million users was sent, and then none in a day": {
			[]sample{{now, 0, 1e6}, {now.Add(2 * time.Second), 1, 1e6}}, 24 * time.Hour, &Pace{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m meter
			for _, s := range test.samples {
				m.add(s.at, s.done, s.total)
			}
			if diff := cmp.Diff(test.want, m.pace(now.Add(test.at))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
