package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Events of an account.
type (
	// submitted replaces what an owner wants.
	submitted struct {
		id        ID
		users     []users.User
		accepted  bool // the API is known to accept the key
		inDoubt   bool // all users are
		doubts    []string
		notBefore time.Duration
	}
	// withdrawn ends what an owner wants.
	withdrawn struct{ id ID }
	// acknowledged is of an owner that has recorded what a request brought.
	acknowledged struct{ sequence int }
	// answered is the end of a request.
	answered struct {
		request *request
		answer  alloy.Answer
		found   map[string]struct{} // of the names looked for in a list
	}
	// granted is a slot: one more request may run. The decision uses or returns it.
	granted struct{}
	// stopped lets no more requests begin.
	stopped struct{}
)

// decision is what the shell has to do after a step.
type decision struct {
	request  *request // to send, in the slot that was granted
	updates  []*update
	released []released
	wantSlot bool          // a request could begin now
	wakeAt   time.Duration // when the next step is due without an event
	isDone   bool          // nothing would be lost with the account
}

// step is everything that an account decides: what some events mean, and what is to be done now. Times are since the account
// began.
func (a *account) step(now time.Duration, events ...any) (d decision) {
	slot := false
	for _, event := range events {
		if _, isSlot := event.(granted); isSlot {
			slot = true
		} else {
			a.handle(now, event)
		}
	}
	d.wakeAt = min(a.queue.expire(now), a.tellWaiting(now), a.throttle(now))
	form, at := a.choose(now)
	if form != nil && slot {
		d.request = form()
		form, at = a.choose(now)
	}
	d.wantSlot = form != nil
	if form == nil {
		d.wakeAt = min(d.wakeAt, at)
	}
	d.updates, d.released = a.outbox.take()
	d.isDone = a.isDone(now)
	if !d.isDone && d.wakeAt == never && len(a.queue.owners) == 0 && a.running == 0 {
		d.wakeAt = a.doneAt(now)
	}
	return d
}

func (a *account) handle(now time.Duration, event any) {
	switch e := event.(type) {
	case submitted:
		a.gate.proven = a.gate.proven || e.accepted
		o := a.queue.submit(now, e.id, e.users, e.inDoubt)
		for _, username := range e.doubts {
			if known := a.queue.index[username]; known != nil && known.claimOf(o) >= 0 {
				a.queue.own(username).inDoubt = true
			}
		}
		o.notBefore = e.notBefore
		a.turns.notices.told = false
		a.releaseIfDone(o)
		a.sweep(now)
	case withdrawn:
		if o := a.queue.owners[e.id.key()]; o != nil {
			a.queue.withdraw(now, o)
			a.releaseIfDone(o)
			a.sweep(now)
		} else {
			a.outbox.gone = append(a.outbox.gone, released{id: e.id})
		}
	case acknowledged:
		if e.sequence == a.turns.sequence {
			if a.turns.unrecorded--; a.turns.unrecorded == 0 && a.turns.gatherSince != never {
				a.turns.gatherSince = now
			}
		}
	case answered:
		a.running--
		if e.request.read != nil {
			a.wasRead(now, e.request, e.answer, e.found)
		} else {
			a.answered(now, e.request, e.answer)
		}
	case stopped:
		a.turns.stopped = true
	}
}

// isDone reports whether nothing would be lost with the account, and a new one would send as soon.
func (a *account) isDone(now time.Duration) bool {
	if a.turns.stopped {
		return a.running == 0
	}
	return a.running == 0 && len(a.queue.owners) == 0 && len(a.queue.index) == 0 && a.doneAt(now) <= now
}

// doneAt returns when an account without owners and doubts is done.
func (a *account) doneAt(now time.Duration) time.Duration {
	at := a.gate.idleAt(now)
	if a.turns.unrecorded > 0 {
		at = max(at, a.turns.sharedAt+a.options.RecordWait)
	}
	return at
}
