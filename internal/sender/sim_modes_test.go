// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"math/rand/v2"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// modes are what is unknown of the API, or may go wrong for good. The zero modes are those of an API that echoes users that
// exist, and answers at once; draw makes others.
type modes struct {
	atomic        bool // usernames are unique whatever requests overlap
	echo          bool // users that exist are named as invalid; else skipped
	saysAllExist  bool
	saysNoneValid bool
	mixedAllExist bool // a request with one user that exists is answered so
	latency       int  // at most, in milliseconds

	maxSize       int  // larger requests are too large; 0 for none
	slowSize      int  // larger requests time out; 0 for none
	slowApplies   bool // and are applied
	poisonStatus  int
	poisonApplies bool // to the others in the request
	blockStatus   int
	blockFrom     time.Duration
	blockUntil    time.Duration

	quota        int // users in all; -1 for none
	quotaStatus  int
	quotaPartial bool // as many are created as there is room for
	quotaStays   bool

	garbled          float64 // an echo fits nobody
	stray            float64 // there is one more echo, which fits nobody
	servedRetryAfter float64
	lost             float64 // an answer is lost
	timeout          time.Duration

	reads [2]readMode // singly and in the list
}

// readMode is how one way of reading works.
type readMode struct {
	lag    time.Duration
	status int // of every answer; 0 if it works
	max    int // the most users in the list; 0 for any number
}

func benignModes() modes {
	return modes{atomic: true, echo: true, saysAllExist: true, saysNoneValid: true, latency: 100, quota: -1, blockStatus: 400,
		blockUntil: never, poisonStatus: 500, timeout: 30 * time.Second}
}

func drawModes(chance *rand.Rand, chaos time.Duration, options Options) modes {
	m := benignModes()
	one := func(n int) bool { return chance.IntN(n) == 0 }
	pick := func(of ...int) int { return of[chance.IntN(len(of))] }
	m.latency = pick(10, 100, 2000)
	m.atomic, m.echo = !one(4), !one(3)
	// An API that skips users and does not say that all exist would be taken to create them also when nothing is left to do.
	m.saysAllExist, m.saysNoneValid, m.mixedAllExist = !m.echo || !one(3), !one(3), one(15)
	if one(8) {
		m.maxSize = 1 + chance.IntN(options.MaxUsers)
	} else if one(8) {
		m.slowSize, m.slowApplies = 1+chance.IntN(options.MaxUsers), one(2)
	}
	m.poisonStatus, m.poisonApplies = pick(500, 500, 504, timeout), one(2)
	m.blockStatus = pick(400, 422, 403, 404)
	if one(4) {
		m.blockFrom = time.Duration(chance.Int64N(int64(chaos)))
	} else if one(4) {
		m.blockUntil = time.Duration(chance.Int64N(int64(chaos)))
	}
	if one(8) {
		m.quota, m.quotaStatus, m.quotaPartial, m.quotaStays = chance.IntN(40), pick(400, 402, 422), one(3), one(2)
	}
	if one(10) {
		m.garbled, m.stray = chance.Float64()/2, chance.Float64()/10
	}
	if one(10) {
		m.servedRetryAfter = 0.1
	}
	if one(2) {
		m.lost = chance.Float64() / 4
	}
	m.timeout = options.RequestTimeout
	for way := range m.reads {
		m.reads[way] = drawReadMode(chance)
	}
	return m
}

func drawReadMode(chance *rand.Rand) (m readMode) {
	if chance.IntN(3) == 0 {
		m.lag = time.Duration(chance.IntN(90)) * time.Second
	}
	switch chance.IntN(10) {
	case 0:
		m.status = []int{403, 404, 500}[chance.IntN(3)]
	case 1:
		m.max = 1 + chance.IntN(60)
	}
	return m
}

// fault is something that goes wrong for a while.
type fault struct {
	from, until time.Duration
	keys        int // a bit for each
	status      int
	retryAfter  time.Duration
	isRefused   bool // the status is that of a refused dial
	applies     float64
}

func (f *fault) hits(now time.Duration, key int) bool {
	return now >= f.from && now < f.until && f.keys&(1<<key) != 0
}

func (a *simAPI) fault(now time.Duration, key int) *fault {
	for k := range a.faults {
		if a.faults[k].hits(now, key) {
			return &a.faults[k]
		}
	}
	return nil
}

func drawFault(chance *rand.Rand, chaos time.Duration) fault {
	f := fault{from: time.Duration(chance.Int64N(int64(chaos))), keys: 1 + chance.IntN(7)}
	f.until = f.from + time.Duration(chance.Int64N(int64(10*time.Minute)))
	switch f.status = []int{503, 500, 502, 504, timeout, 0, 429, 401, 403, 302, 413, 400, 402, 404, 422}[chance.IntN(15)]; f.status {
	case 0:
		f.isRefused = chance.IntN(2) == 0
	case 429, 503, 403:
		if chance.IntN(2) == 0 {
			f.retryAfter = time.Duration(1+chance.IntN(100)) * time.Second
		}
	}
	if !f.isRefused && answerOf(max(f.status, 0), "").InDoubt() && chance.IntN(2) == 0 {
		f.applies = chance.Float64()
	}
	return f
}

// failByFault answers a request during a fault.
func (a *simAPI) failByFault(c *call, f *fault) {
	a.lose(c, f.status, a.chance.Float64() < f.applies)
	c.answer = f.answer()
	c.cause = "a fault"
}

func (f *fault) answer() alloy.Answer {
	answer := answerOf(max(f.status, 0), "not now")
	if f.isRefused {
		answer.Outcome = alloy.Deferred
	}
	answer.RetryAfter = f.retryAfter
	return answer
}

// calm ends everything that goes wrong only for a while.
func (a *simAPI) calm() {
	a.faults, a.modes.lost, a.modes.garbled, a.modes.stray, a.modes.servedRetryAfter = nil, 0, 0, 0, 0
	a.lists.cut = 0
	if !a.modes.quotaStays {
		a.modes.quota = -1
	}
}

// read answers a read of a single user, with the usernames looked for that it shows.
func (a *simAPI) read(now time.Duration, account int, r *request) (alloy.Answer, map[string]struct{}) {
	m, found := a.modes.reads[r.read.way], map[string]struct{}{}
	for username := range r.read.wanted {
		if u := a.accounts[account][username]; u != nil && u.created+m.lag <= now {
			found[username] = struct{}{}
		}
	}
	none := map[string]struct{}{}
	switch {
	case m.status == 403:
		return alloy.Answer{Outcome: alloy.Inconclusive, StatusCode: m.status}, none
	case m.status == 404: // there is no route, whoever is asked for
		return alloy.Answer{Outcome: alloy.Absent, StatusCode: 404}, none
	case m.status > 0:
		return answerOf(m.status, ""), none
	case len(found) > 0:
		return alloy.Answer{Outcome: alloy.Found, StatusCode: 200}, found
	default:
		return alloy.Answer{Outcome: alloy.Absent, StatusCode: 404}, none
	}
}

// failRead answers a reading request during a fault.
func (a *simAPI) failRead(now time.Duration, r *request, f *fault) alloy.Answer {
	a.failedReads[r.read.way] = now
	answer := f.answer()
	switch answer.Outcome {
	case alloy.Refused, alloy.TooLarge, alloy.Redirected, alloy.Forbidden:
		answer.Outcome = alloy.Inconclusive
	default:
	}
	return answer
}
