// SPDX-License-Identifier: Apache-2.0

package tally

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/batch"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// A tally counts what the list of the operator counts.
func TestTally_CountsAsTheOperatorDoes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SampledFrom([]string{"", "a", "b", "c", " d", "é"})
		var list users.List
		var visited []users.User
		tally := New(func(user users.User) error {
			visited = append(visited, user)
			return nil
		})
		for i := range rapid.IntRange(0, 40).Draw(r, "rows") {
			user := users.User{Username: names.Draw(r, "username"), FullName: names.Draw(r, "fullName")}
			problem := users.Problem(user)
			list.Add(users.Row{User: user, Index: int32(i)}, problem)
			if err := tally.Add(user, problem, func() string { return fmt.Sprintf("row %d", i) }); err != nil {
				r.Fatal(err)
			}
		}
		want := &Tally{Users: len(list.Valid), Repeats: list.Repeated, Invalid: list.FlawedCount}
		for _, row := range list.Valid {
			want.Memory += users.Memory(row.User)
		}
		for i := range min(len(list.Flawed), MaxFindings) {
			finding := Finding{Where: fmt.Sprintf("row %d", list.Flawed[i].Index), Problem: list.Flawed[i].Problem}
			if finding.Problem == "" {
				finding.Problem = users.DuplicateProblem
			}
			want.Findings = append(want.Findings, finding)
		}
		got := &Tally{Users: tally.Users, Repeats: tally.Repeats, Invalid: tally.Invalid, Memory: tally.Memory, Findings: tally.Findings}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Tally{})); diff != "" {
			r.Fatal(diff)
		}
		for i, user := range visited {
			if user != list.Valid[i].User {
				r.Fatalf("user %d is %v, not %v", i, user, list.Valid[i].User)
			}
		}
	})
}

func TestLimits_AreThoseOfTheOperator(t *testing.T) {
	if Limits.Memory != batch.DefaultMaxListMemory {
		t.Errorf("the operator allows %d bytes by default", batch.DefaultMaxListMemory)
	}
}
