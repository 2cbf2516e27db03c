// SPDX-License-Identifier: Apache-2.0

package planning

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/golden"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/tally"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// slice returns a slice with users, and results of some of them or of others.
func slice(results []v1alpha1.UserResult, usernames ...string) *v1alpha1.EmbeddedUserSlice {
	s := &v1alpha1.EmbeddedUserSlice{Status: v1alpha1.EmbeddedUserSliceStatus{Results: results}}
	for _, username := range usernames {
		s.Spec.Users = append(s.Spec.Users, v1alpha1.User{Username: username})
	}
	return s
}

// updating returns a slice whose full names are kept, with results.
func updating(results ...v1alpha1.UserResult) *v1alpha1.EmbeddedUserSlice {
	s := slice(results)
	s.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate
	for _, result := range results {
		s.Spec.Users = append(s.Spec.Users, v1alpha1.User{Username: result.Username})
	}
	return s
}

func TestComparison(t *testing.T) {
	type stored = []*v1alpha1.EmbeddedUserSlice
	type list = []users.User
	rejected := func(user users.User) v1alpha1.UserResult {
		return v1alpha1.UserResult{Username: user.Username, Result: v1alpha1.ResultInvalid, Hash: users.Hash(user)}
	}
	bob := users.User{Username: "bob"}
	created := v1alpha1.UserResult{Username: "bob", Result: v1alpha1.ResultCreated}
	existing := v1alpha1.UserResult{Username: "bob", Result: v1alpha1.ResultExisting}
	missing := v1alpha1.UserResult{Username: "bob", Result: v1alpha1.ResultCreated, Pending: v1alpha1.PendingMissing}
	owned := v1alpha1.UserResult{Username: "bob", Result: v1alpha1.ResultCreated, Hash: users.Hash(bob), UserID: "1"}
	one := []v1alpha1.UserResult{}
	for name, test := range map[string]struct {
		slices stored
		list   list
		want   Plan
	}{
		"nothing": {},
		"a new user": {
			nil, list{bob}, Plan{Send: Send{New: 1}, Requests: 1},
		},
		"a user that waits": {
			stored{slice(nil, "bob")}, list{bob}, Plan{Send: Send{Waiting: 1}, Requests: 1},
		},
		"a user that was created": {
			stored{slice(append(one, created), "bob")}, list{bob}, Plan{Settled: Done{Created: 1}},
		},
		"another full name changes none": {
			stored{slice(append(one, created), "bob")}, list{{Username: "bob", FullName: "B"}}, Plan{Settled: Done{Created: 1}},
		},
		"a user that existed": {
			stored{slice(append(one, existing), "bob")}, list{bob}, Plan{Settled: Done{Existing: 1}},
		},
		"a user that is confirmed": {
			stored{slice(append(one, missing), "bob")}, list{bob}, Plan{Send: Send{Again: 1}, Requests: 1},
		},
		"a user that the API rejected": {
			stored{slice(append(one, rejected(bob)), "bob")}, list{bob}, Plan{Settled: Done{Invalid: 1}},
		},
		"a row that was corrected": {
			stored{slice(append(one, rejected(bob)), "bob")}, list{{Username: "bob", FullName: "B"}}, Plan{Send: Send{Corrected: 1}, Requests: 1},
		},
		"a user that leaves": {
			stored{slice(append(one, created), "bob", "ann")}, nil, Plan{Leave: 2},
		},
		"a result of a user that left": {
			stored{slice(append(one, created))}, list{bob}, Plan{Settled: Done{Created: 1}},
		},
		"the best of several results": {
			stored{slice(append(one, created), "bob"), slice(append(one, existing), "bob")}, list{bob}, Plan{Settled: Done{Created: 1}},
		},
		"the best one, whatever comes": {
			stored{slice(append(one, rejected(bob)), "bob"), slice(append(one, existing), "bob")}, list{bob}, Plan{Settled: Done{Existing: 1}},
		},
		"a result beside none": {
			stored{slice(append(one, created), "bob"), slice(nil, "bob")}, list{bob}, Plan{Settled: Done{Created: 1}},
		},
		"another full name of an owned user is written": {
			stored{updating(owned)}, list{{Username: "bob", FullName: "B"}}, Plan{Settled: Done{Created: 1}, Names: 1, Requests: 1},
		},
		"the same row of an owned user": {
			stored{updating(owned)}, list{bob}, Plan{Settled: Done{Created: 1}},
		},
		"another full name of a user that is not owned": {
			stored{updating(created)}, list{{Username: "bob", FullName: "B"}}, Plan{Settled: Done{Created: 1}},
		},
		"another full name of an owned user, and names are not kept": {
			stored{slice(append(one, owned), "bob")}, list{{Username: "bob", FullName: "B"}}, Plan{Settled: Done{Created: 1}},
		},
		"a thousand users a request, and": {
			nil, many(1001), Plan{Send: Send{New: 1001}, Requests: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var plan Plan
			c := newComparison(&plan)
			for _, slice := range test.slices {
				c.addSlice(slice)
			}
			for _, user := range test.list {
				if err := c.addUser(user); err != nil {
					t.Fatal(err)
				}
			}
			c.end()
			if diff := cmp.Diff(test.want, plan); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func many(n int) (list []users.User) {
	for i := range n {
		list = append(list, users.User{Username: string(rune(0x10000 + i))})
	}
	return list
}

// A slice is sent in one request, and the requests of a key one after the other.
func TestLimits_AreThoseOfTheOperator(t *testing.T) {
	if alloy.MaxBatch != v1alpha1.MaxSliceUsers || sender.DefaultOptions.RequestsPerKey != 1 {
		t.Errorf("the operator sends %d users a request, and %d requests at a time", alloy.MaxBatch, sender.DefaultOptions.RequestsPerKey)
	}
	limits := sender.DefaultOptions
	for name, test := range map[string]struct {
		requests int
		want     time.Duration
	}{
		"no request":           {0, 0},
		"a burst":              {limits.Burst, 0},
		"a second after it":    {limits.Burst + int(limits.RequestsPerSecond), time.Second},
		"one request after it": {limits.Burst + 1, time.Duration(float64(time.Second) / limits.RequestsPerSecond)},
	} {
		if got := shortest(test.requests); got != test.want {
			t.Errorf("%s takes %s, want %s", name, got, test.want)
		}
	}
}

func TestPrintText(t *testing.T) {
	spec := &v1alpha1.EmbeddedUserBatchSpec{}
	findings := []tally.Finding{{Where: "customers.csv line 7", Problem: "username is empty; give one of 1 to 256 characters"}}
	for name, test := range map[string]struct {
		plan     *Plan
		findings []tally.Finding
		spec     *v1alpha1.EmbeddedUserBatchSpec
	}{
		"much": {&Plan{
			Send:    Send{New: 98_000, Waiting: 1500, Again: 3, Corrected: 2},
			Settled: Done{Created: 900_000, Existing: 4000, Invalid: 12}, InvalidRows: 3, RepeatedRows: 40, Leave: 5, Requests: 100,
		}, findings, spec},
		"nothing":     {&Plan{Settled: Done{Created: 3}}, nil, spec},
		"leave":       {&Plan{Settled: Done{Created: 3}, Leave: 1}, nil, spec},
		"suspended":   {&Plan{Send: Send{New: 1}, Requests: 1}, nil, &v1alpha1.EmbeddedUserBatchSpec{Suspend: true}},
		"observes":    {&Plan{Send: Send{New: 1}, Requests: 1}, nil, &v1alpha1.EmbeddedUserBatchSpec{Mode: v1alpha1.ModeObserve}},
		"names":       {&Plan{Settled: Done{Created: 3}, Names: 2, Requests: 2}, nil, spec},
		"another-key": {&Plan{Settled: Done{Created: 3}, AnotherKey: true}, nil, spec},
	} {
		test.plan.Name, test.plan.Namespace = "customers", "default"
		var text bytes.Buffer
		if err := printText(&text, test.plan, test.findings, test.spec); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, name, text.String())
	}
}
