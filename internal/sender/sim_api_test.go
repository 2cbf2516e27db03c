// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// A row has a trait, which is how the API treats it. The full name tells it, so that a trace explains itself.
const (
	fine     = "fine"
	rejected = "rejected" // the API names it as invalid
	blocked  = "blocked"  // the API refuses each request that holds it
	big      = "big"      // each request with it is too large
	poison   = "poison"   // the API fails on each request that holds it
)

func traitOf(user users.User) string {
	trait, _, _ := strings.Cut(user.FullName, "-")
	return trait
}

// simAPI is a model of the API.
type simAPI struct {
	chance   *rand.Rand
	modes    modes
	faults   []fault
	lists    listMode
	accounts []map[string]*simUser // by username
	ids      int                   // userIds that were given
	deleted  []map[string]bool     // users of each account that were deleted, by username

	failedReads [2]time.Duration // when a way of reading last failed during a fault; 0 for never
}

// simUser is a user that exists.
type simUser struct {
	created time.Duration
	by      []*call // several if the API does not keep usernames unique; empty if somebody else created it

	id, fullName string
}

// call is a request to create users, as the API sees it.
type call struct {
	account   int
	request   *request
	began     time.Duration
	existed   map[string]bool // when it began
	creates   map[string]bool // users that it created
	appliedAt time.Duration   // when it is applied; never for not at all
	endsAt    time.Duration
	answer    alloy.Answer
	lost      bool          // the answer is given, whatever becomes of the request
	credited  map[string]ID // who was told Created
	cause     string        // of a refusal: a trait, or what concerns everybody
}

// begin decides when a request is applied and when it is answered.
func (a *simAPI) begin(now time.Duration, key, account int, r *request) *call {
	c := &call{account: account, request: r, began: now, existed: map[string]bool{}, creates: map[string]bool{}}
	for _, user := range r.users {
		c.existed[user.Username] = a.accounts[account][user.Username] != nil
	}
	latency := a.latency(len(r.users))
	c.appliedAt, c.endsAt = now+latency/2, now+latency
	if f := a.fault(now, key); f != nil {
		a.failByFault(c, f)
	} else if a.chance.Float64() < a.modes.lost {
		a.lose(c, a.anyLoss(), a.chance.Float64() < 0.7)
	}
	return c
}

func (a *simAPI) latency(n int) time.Duration {
	return time.Duration(10+a.chance.IntN(1+a.modes.latency)+n/100) * time.Millisecond
}

// anyLoss draws how an answer is lost.
func (a *simAPI) anyLoss() int {
	return []int{0, timeout, 408, 500, 502, 503, 504, 200}[a.chance.IntN(8)]
}

// timeout stands for the status of an answer that does not come in time; 0 is that of a connection that is cut.
const timeout = -1

// lose has the answer to a request be lost. It may be applied, also afterwards where the API may still be working.
func (a *simAPI) lose(c *call, status int, applied bool) {
	c.lost, c.answer = true, answerOf(max(status, 0), "")
	if status == timeout {
		c.endsAt = c.began + a.modes.timeout
	}
	switch {
	case !applied:
		c.appliedAt = never
	case c.answer.MayBeRunning() && a.chance.IntN(3) == 0:
		c.appliedAt = c.endsAt + time.Duration(a.chance.Int64N(int64(a.modes.timeout-time.Second)))
	}
}

// answerOf is an answer that says nothing of single users.
func answerOf(status int, message string) alloy.Answer {
	outcome := alloy.Unavailable
	switch {
	case status == 401:
		outcome = alloy.Unauthorized
	case status == 403:
		outcome = alloy.Forbidden
	case status == 413:
		outcome = alloy.TooLarge
	case status == 425, status == 429:
		outcome = alloy.Deferred
	case status/100 == 3:
		outcome = alloy.Redirected
	case status/100 == 4 && status != 408:
		outcome = alloy.Refused
	}
	return alloy.Answer{Outcome: outcome, StatusCode: status, Message: message, Incomplete: status == 0 && outcome == alloy.Unavailable}
}

// apply does what a request asks for. If its answer is not given yet, it is now.
func (a *simAPI) apply(now time.Duration, c *call) {
	answer := a.judge(now, c)
	if !c.lost {
		c.answer = answer
	}
}

