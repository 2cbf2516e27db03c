// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// driver runs an account in simulated time, with a slot whenever it wants one, against an API that a test gives.
type driver struct {
	testing.TB
	account  *account
	chance   *rand.Rand
	api      model
	latency  time.Duration // of each request, but for those that a gateway gives up
	now      time.Duration
	wakeAt   time.Duration
	steps    int // at the same time
	coming   []coming
	posts    []post
	notified int               // updates that notify an owner
	results  map[string]Result // by username
	told     map[State]int     // how many of each
}

// model is an API. It answers as of when a request begins.
type model func(now time.Duration, sent []users.User) alloy.Answer

// coming is an event that comes at some time.
type coming struct {
	at    time.Duration
	event any
}

// post is a request to create users, or to learn the userId of one.
type post struct {
	at     time.Duration
	users  []users.User
	answer alloy.Answer
}

// start is when a driver's time begins. An account takes zero for never.
const start = time.Duration(1)

func newDriver(tb testing.TB, seed int, api model) *driver {
	tb.Helper()
	chance := rand.New(rand.NewPCG(uint64(seed), 1))
	return &driver{
		TB: tb, account: newAccount(DefaultOptions, rand.New(rand.NewPCG(uint64(seed), 0))), chance: chance, api: api,
		latency: 100 * time.Millisecond, now: start, wakeAt: never, results: map[string]Result{}, told: map[State]int{},
	}
}

// at has an event come at some time.
func (d *driver) at(at time.Duration, event any) {
	k := len(d.coming)
	for k > 0 && d.coming[k-1].at > at {
		k--
	}
	d.coming = slices.Insert(d.coming, k, coming{at, event})
}

// submit has an owner want users now.
func (d *driver) submit(name string, list []users.User) { d.at(d.now, wants(name, list)) }

// wants is the event of an owner that wants users.
func wants(name string, list []users.User) submitted {
	return submitted{Work: Work{ID: ID{Namespace: "default", Name: name}, Users: list}}
}

// ask has an owner want to know the userIds of users, each of which is a request.
func (d *driver) ask(name string, list []users.User) {
	work := wants(name, nil)
	for _, user := range list {
		work.Edits = append(work.Edits, Edit{User: user})
	}
	d.at(d.now, work)
}

// slices has n owners want a full slice each, the first user of which has some trait.
func (d *driver) slices(n int, trait string) {
	for k := range n {
		name := fmt.Sprint("slice-", k)
		d.submit(name, batch(name, d.account.options.MaxUsers, trait, 0))
	}
}

// accept has the API be known to accept the key.
func (d *driver) accept() { d.account.gate.proven = true }

// batch makes n users, of whom those at some positions have a trait.
func batch(name string, n int, trait string, positions ...int) []users.User {
	list := make([]users.User, n)
	for k := range list {
		list[k] = users.User{Username: fmt.Sprint(name, "-", k), FullName: fine}
	}
	for _, k := range positions {
		list[k].FullName = trait
	}
	return list
}

// everyone is the positions of n users.
func everyone(n int) []int {
	positions := make([]int, n)
	for k := range positions {
		positions[k] = k
	}
	return positions
}

// run lets time pass.
func (d *driver) run(period time.Duration) {
	d.Helper()
	for end := d.now + period; ; {
		next := d.wakeAt
		if len(d.coming) > 0 {
			next = min(next, d.coming[0].at)
		}
		if next > end {
			d.now = end
			return
		}
		if d.steps++; next > d.now {
			d.now, d.steps = next, 0
		} else if d.steps > 10000 {
			d.Fatal("time does not go on")
		}
		var events []any
		for len(d.coming) > 0 && d.coming[0].at <= d.now {
			events = append(events, d.coming[0].event)
			d.coming = d.coming[1:]
		}
		d.step(events...)
	}
}

// runUntil lets time pass until something is so, an hour at most.
func (d *driver) runUntil(isSo func() bool) {
	d.Helper()
	for end := d.now + time.Hour; !isSo() && d.now < end; {
		d.run(10 * time.Millisecond)
	}
}

// runUntilQuiet lets time pass until no request begins for half a minute.
func (d *driver) runUntilQuiet() {
	d.Helper()
	for before := -1; before != len(d.posts); {
		before = len(d.posts)
		d.run(30 * time.Second)
	}
}

// step has the account decide, and does that.
func (d *driver) step(events ...any) {
	d.Helper()
	decided := d.account.step(d.now, events...)
	for d.deliver(decided); decided.wantSlot; d.deliver(decided) {
		if decided = d.account.step(d.now, granted{}); decided.request == nil && decided.wantSlot {
			d.Fatal("a slot that was granted is not used")
		}
	}
	if d.wakeAt = decided.wakeAt; decided.isDone {
		d.wakeAt = never
	}
}

// deliver notes what the owners are told, and has the API answer.
func (d *driver) deliver(decided decision) {
	d.Helper()
	for _, u := range decided.updates {
		for username, result := range u.results {
			if d.told[result.State]++; d.results[username].State > 0 {
				d.Fatalf("%s has two results", username)
			}
			d.results[username] = result
		}
		d.notified++
	}
	if decided.request == nil {
		return
	}
	if decided.request.read != nil {
		d.Fatal("the account reads users")
	}
	sent, edit := slices.Clone(decided.request.users), decided.request.edit
	if edit != nil {
		sent = []users.User{edit.User}
	}
	answer, latency := d.api(d.now, sent), d.latency
	if edit != nil && answer.Served() {
		answer = alloy.Answer{Outcome: alloy.Found, StatusCode: 200}
	}
	if answer.StatusCode == http.StatusGatewayTimeout {
		latency = DefaultOptions.RequestTimeout
	}
	d.posts = append(d.posts, post{d.now, sent, answer})
	d.at(d.now+latency, answered{request: decided.request, answer: answer})
}

// count returns how many requests began until some time.
func (d *driver) count(until time.Duration) (n int) {
	for _, p := range d.posts {
		if p.at <= until {
			n++
		}
	}
	return n
}

// blames checks that nobody is Invalid without a trait.
func (d *driver) blames(trait string) {
	d.Helper()
	for username, r := range d.results {
		if r.State == Invalid && (trait == "" || traitOf(r.Sent) != trait) {
			d.Fatalf("%s is Invalid", username)
		}
	}
}

// accepts is the answer that all users are created.
func accepts() alloy.Answer {
	return alloy.Answer{Outcome: alloy.Accepted, StatusCode: 200, Message: "success"}
}

// against answers with a status if a request holds a user with a trait.
func against(trait string, status int) model {
	return func(_ time.Duration, sent []users.User) alloy.Answer {
		if has(sent, trait) {
			return answerOf(status, "")
		}
		return accepts()
	}
}

// until gives an answer until some time, and accepts everything afterwards.
func until(end time.Duration, answer alloy.Answer) model {
	return func(now time.Duration, _ []users.User) alloy.Answer {
		if now < end {
			return answer
		}
		return accepts()
	}
}
