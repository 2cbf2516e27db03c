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

// compare returns what is planned for a list with a policy.
func compare(t *testing.T, policy v1alpha1.UpdatePolicy, slices []*v1alpha1.EmbeddedUserSlice, list []users.User) (plan Plan) {
	t.Helper()
	c := newComparison(&plan, policy)
	for _, slice := range slices {
		c.addSlice(slice)
	}
	for _, user := range list {
		if err := c.addUser(user); err != nil {
			t.Fatal(err)
		}
	}
	c.end()
	return plan
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
	twice := rejected(bob)
	twice.Retried = true
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
		"a user that the API rejected twice": {
			stored{slice(append(one, twice), "bob")}, list{bob}, Plan{Settled: Done{Invalid: 1}},
		},
		"a user that the API rejected once is sent a second time": {
			stored{slice(append(one, rejected(bob)), "bob")}, list{bob}, Plan{Send: Send{Second: 1}, Requests: 1},
		},
		"a row that was corrected": {
			stored{slice(append(one, rejected(bob)), "bob")}, list{{Username: "bob", FullName: "B"}}, Plan{Send: Send{Corrected: 1}, Requests: 1},
		},
		"a user that leaves": {
			stored{slice(append(one, created), "bob", "ann")}, nil, Plan{Leave: 2},
		},
		"a result of a user that left, and comes back": {
			stored{slice(append(one, created))}, list{bob}, Plan{Settled: Done{Created: 1}},
		},
		"a result of a user that left": {
			stored{slice(append(one, created))}, nil, Plan{},
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
			plan := compare(t, v1alpha1.UpdatePolicyCreateOnly, test.slices, test.list)
			if diff := cmp.Diff(test.want, plan); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The policy is that of the list: the slices still have another one if it is new.
func TestComparison_OfFullNames(t *testing.T) {
	bob, renamed := users.User{Username: "bob"}, users.User{Username: "bob", FullName: "B"}
	created := v1alpha1.UserResult{Username: "bob", Result: v1alpha1.ResultCreated}
	unidentified := v1alpha1.UserResult{Username: "bob", Result: v1alpha1.ResultCreated, Hash: users.Hash(bob)}
	owned := unidentified
	owned.UserID = "1"
	named := owned
	named.Hash = users.Hash(renamed)
	for name, test := range map[string]struct {
		policy v1alpha1.UpdatePolicy
		result v1alpha1.UserResult
		list   users.User
		want   Plan
	}{
		"another one of an owned user is written":        {v1alpha1.UpdatePolicyUpdate, owned, renamed, Plan{Names: 1, Requests: 1}},
		"the same row of an owned user":                  {v1alpha1.UpdatePolicyUpdate, owned, bob, Plan{}},
		"a row without one of an owned user":             {v1alpha1.UpdatePolicyUpdate, named, bob, Plan{}},
		"another one of a user that is not owned":        {v1alpha1.UpdatePolicyUpdate, created, renamed, Plan{}},
		"another one of an owned user, and none is kept": {v1alpha1.UpdatePolicyCreateOnly, owned, renamed, Plan{}},
		"a user that is to be looked up":                 {v1alpha1.UpdatePolicyUpdate, unidentified, bob, Plan{Unidentified: 1, Requests: 1}},
		"one that is, and has another full name": {
			v1alpha1.UpdatePolicyUpdate, unidentified, renamed, Plan{Unidentified: 1, Names: 1, Requests: 2},
		},
		"nobody is looked up if no full name is kept": {v1alpha1.UpdatePolicyCreateOnly, unidentified, bob, Plan{}},
	} {
		for _, before := range []v1alpha1.UpdatePolicy{v1alpha1.UpdatePolicyCreateOnly, v1alpha1.UpdatePolicyUpdate} {
			stored := slice([]v1alpha1.UserResult{test.result}, "bob")
			stored.Spec.UpdatePolicy, test.want.Settled.Created = before, 1
			got := compare(t, test.policy, []*v1alpha1.EmbeddedUserSlice{stored}, []users.User{test.list})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
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

// An approval holds for the batch in the cluster; a manifest may bring it, or another key that is looked up first.
func TestAwaitsApproval(t *testing.T) {
	stored := &v1alpha1.EmbeddedUserBatch{}
	stored.Spec.APIKeySecretRef.Name = "alloy"
	for name, test := range map[string]struct {
		change func(stored, wanted *v1alpha1.EmbeddedUserBatch)
		want   bool
	}{
		"no key is to be approved": {func(stored, _ *v1alpha1.EmbeddedUserBatch) { stored.Status.Approval = "" }, false},
		"nobody has":               {func(_, _ *v1alpha1.EmbeddedUserBatch) {}, true},
		"somebody has": {func(stored, _ *v1alpha1.EmbeddedUserBatch) {
			stored.Annotations = map[string]string{v1alpha1.AnnotationApprove: "1"}
		}, false},
		"the manifest does": {func(_, wanted *v1alpha1.EmbeddedUserBatch) {
			wanted.Annotations = map[string]string{v1alpha1.AnnotationApprove: "1"}
		}, false},
		"somebody has approved another": {func(stored, _ *v1alpha1.EmbeddedUserBatch) {
			stored.Annotations = map[string]string{v1alpha1.AnnotationApprove: "0"}
		}, true},
		"the manifest has another key": {func(_, wanted *v1alpha1.EmbeddedUserBatch) { wanted.Spec.APIKeySecretRef.Name = "other" }, false},
	} {
		stored, wanted := stored.DeepCopy(), stored.DeepCopy()
		stored.Status.Approval = "1"
		if test.change(stored, wanted); awaitsApproval(stored, wanted) != test.want {
			t.Error(name)
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
			Send:    Send{New: 98_000, Waiting: 1500, Again: 3, Corrected: 2, Second: 1},
			Settled: Done{Created: 900_000, Existing: 4000, Invalid: 12}, InvalidRows: 3, RepeatedRows: 40, Leave: 5, Requests: 100,
		}, findings, spec},
		"nothing":     {&Plan{Settled: Done{Created: 3}}, nil, spec},
		"leave":       {&Plan{Settled: Done{Created: 3}, Leave: 1}, nil, spec},
		"suspended":   {&Plan{Send: Send{New: 1}, Requests: 1}, nil, &v1alpha1.EmbeddedUserBatchSpec{Suspend: true}},
		"observes":    {&Plan{Send: Send{New: 1}, Requests: 1}, nil, &v1alpha1.EmbeddedUserBatchSpec{Mode: v1alpha1.ModeObserve}},
		"names":       {&Plan{Settled: Done{Created: 3}, Names: 2, Unidentified: 1, Requests: 3}, nil, spec},
		"approval":    {&Plan{Send: Send{Again: 3}, AwaitsApproval: true, Requests: 1}, nil, spec},
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
