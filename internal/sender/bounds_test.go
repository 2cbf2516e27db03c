// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// atMost checks a bound. The figure is logged, so that it is known how near to the bound it comes.
func atMost[T int | time.Duration](t *testing.T, what string, got, bound T) {
	t.Helper()
	t.Logf("%s: %v, at most %v", what, got, bound)
	if got > bound {
		t.Errorf("%s: %v, want at most %v", what, got, bound)
	}
}

func TestBounds_RefusedUsersAreFoundInFewRequests(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ draws, refused, requests, open int }{
		"one of a thousand, at every position": {draws: 1000, refused: 1, requests: 30, open: 1},
		"ten of a thousand":                    {draws: 200, refused: 10, requests: 160, open: 3},
		"a hundred of a thousand":              {draws: 20, refused: 100, requests: 800, open: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			most, open, unfound := 0, 0, 0
			for draw := range tc.draws {
				d := newDriver(t, draw, against(blocked, 400))
				positions := d.chance.Perm(1000)[:tc.refused]
				if tc.refused == 1 {
					positions = []int{draw}
				}
				d.submit("a", batch("a", 1000, blocked, positions...))
				d.runUntilQuiet()
				d.blames(blocked)
				if n := d.told[Created]; n != 1000-tc.refused {
					t.Fatalf("draw %d: %d users are created", draw, n)
				}
				most = max(most, len(d.posts))
				if n := tc.refused - d.told[Invalid]; n > 0 { // one is kept to the end, and nobody is created after it
					open, unfound = max(open, n), unfound+1
				}
			}
			atMost(t, "requests", most, tc.requests)
			atMost(t, "refused users that stay pending", open, tc.open)
			atMost(t, "draws in which some do", unfound, tc.draws/5)
		})
	}
}

func TestBounds_AQuotaBlamesNobody(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 402, 422} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			most := 0
			for room := 0; room < 1000; room += 7 {
				left := room
				d := newDriver(t, room, func(_ time.Duration, sent []users.User) alloy.Answer {
					if len(sent) > left {
						return answerOf(status, "the quota is used up")
					}
					left -= len(sent)
					return accepts()
				})
				d.submit("a", batch("a", 1000, ""))
				d.run(time.Minute)
				most = max(most, len(d.posts))
				d.run(time.Hour)
				d.blames("")
			}
			atMost(t, "requests until it waits", most, 40)
		})
	}
}

func TestBounds_ARedirectBlamesNobody(t *testing.T) {
	t.Parallel()
	posts := 0
	d := newDriver(t, 1, func(time.Duration, []users.User) alloy.Answer {
		switch posts++; posts {
		case 1:
			return answerOf(400, "")
		case 3: // a user alone, after another one was created
			return answerOf(302, "")
		default:
			return accepts()
		}
	})
	d.submit("a", batch("a", 9, ""))
	d.run(time.Hour)
	if d.told[Created] != 9 {
		t.Errorf("results: %v", d.results)
	}
}

func TestBounds_WhatIsRefusedAsSuchIsNotSearched(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 404, 413, 422} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			most := 0
			for seed := range 5 {
				d := newDriver(t, seed, until(never, answerOf(status, "")))
				d.accept()
				d.slices(50, "")
				d.run(time.Minute)
				most = max(most, len(d.posts))
				d.run(time.Hour)
				d.blames("")
			}
			atMost(t, "requests in the first minute", most, 4)
		})
	}
}

func TestBounds_CorrectedUsersGoSoon(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 300, 1000} {
		for _, status := range []int{400, 403, 404, 413} {
			t.Run(fmt.Sprintf("%d users, %d", n, status), func(t *testing.T) {
				t.Parallel()
				latest := time.Duration(0)
				for seed := range 20 {
					d := newDriver(t, seed, against(blocked, status))
					d.accept()
					d.submit("a", batch("a", n, blocked, everyone(n)...))
					d.run(time.Minute + time.Duration(d.chance.Int64N(int64(time.Hour))))
					corrected := d.now
					d.submit("a", batch("a", n, ""))
					d.runUntil(func() bool { return d.told[Created] == n })
					latest = max(latest, d.now-corrected)
				}
				atMost(t, "until all are created", latest, 15*time.Second)
			})
		}
	}
}

func TestBounds_AKeyThatIsRejected(t *testing.T) {
	t.Parallel()
	atFirst, early, created := 0, 0, time.Duration(0)
	for seed := range 5 {
		d := newDriver(t, seed, until(never, answerOf(401, "")))
		d.slices(50, "")
		d.run(5 * time.Minute)
		atFirst, early = max(atFirst, d.count(9*time.Second)), max(early, len(d.posts))
		d.blames("")

		d = newDriver(t, seed, until(20*time.Second, answerOf(401, "")))
		d.slices(10, "")
		d.runUntil(func() bool { return d.told[Created] == 10000 })
		created = max(created, d.now)
	}
	atMost(t, "requests in nine seconds", atFirst, 1)
	atMost(t, "requests in five minutes", early, 8)
	atMost(t, "until all are created after a key that works only after 20 s", created, time.Minute)
}

