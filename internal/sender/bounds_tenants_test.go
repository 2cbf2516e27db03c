// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestBounds_ASmallOwnerGoesSoon(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		slices    int
		isolating bool
		arrivals  int
		within    time.Duration
	}{
		"behind full slices":        {slices: 50, arrivals: 20, within: 5 * time.Second},
		"while slices are isolated": {slices: 200, isolating: true, arrivals: 100, within: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trait, most := "", 0
			if tc.isolating {
				trait = blocked
			}
			d := newDriver(t, 1, against(blocked, 400))
			d.slices(tc.slices, trait)
			arrivals := map[string]time.Duration{}
			for k := range tc.arrivals {
				name := fmt.Sprint("small-", k)
				at := start + time.Duration(d.chance.Int64N(int64(tc.within)))
				arrivals[name+"-0"] = at
				d.at(at, wants(name, batch(name, 1, "")))
			}
			d.run(tc.within + 10*time.Second)
			for username, at := range arrivals {
				most = max(most, d.requestsUntil(username, at))
			}
			atMost(t, "requests until it is sent", most, 3)
		})
	}
}

// TestBounds_SmallOwnersTakeFewRequests has owners of one user arrive one after another, and in the middle a full slice.
func TestBounds_SmallOwnersTakeFewRequests(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		owners   int
		within   time.Duration
		requests int
	}{{1, 0, 1}, {1000, 10 * time.Second, 10}, {10_000, time.Minute, 50}} {
		t.Run(fmt.Sprint(tc.owners, " within ", tc.within), func(t *testing.T) {
			t.Parallel()
			d := newDriver(t, 1, against(blocked, 400))
			for k := range tc.owners {
				name := fmt.Sprint("small-", k)
				d.at(start+tc.within*time.Duration(k)/time.Duration(tc.owners), wants(name, batch(name, 1, "")))
			}
			d.at(start+tc.within/2, wants("full", batch("full", 1000, "")))
			d.run(tc.within / 2)
			d.runUntil(func() bool { return d.results["full-0"].State == Created })
			atMost(t, "until the full slice is created", d.now-start-tc.within/2, 500*time.Millisecond)
			d.runUntil(func() bool { return d.told[Created] == tc.owners+1000 })
			atMost(t, "from the last one's arrival until all are created", d.now-start-tc.within, 3*time.Second)
			atMost(t, "requests beside the full slice's", len(d.posts)-1, tc.requests)
		})
	}
}

// requestsUntil returns how many requests begin from some time to the first one with a user.
func (d *driver) requestsUntil(username string, at time.Duration) (n int) {
	d.Helper()
	for _, p := range d.posts {
		if p.at >= at {
			n++
		}
		if slices.ContainsFunc(p.users, func(u users.User) bool { return u.Username == username }) {
			return n
		}
	}
	d.Fatalf("%s is not sent", username)
	return 0
}

func TestBounds_ATenantIsNotHeldUpByAnother(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		users, status int
		few           bool // only one of the users is bad
	}{
		"a slice that makes the API fail":       {1000, 500, false},
		"a slice that is forbidden":             {1000, 403, false},
		"a slice that is not found":             {1000, 404, false},
		"a slice that is refused":               {1000, 400, false},
		"a slice with a user that fails":        {1000, 500, true},
		"a slice with a user that is forbidden": {1000, 403, true},
		"a slice with a user that is refused":   {1000, 400, true},
		"a user that makes the API fail":        {1, 500, false},
		"a user that is forbidden":              {1, 403, false},
		"a user that is not found":              {1, 404, false},
		"a user that is refused":                {1, 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			latest := time.Duration(0)
			for seed := range 50 {
				d := newDriver(t, seed, against(blocked, tc.status))
				bad := everyone(tc.users)
				if tc.few {
					bad = []int{d.chance.IntN(tc.users)}
				}
				if seed%2 == 0 {
					d.accept()
				}
				d.submit("bad", batch("bad", tc.users, blocked, bad...))
				for k := range 3 { // each time the API serves another one, the bad users are tried again
					d.run(time.Duration(d.chance.Int64N(int64(10 * time.Minute))))
					arrived, name := d.now, fmt.Sprint("good-", k)
					d.submit(name, batch(name, 1, ""))
					d.runUntil(func() bool { return d.results[name+"-0"].State == Created })
					latest = max(latest, d.now-arrived)
				}
				d.blames(blocked)
			}
			atMost(t, "until the other one's user is created", latest, 15*time.Second)
		})
	}
}

