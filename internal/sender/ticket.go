package sender

import (
	"maps"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// ticket is all that is known of one owner. It is guarded by the sender's lock.
type ticket struct {
	id         ID
	generation int64
	lane       *lane

	want    []users.User        // to be sent, in the owner's order; settled users and looks are not in it
	looks   map[string]*look    // sent, named as invalid, and now looked for
	inDoubt map[string]struct{} // perhaps applied by a request without an answer
	results map[string]Result   // settled and not recorded

	notBefore time.Time // set by the owner
	backOff   time.Time // set by a failure

	failed      *Attempt
	fingerprint string // of the key that the API last accepted or rejected
	revision    int    // counts the news
	unrecorded  bool

	active   bool          // a courier carries it
	inFlight bool          // the courier has a request running
	changed  chan struct{} // wakes a courier that waits
}

// look is a user that the API did not take, until it is known whether it exists.
type look struct {
	user   users.User
	due    time.Time
	absent bool // it was looked for once, and not found
}

func newTicket(id ID) *ticket {
	return &ticket{
		id: id, looks: map[string]*look{}, inDoubt: map[string]struct{}{}, results: map[string]Result{},
		changed: make(chan struct{}, 1),
	}
}

func (t *ticket) submit(work Work, lane *lane) {
	if t.lane != lane || t.generation != work.Generation {
		t.backOff = time.Time{}
	}
	if t.lane != lane {
		clear(t.looks) // another key may belong to another account: what one account holds says nothing of the other
	}
	t.lane, t.generation, t.notBefore = lane, work.Generation, work.NotBefore
	wanted := make(map[string]struct{}, len(work.Users))
	t.want = t.want[:0:0]
	for _, user := range work.Users {
		wanted[user.Username] = struct{}{}
		if work.InDoubt {
			t.inDoubt[user.Username] = struct{}{}
		}
		if result, settled := t.results[user.Username]; settled && (result.State != Invalid || result.Sent == user) {
			continue
		}
		if t.looks[user.Username] == nil {
			t.want = append(t.want, user)
		}
	}
	maps.DeleteFunc(t.looks, func(username string, _ *look) bool { _, ok := wanted[username]; return !ok })
}

func (t *ticket) withdraw() {
	t.want = nil
	clear(t.looks)
	t.wake()
}

func (t *ticket) wake() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *ticket) report() Report {
	return Report{
		News: t.unrecorded, Results: maps.Clone(t.results), Failed: t.failed, KeyFingerprint: t.fingerprint,
		InFlight: t.inFlight, revision: t.revision,
	}
}

func (t *ticket) recorded(report Report) {
	for username, result := range report.Results {
		if t.results[username] == result {
			delete(t.results, username)
		}
	}
	if t.revision == report.revision {
		t.unrecorded = false
	}
}

// idle tells that nothing would be lost with the ticket.
func (t *ticket) idle() bool {
	return !t.active && !t.unrecorded && len(t.want) == 0 && len(t.looks) == 0 && len(t.inDoubt) == 0
}

// step is what a courier does next: wait until at, look for users, send users, or, if it is the zero step, nothing.
type step struct {
	at    time.Time
	looks []*look
	send  bool
}

func (s step) isZero() bool { return s.at.IsZero() && len(s.looks) == 0 && !s.send }

// next decides what is done next. Looks go first: they end what has begun.
func (t *ticket) next(now time.Time) step {
	if len(t.want) == 0 && len(t.looks) == 0 {
		return step{}
	}
	if gate := latest(t.notBefore, t.backOff); gate.After(now) {
		return step{at: gate}
	}
	var next step
	for _, l := range t.looks {
		switch {
		case !l.due.After(now):
			next.looks = append(next.looks, l)
		case next.at.IsZero() || l.due.Before(next.at):
			next.at = l.due
		}
	}
	switch {
	case len(next.looks) > 0:
		return step{looks: next.looks}
	case len(t.want) > 0:
		return step{send: true}
	default:
		return next
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// settle notes what became of a user.
func (t *ticket) settle(user users.User, state State) {
	_, doubtful := t.inDoubt[user.Username]
	t.results[user.Username] = Result{State: state, Sent: user, Unconfirmed: state == Existing && doubtful}
	delete(t.inDoubt, user.Username)
	delete(t.looks, user.Username)
}

// unwant takes users off the list of those to send.
func (t *ticket) unwant(batch []users.User) {
	usernames := make(map[string]struct{}, len(batch))
	for _, user := range batch {
		usernames[user.Username] = struct{}{}
	}
	t.want = slices.DeleteFunc(t.want, func(user users.User) bool { _, ok := usernames[user.Username]; return ok })
}

// answered notes an answer that was understood.
func (t *ticket) answered() {
	t.failed, t.backOff, t.fingerprint = nil, time.Time{}, t.lane.fingerprint
	t.news()
}

// fail notes an attempt that settled nothing.
func (t *ticket) fail(answer alloy.Answer, now, next time.Time) {
	t.failed, t.backOff = &Attempt{
		Answer: answer, Time: now, Next: next, Generation: t.generation, KeyFingerprint: t.lane.fingerprint,
	}, next
	if answer.Outcome == alloy.Unauthorized {
		t.fingerprint = t.lane.fingerprint
	}
	t.news()
}

func (t *ticket) news() {
	t.revision++
	t.unrecorded = true
}
