// SPDX-License-Identifier: Apache-2.0

package planning

import (
	"bytes"
	"testing"

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

// The shortest time is that of the operator as it comes.
func TestLimits_AreThoseOfTheOperator(t *testing.T) {
	defaults := sender.DefaultOptions
	if alloy.MaxBatch != usersPerRequest || defaults.RequestsPerSecond != requestsPerSecond || defaults.Burst != burst ||
		defaults.RequestsPerKey != 1 {
		t.Errorf("the operator sends %d users a request, and %+v", alloy.MaxBatch, defaults)
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