// Where the API fails for the users of several tenants, that cannot be told from an API that is away.
func TestBounds_ATenantIsNotHeldUpBySeveral(t *testing.T) {
	t.Parallel()
	for status, bound := range map[int]time.Duration{400: 15 * time.Second, 403: 15 * time.Second, 500: 7 * time.Minute} {
		for _, n := range []int{1, 300, 1000} {
			t.Run(fmt.Sprintf("%d for %d users each", status, n), func(t *testing.T) {
				t.Parallel()
				latest := time.Duration(0)
				for seed := range 20 {
					d := newDriver(t, seed, against(blocked, status))
					for k := range 4 {
						name := fmt.Sprint("bad-", k)
						d.at(start+time.Duration(k)*20*time.Second, wants(name, batch(name, n, blocked, everyone(n)...)))
					}
					for k := range 3 {
						d.run(time.Duration(d.chance.Int64N(int64(10 * time.Minute))))
						arrived, name := d.now, fmt.Sprint("good-", k)
						d.submit(name, batch(name, 1, ""))
						d.runUntil(func() bool { return d.results[name+"-0"].State == Created })
						latest = max(latest, d.now-arrived)
					}
				}
				atMost(t, "until the other one's user is created", latest, bound)
			})
		}
	}
}

func TestBounds_ATenantThatMayGoLaterIsNotHeldUpByAnother(t *testing.T) {
	t.Parallel()
	latest := time.Duration(0)
	for seed := range 50 {
		d := newDriver(t, seed, against(blocked, 500))
		d.submit("bad", batch("bad", 1000, blocked, everyone(1000)...))
		good := wants("good", batch("good", 1, ""))
		good.notBefore = time.Duration(d.chance.Int64N(int64(10 * time.Minute)))
		d.at(start, good)
		d.runUntil(func() bool { return d.results["good-0"].State == Created })
		latest = max(latest, d.now-good.notBefore)
	}
	atMost(t, "until the other one's user is created", latest, 15*time.Second)
}

// TestBounds_ExistingUsersDoNotWaitForRefusedOnes has one owner's users refused, and 20 full slices of users that exist.
func TestBounds_ExistingUsersDoNotWaitForRefusedOnes(t *testing.T) {
	t.Parallel()
	for seed := range 20 {
		d := newDriver(t, seed, func(_ time.Duration, sent []users.User) alloy.Answer {
			if slices.ContainsFunc(sent, func(u users.User) bool { return u.FullName == blocked }) {
				return answerOf(403, "not this one")
			}
			return alloy.Answer{Outcome: alloy.AllExist, StatusCode: 400}
		})
		d.accept()
		d.submit("refused", batch("refused", 2, blocked, 0, 1))
		d.run(5 * time.Second)
		d.slices(20, "")
		d.run(2 * time.Minute)
		if n := d.told[Existing]; n != 20*d.account.options.MaxUsers {
			t.Errorf("seed %d: %d users are settled after %d requests", seed, n, len(d.posts))
		}
	}
}

// Two rows for one username each get their turn, and then wait as long as other users that fail.
func TestBounds_TwoRowsOfAUsernameThatBothFailAreLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDriver(t, 1, func(now time.Duration, sent []users.User) alloy.Answer {
		if has(sent, big) {
			return answerOf(413, "")
		}
		return against(poison, 500)(now, sent)
	})
	d.accept()
	d.submit("a", []users.User{{Username: "u", FullName: big}})
	d.submit("b", []users.User{{Username: "u", FullName: poison}})
	d.run(time.Hour)
	atMost(t, "requests in an hour", len(d.posts), 30)
}

// While users of other owners are created now and then, one that fails must not go together with another one again and again.
func TestBounds_AUserThatFailsIsTriedAloneAfterAPause(t *testing.T) {
	t.Parallel()
	for seed := range 20 {
		d := newDriver(t, seed, func(now time.Duration, sent []users.User) alloy.Answer {
			switch {
			case now < 5*time.Minute:
				return answerOf(400, "")
			case has(sent, poison):
				return answerOf(500, "")
			case len(sent) == 1 && sent[0].Username == "a-0":
				return alloy.Answer{Outcome: alloy.AllExist, StatusCode: 400}
			default:
				return accepts()
			}
		})
		d.submit("a", batch("a", 3, poison, 1))
		for k := range 3600 {
			name := fmt.Sprint("other-", k)
			d.at(5*time.Minute+time.Duration(k)*time.Second/2, wants(name, batch(name, 1, "")))
		}
		d.run(30 * time.Minute)
		if d.results["a-2"].State != Created {
			t.Errorf("seed %d: %v", seed, d.results["a-2"])
		}
	}
}
