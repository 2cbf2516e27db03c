package sender

import (
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
	v := verification{options: DefaultOptions, witness: "witness", witnessed: 1}
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
		for _, c := range v.answered(now, now, r, answer, found) {
			c.entry.place = waiting
			decided++
		}
	}
	if singles > 5 {
		t.Errorf("%d single reads", singles)
	}
}
