// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// world is a sender, the owners that use it and the API that it uses, in simulated time. The sender's router and mailboxes are
// the real ones; the world stands for the shells.
type world struct {
	timeline
	chance  *rand.Rand
	options Options
	sender  *Sender
	api     *simAPI
	keys    []*simKey
	owners  []*simOwner
	checks  *checks

	listing     *simKey       // that has the slot for lists
	slotDelay   time.Duration // at most
	recordDelay time.Duration // at most
	neverRecord bool          // some owners do not before the calm
	isCalm      bool
	isChanged   bool // something was recorded since it was last asked whether all are
	notices     int
	posts       int
	epoch       time.Time // when the world began, for shells
}

// simKey is a key, with the shell that runs its account as long as there is one.
type simKey struct {
	number      int // and its bit in a fault
	key         alloy.Key
	fingerprint string
	account     int // of the API
	shell       *shell
	began       time.Duration // of the sender's account
	isDone      bool
	wantsSlot   bool
	granting    bool
	pumping     bool
	timer       int // number of the last one; older ones do nothing
	running     []*call
	ended       map[*request]*call // answered, which the account does not know yet
	reading     int

	wantsListSlot bool
	list          *request      // that is being read
	noList        time.Duration // no list may begin before
	wishes        []simWish
	told          map[string]time.Duration // when each user was last Created or Existing
	known         map[string]bool          // who was asked for again as known
	steps         int                      // at the same time
	isUsed        bool                     // the account has made a step
	steppedAt     time.Duration
	seen          *seen
}

// noAPI is in the place of the API: requests do not leave the world.
type noAPI struct{ API }

func (noAPI) BaseURL() string { return "https://alloy.test" }

var simKeys = func() (keys []simKey) {
	for k := range 3 {
		key, err := alloy.ParseKey(fmt.Appendf(nil, "key-%d", k))
		if err != nil {
			panic(err)
		}
		keys = append(keys, simKey{number: k, key: key, fingerprint: key.Fingerprint(noAPI{}.BaseURL())})
	}
	return keys
}()

// newWorld makes a world without owners, in which nothing goes wrong.
func newWorld(chance *rand.Rand, options Options) *world {
	w := &world{chance: chance, options: options, recordDelay: 50 * time.Millisecond, epoch: time.Now()}
	options.Listed = w.listed
	w.sender = New(noAPI{}, options, w.notified)
	w.api = &simAPI{chance: chance, modes: benignModes(), accounts: []map[string]*simUser{{}, {}}, deleted: []map[string]bool{{}, {}}}
	for k := range simKeys {
		key := simKeys[k]
		key.account = k / 2 // the first two are of the same
		key.seen, key.ended = newSeen(), map[*request]*call{}
		key.told, key.known = map[string]time.Duration{}, map[string]bool{}
		w.keys = append(w.keys, &key)
	}
	w.checks = &checks{w: w}
	return w
}

// start has a shell for each key, so that the sender starts none.
func (w *world) start() {
	for _, k := range w.keys {
		if w.sender.shells[k.fingerprint] != nil {
			continue
		}
		k.shell = newShell(k.key, k.fingerprint, w.options)
		k.shell.account = newAccount(w.options, rand.New(rand.NewPCG(w.chance.Uint64(), 0)))
		k.began, k.isDone, k.wantsSlot, k.isUsed = w.now, false, false, false
		k.shell.began = w.epoch.Add(w.now)
		k.seen.failure, k.seen.proven = seenFailure{}, false // the last account was dropped when a request could begin
		k.timer++
		w.sender.shells[k.fingerprint] = k.shell
	}
}

// accountTime is the time of a key's account.
func (k *simKey) accountTime(now time.Duration) time.Duration { return now - k.began + 1 }

// worldTime is when it is some time of a key's account.
func (k *simKey) worldTime(t time.Duration) time.Duration { return t + k.began - 1 }

// wake has the shells look into their inboxes soon.
func (w *world) wake() {
	for _, k := range w.keys {
		if len(k.shell.inbox) > 0 && !k.pumping {
			k.pumping = true
			w.after(time.Duration(w.chance.IntN(3))*time.Millisecond, func() { w.pump(k, false) })
		}
	}
}

// pump has a shell take events until there are none.
func (w *world) pump(k *simKey, slot bool) {
	k.pumping = false
	for {
		events, ok := w.sender.take(k.shell, k.isDone)
		if !ok {
			w.log("key %d: account dropped", k.number)
			w.start()
			return
		}
		if slot { // sooner than a shell, which grants only when there is no event
			events, slot = append(slices.Clip(events), granted{}), false
		}
		if len(events) == 0 {
			return
		}
		w.step(k, events)
	}
}

