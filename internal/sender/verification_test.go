// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestVerification_AFailingSingleReadIsNotRepeatedForEachUser has single reads fail with 500, and a list that lags by a minute.
func TestVerification_AFailingSingleReadIsNotRepeatedForEachUser(t *testing.T) {
	t.Parallel()
	const lag = time.Minute
	o := &owner{}
	v := verification{options: DefaultOptions, witness: "witness", witnessed: 1, lists: &lists{}}
	for k := range 100 {
		e := &entry{claims: []claim{{owner: o, user: users.User{Username: strconv.Itoa(k)}}}, place: verifying}
		v.checks = append(v.checks, &check{entry: e, named: true, since: 1, due: start})
	}
	singles, decided := 0, 0
	for now := start; decided < 100; now += time.Second {
		if now > start+10*time.Minute {
			t.Fatalf("%d of 100 users are decided after %d single reads", decided, singles)
		}
		due, _ := v.ready(now)
		if len(due) == 0 {
			continue
		}
		r := v.next(now, due)
		answer, found := alloy.Answer{Outcome: alloy.Listed, StatusCode: 200}, map[string]struct{}{}
		if r.way == singly {
			singles++
			answer = alloy.Answer{Outcome: alloy.Unavailable, StatusCode: 500}
		} else if now > start+lag {
			found = r.wanted
		}
		for _, c := range v.answered(now, r, answer, found) {
			c.entry.place = waiting
			decided++
		}
	}
	if singles > 5 {
		t.Errorf("%d single reads", singles)
	}
}

// TestVerification_AListThatFailsOnceIsReadAgainSoon has a list that cannot be read at first, and one that never can.
func TestVerification_AListThatFailsOnceIsReadAgainSoon(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		failures int
		took     time.Duration
		want     []time.Duration // until the list is read again, after each time
	}{
		"once":            {failures: 1, want: []time.Duration{time.Minute, 0}},
		"again":           {failures: 3, want: []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 0}},
		"after long":      {failures: 1, took: 6 * time.Second, want: []time.Duration{10 * time.Minute, 0}},
		"after a timeout": {failures: 1, took: time.Minute, want: []time.Duration{time.Hour, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l lists
			now, chance := start, rand.New(rand.NewPCG(1, 1))
			for k, want := range tc.want {
				began := now
				if now += tc.took; k < tc.failures {
					l.failed(now, &request{began: began}, alloy.Answer{Outcome: alloy.Inconclusive, StatusCode: 200}, DefaultOptions, chance)
				}
				if got := max(l.pausedUntil-now, 0); got != want {
					t.Errorf("after read %d the next one is in %s, want %s", k+1, got, want)
				}
				now = max(now, l.pausedUntil)
			}
		})
	}
}