// judge applies a request.
func (a *simAPI) judge(now time.Duration, c *call) alloy.Answer {
	m := &a.modes
	sent := c.request.users
	switch {
	case m.maxSize > 0 && len(sent) > m.maxSize:
		c.cause = "size"
		return answerOf(413, "too many")
	case has(sent, big):
		c.cause = big
		return answerOf(413, "too long")
	case m.slowSize > 0 && len(sent) > m.slowSize:
		a.lose(c, timeout, false)
		if m.slowApplies {
			a.create(now, c, sent)
		}
		return c.answer
	case has(sent, poison):
		a.lose(c, m.poisonStatus, false)
		if m.poisonApplies {
			a.create(now, c, withTrait(sent, fine))
		}
		return c.answer
	case has(sent, blocked) && now >= m.blockFrom && now < m.blockUntil:
		c.cause = blocked
		return answerOf(m.blockStatus, "contains what is not allowed")
	}
	return a.judgeUsers(now, c)
}

func has(sent []users.User, trait string) bool { return len(withTrait(sent, trait)) > 0 }

func withTrait(sent []users.User, trait string) (with []users.User) {
	for _, user := range sent {
		if traitOf(user) == trait {
			with = append(with, user)
		}
	}
	return with
}

// create adds users that do not exist.
func (a *simAPI) create(now time.Duration, c *call, sent []users.User) {
	for _, user := range sent {
		u := a.accounts[c.account][user.Username]
		if u != nil && (a.modes.atomic || c.existed[user.Username]) {
			continue
		}
		if u == nil {
			a.ids++
			u = &simUser{created: now, id: strconv.Itoa(a.ids), fullName: user.FullName}
			a.accounts[c.account][user.Username] = u
		}
		u.by = append(u.by, c)
		c.creates[user.Username] = true
	}
}

// judgeUsers answers for each user of a request that nothing is against as a whole.
func (a *simAPI) judgeUsers(now time.Duration, c *call) alloy.Answer {
	var existing, invalid, fresh []users.User
	for _, user := range c.request.users {
		exists := c.existed[user.Username] || a.modes.atomic && a.accounts[c.account][user.Username] != nil
		switch {
		case exists:
			existing = append(existing, user)
		case traitOf(user) == rejected:
			invalid = append(invalid, user)
		default:
			fresh = append(fresh, user)
		}
	}
	m := &a.modes
	if room := max(m.quota-len(a.accounts[c.account]), 0); m.quota >= 0 && len(fresh) > room {
		c.cause = "quota"
		if m.quotaPartial {
			a.create(now, c, fresh[:room])
		}
		return answerOf(m.quotaStatus, "the quota is used up")
	}
	switch {
	case m.mixedAllExist && len(existing) > 0 || m.saysAllExist && len(invalid)+len(fresh) == 0:
		return alloy.Answer{Outcome: alloy.AllExist, StatusCode: 400, Message: "All users already exist"}
	case m.saysNoneValid && len(fresh) == 0 && len(invalid) > 0:
		return alloy.Answer{Outcome: alloy.NoneValid, StatusCode: 400, Message: "No valid users provided"}
	}
	a.create(now, c, fresh)
	return a.accepted(existing, invalid)
}

// accepted is the answer that names the users that were not created.
func (a *simAPI) accepted(existing, invalid []users.User) alloy.Answer {
	answer := alloy.Answer{Outcome: alloy.Accepted, StatusCode: 200, Message: "success", Named: map[string]struct{}{}}
	if a.modes.echo {
		invalid = append(invalid, existing...)
	}
	for _, user := range invalid {
		if a.chance.Float64() < a.modes.garbled {
			answer.Unmatched++
		} else {
			answer.Named[user.Username] = struct{}{}
		}
	}
	if a.chance.Float64() < a.modes.stray {
		answer.Unmatched++
	}
	if a.chance.Float64() < a.modes.servedRetryAfter {
		answer.RetryAfter = time.Duration(1+a.chance.IntN(20)) * time.Second
	}
	return answer
}

func (c *call) String() string {
	text := fmt.Sprintf("%s %d", c.answer.Outcome, c.answer.StatusCode)
	if c.cause != "" {
		text += " because of " + c.cause
	}
	if n := len(c.creates); n > 0 {
		text += fmt.Sprintf(", %d created", n)
	}
	if n := c.answer.Unmatched; n > 0 {
		text += fmt.Sprintf(", %d unmatched", n)
	}
	if c.answer.RetryAfter > 0 {
		text += fmt.Sprintf(", Retry-After %v", c.answer.RetryAfter)
	}
	return text
}
