package sender

import (
	"math/bits"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// judge answers the requests of a isolation like an API that refuses some users, and requests with too many users.
type judge struct {
	bad      map[string]bool
	mostRows int
	accepted map[string]int
	invalid  map[string]bool
	requests int
	before   int // users that were invalid when the last isolation began
}

// run carries a isolation to its end, with pauses when it is exhausted. It returns false when the isolation gave up.
func (j *judge) run(t *rapid.T, batch []users.User) bool {
	j.accepted, j.invalid, j.requests = map[string]int{}, map[string]bool{}, 1
	j.before = 0
	s := newIsolation(batch, userControls)
	if len(batch) > j.mostRows {
		s = newSplit(batch, userControls)
	}
	for !s.isDone() {
		if s.isExhausted() { // the rest is sent whole the next time
			rest := slices.DeleteFunc(slices.Clone(batch), func(u users.User) bool { return j.accepted[u.Username] > 0 || j.invalid[u.Username] })
			if len(rest) < 2 {
				return true // one user without a control stays undecided
			}
			j.before = len(j.invalid)
			if s = newIsolation(rest, userControls); len(rest) > j.mostRows {
				s = newSplit(rest, userControls)
			}
		}
		sent := s.next()
		j.requests++
		if j.requests > 20*len(batch)+100 {
			t.Fatal("the isolation does not end")
		}
		refuses := false
		for _, user := range sent {
			refuses = refuses || j.bad[user.Username]
			if j.accepted[user.Username] > 0 || j.invalid[user.Username] {
				t.Fatalf("%s is decided and sent again", user.Username)
			}
		}
		var refused []users.User
		ok := true
		switch {
		case len(sent) > j.mostRows:
			refused = s.tooLarge()
		case refuses:
			refused, ok = s.refused()
		default:
			for _, user := range sent {
				j.accepted[user.Username]++
			}
			refused = s.accepted()
		}
		for _, user := range refused {
			j.invalid[user.Username] = true
		}
		if !ok {
			return false
		}
	}
	return true
}

func TestIsolation_DecidesEveryUserOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 300).Draw(t, "users")
		batch := make([]users.User, n)
		for i := range batch {
			batch[i].Username = strconv.Itoa(i)
		}
		j := &judge{bad: map[string]bool{}, mostRows: rapid.SampledFrom([]int{1, 7, 1000}).Draw(t, "most rows")}
		for _, i := range rapid.SliceOfDistinct(rapid.IntRange(0, n-1), rapid.ID[int]).Draw(t, "bad") {
			j.bad[strconv.Itoa(i)] = true
		}
		if n <= j.mostRows && len(j.bad) == 0 {
			return // such a request is not refused
		}
		if !j.run(t, batch) {
			if len(j.bad)-j.before < 2 || len(j.invalid) > j.before {
				t.Fatalf("the isolation gave up with %d bad users, of which %d were decided", len(j.bad), len(j.invalid))
			}
			return
		}
		for _, user := range batch {
			if len(j.accepted)+len(j.invalid) < n { // undecided: a single one, or users that all were refused again
				return
			}
			if j.bad[user.Username] != j.invalid[user.Username] || j.bad[user.Username] == (j.accepted[user.Username] == 1) {
				t.Fatalf("%s: bad %t, invalid %t, accepted %d times", user.Username, j.bad[user.Username], j.invalid[user.Username], j.accepted[user.Username])
			}
		}
	})
}

func TestIsolation_OneOfAThousandTakesAtMost25Requests(t *testing.T) {
	t.Parallel()
	batch := make([]users.User, 1000)
	for i := range batch {
		batch[i].Username = strconv.Itoa(i)
	}
	rapid.Check(t, func(t *rapid.T) {
		j := &judge{bad: map[string]bool{strconv.Itoa(rapid.IntRange(0, 999).Draw(t, "bad")): true}, mostRows: 1000}
		if !j.run(t, batch) || j.requests > 25 {
			t.Fatalf("%d requests", j.requests)
		}
		if bound := 5 + 2*bits.Len(1000); j.requests > bound {
			t.Fatalf("%d requests, more than %d", j.requests, bound)
		}
	})
}

// TestIsolation_TwoUsers goes through what two users can be.
func TestIsolation_TwoUsers(t *testing.T) {
	t.Parallel()
	batch := []users.User{{Username: "a"}, {Username: "b"}}
	rapid.Check(t, func(t *rapid.T) {
		j := &judge{bad: map[string]bool{"a": true, "b": rapid.Bool().Draw(t, "both")}, mostRows: 1000}
		if ok := j.run(t, batch); ok == j.bad["b"] || j.requests > 3 || j.invalid["a"] != ok {
			t.Fatalf("decided %t after %d requests, a is invalid: %t", ok, j.requests, j.invalid["a"])
		}
	})
}

// TestIsolation_OfALargeRequestNeedsAControlToo splits a request, and has every part refused.
func TestIsolation_OfALargeRequestNeedsAControlToo(t *testing.T) {
	t.Parallel()
	for n := 2; n < 20; n++ {
		batch := make([]users.User, n)
		for i := range batch {
			batch[i].Username = strconv.Itoa(i)
		}
		s := newSplit(batch, userControls)
		for ok := true; ok; {
			if s.next(); s.requests > 5 {
				t.Fatalf("%d users: the isolation does not give up", n)
			}
			var refused []users.User
			if refused, ok = s.refused(); ok && len(refused) > 0 {
				t.Fatalf("%d users: %v is called the cause without a control", n, refused)
			}
		}
	}
}