func TestBounds_AnAPIThatIsAwayIsLeftAlone(t *testing.T) {
	t.Parallel()
	busy := answerOf(503, "")
	busy.RetryAfter = time.Second
	for name, answer := range map[string]alloy.Answer{
		"503": answerOf(503, ""), "503 with a short Retry-After": busy, "the dial is refused": {Outcome: alloy.Deferred},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			away, requests, resumed, done := 10*time.Minute, 0, time.Duration(0), time.Duration(0)
			for seed := range 5 {
				d := newDriver(t, seed, until(away, answer))
				d.slices(50, "")
				d.run(away - d.now)
				requests = max(requests, len(d.posts))
				d.runUntil(func() bool { return d.told[Created] == 50000 })
				probe := slices.IndexFunc(d.posts, func(p post) bool { return p.answer.Served() })
				full := slices.IndexFunc(d.posts, func(p post) bool { return len(p.users) == 1000 && p.at > away })
				resumed = max(resumed, d.posts[full].at-d.posts[probe].at)
				done = max(done, d.now-d.posts[probe].at)
			}
			atMost(t, "requests in ten minutes", requests, 15)
			atMost(t, "from a probe that is served to the next full slice", resumed, 10*time.Second)
			atMost(t, "from there until all are created", done, 10*time.Second)
		})
	}
}

func TestBounds_RetryAfterIsForAllSlices(t *testing.T) {
	t.Parallel()
	answer := answerOf(503, "")
	answer.RetryAfter = 10 * time.Minute
	d := newDriver(t, 1, until(never, answer))
	d.slices(100, "")
	d.run(9 * time.Minute)
	atMost(t, "requests in nine minutes", len(d.posts), 1)
}

func TestBounds_ManyOwnersOfAUsernameAreOneUser(t *testing.T) {
	t.Parallel()
	for _, isSame := range []bool{true, false} {
		for _, status := range []int{500, 503, 504} {
			t.Run(fmt.Sprintf("%d, the same row %v", status, isSame), func(t *testing.T) {
				t.Parallel()
				most := 0
				for seed := range 20 {
					d := newDriver(t, seed, until(never, answerOf(status, "")))
					for k := range 100 {
						user := users.User{Username: "u", FullName: fine}
						if !isSame {
							user.FullName = fmt.Sprint(fine, "-", k)
						}
						d.submit(strconv.Itoa(k), []users.User{user})
					}
					d.run(10 * time.Minute)
					most = max(most, len(d.posts))
				}
				atMost(t, "requests in ten minutes", most, 15)
			})
		}
	}
}

func TestBounds_WaitingOwnersAreToldOnce(t *testing.T) {
	t.Parallel()
	d := newDriver(t, 1, until(never, answerOf(503, "")))
	d.slices(1000, "")
	d.run(10 * time.Minute)
	atMost(t, "notifications in ten minutes", d.notified, 1100)
}

func TestBounds_OneUserThatFailsDoesNotHoldUpItsBatch(t *testing.T) {
	t.Parallel()
	latest := time.Duration(0)
	for seed := range 100 {
		d := newDriver(t, seed, against(poison, 500))
		d.submit("a", batch("a", 10, poison, seed%10))
		d.runUntil(func() bool { return d.told[Created] == 9 })
		latest = max(latest, d.now)
		d.blames("")
	}
	atMost(t, "until the others are created", latest, time.Minute)
}

func TestBounds_WhatIsTooSlowIsNotRepeated(t *testing.T) {
	t.Parallel()
	latest, requests, largest := time.Duration(0), 0, 0
	for seed := range 20 {
		d := newDriver(t, seed, func(_ time.Duration, sent []users.User) alloy.Answer {
			if len(sent) > 300 {
				return answerOf(504, "")
			}
			return accepts()
		})
		d.submit("a", batch("a", 1000, ""))
		d.runUntil(func() bool { return d.told[Created] == 1000 })
		latest, requests = max(latest, d.now), max(requests, len(d.posts))
		before := len(d.posts)
		d.run(time.Duration(d.chance.IntN(50)) * time.Minute)
		d.submit("b", batch("b", 1000, ""))
		d.run(5 * time.Minute)
		if n := d.told[Created]; n != 2000 {
			t.Errorf("%d users are created", n)
		}
		for _, p := range d.posts[before:] {
			largest = max(largest, len(p.users))
		}
	}
	atMost(t, "until all are created", latest, 10*time.Minute)
	atMost(t, "requests", requests, 40)
	atMost(t, "users in a request of the next slice", largest, 300)
}

// TestBounds_BackOffBeginsAnew has the API be away for long, work, and fail once more.
func TestBounds_BackOffBeginsAnew(t *testing.T) {
	t.Parallel()
	away, hiccups := until(10*time.Minute, answerOf(503, "")), 0
	d := newDriver(t, 1, func(now time.Duration, sent []users.User) alloy.Answer {
		if sent[0].Username == "b-0" && hiccups == 0 {
			hiccups++
			return answerOf(503, "")
		}
		return away(now, sent)
	})
	d.submit("a", batch("a", 1, ""))
	d.run(30 * time.Minute)
	d.submit("b", batch("b", 1, ""))
	arrived := d.now
	d.runUntil(func() bool { return d.told[Created] == 2 })
	atMost(t, "until a user is created on which the API failed once", d.now-arrived, 5*time.Second)
}