// step has an account decide, and does that.
func (w *world) step(k *simKey, events []any) {
	hasSlot, hasListSlot := false, false
	for n, event := range events {
		switch e := event.(type) {
		case submitted:
			if delay := w.owner(e.ID).notBefore; delay > 0 {
				e.notBefore = k.accountTime(w.now) + delay
				events[n] = e
			}
		case granted:
			hasSlot, hasListSlot = !e.isForList, e.isForList
		}
	}
	k.isUsed = true
	w.checks.before(k, events)
	d := k.shell.account.step(k.accountTime(w.now), events...)
	w.checks.decided(k, events, d)
	w.sender.deliver(k.shell, d)
	for _, u := range d.updates {
		if u.witness != "" { // in the world's time, as lists begin
			w.sender.facts(k.fingerprint).witnessed = w.epoch.Add(w.now)
		}
	}
	if d.request != nil {
		w.send(k, d.request)
	} else if hasListSlot {
		w.listing = nil
	}
	k.isDone, k.wantsSlot, k.wantsListSlot = d.isDone, d.wantSlot, d.wantListSlot
	if !hasListSlot || d.request != nil {
		w.offerListSlot()
	}
	isReturned := hasSlot && d.request == nil
	if d.wantSlot && !k.granting && !isReturned {
		k.granting = true
		w.after(w.delay(w.slotDelay), func() { w.grant(k) })
	}
	k.timer++
	if timer := k.timer; d.wakeAt != never {
		w.at(k.worldTime(d.wakeAt), func() {
			if k.timer == timer {
				w.step(k, nil)
				w.pump(k, false)
			}
		})
	}
	w.wake()
}

// grant gives a slot to a key that wants one.
func (w *world) grant(k *simKey) {
	k.granting = false
	switch {
	case !k.wantsSlot:
	case w.chance.IntN(3) == 0:
		w.pump(k, true)
	default:
		w.step(k, []any{granted{}})
		w.pump(k, false)
	}
}

func (w *world) delay(most time.Duration) time.Duration {
	if most == 0 {
		return 0
	}
	return time.Duration(w.chance.Int64N(int64(most)))
}

// send has the API answer a request.
func (w *world) send(k *simKey, r *request) {
	if r.isList() {
		w.sendList(k, r)
		return
	}
	if r.edit != nil {
		w.sendEdit(k, r)
		return
	}
	if r.read != nil {
		w.sendRead(k, r)
		return
	}
	w.posts++
	c := w.api.begin(w.now, k.number, k.account, r)
	k.running = append(k.running, c)
	if c.appliedAt != never {
		w.at(c.appliedAt, func() { w.apply(k, c) })
	}
	if c.lost || c.appliedAt == never {
		w.at(c.endsAt, func() { w.answer(k, c) })
	}
}

// apply has the API do what a request asks for, and answer unless that is decided already.
func (w *world) apply(k *simKey, c *call) {
	isDecided := c.lost
	w.api.apply(w.now, c)
	if isDecided {
		w.log("key %d: request of %v is applied, %d created", k.number, c.request.began, len(c.creates))
	} else {
		w.at(c.endsAt, func() { w.answer(k, c) })
	}
}

func (w *world) answer(k *simKey, c *call) {
	w.log("key %d: request of %v is answered: %v", k.number, c.request.began, c)
	k.ended[c.request] = c
	w.sender.post(k.shell, answered{request: c.request, answer: c.answer})
	w.wake()
}

func (w *world) sendRead(k *simKey, r *request) {
	k.reading++
	latency := w.api.latency(0)
	answer := func(answer alloy.Answer, found map[string]struct{}) {
		w.log("key %d: read of %v is answered: %s %d, %d found", k.number, r.began, answer.Outcome, answer.StatusCode, len(found))
		k.reading--
		w.sender.post(k.shell, answered{request: r, answer: answer, found: found})
		w.wake()
	}
	if f := w.api.fault(w.now, k.number); f != nil {
		if f.status == timeout {
			latency = w.options.RequestTimeout
		}
		w.after(latency, func() { answer(w.api.failRead(w.now, r, f), map[string]struct{}{}) })
		return
	}
	w.after(latency, func() { answer(w.api.read(w.now, k.account, r)) })
}
