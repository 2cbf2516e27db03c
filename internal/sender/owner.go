package sender

import (
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// owner is all that is known of one owner. It is guarded by the sender's lock.
type owner struct {
	id         ID
	generation int64
	gate       *gate

	want          []users.User             // to be sent, in the owner's order; settled users and verifications are not in it
	verifications map[string]*verification // sent, named as invalid, and now looked for
	inDoubt       map[string]struct{}      // perhaps applied by a request without an answer
	results       map[string]Result        // settled and not recorded

	notBefore time.Time // set by the owner
	earliest  time.Time // set by a request of an owner of the same name
	backOff   time.Time // set by a failure
	delays    *backoff.ExponentialBackOff
	isolation *userIsolation // for refused users, if one is under way

	failed      *Attempt
	acceptedKey string // fingerprint of the key that the API last served
	acceptedAt  time.Time
	revision    int // counts the news
	unrecorded  bool

	active   bool                // a worker carries it
	queue    *queue              // it waits there to share a request
	joined   time.Time           // the queue
	owes     *queue              // a record of what its last request brought
	group    *group              // it is one of those whose shared request failed
	inFlight map[string]struct{} // usernames in a request that is running
	running  int                 // requests that are
	changed  chan struct{}       // wakes a worker that waits
	moved    chan struct{}       // closed when the worker waits in the wrong gate
}

// attempt is a request as it was sent: what an answer says, it says of this, whatever the owner wants by then.
type attempt struct {
	gate          *gate
	generation    int64
	moved         <-chan struct{}
	batch         []users.User    // to be created; or
	verifications []*verification // to be looked for
	isolation     *userIsolation  // the one that the batch is a part of, if it is
}

// attempt begins one for what the owner wants now.
func (t *owner) attempt() *attempt {
	return &attempt{gate: t.gate, generation: t.generation, moved: t.moved}
}

// verification is a user that the API did not take, until it is known whether it exists.
type verification struct {
	user   users.User
	due    time.Time
	absent bool // it was looked for once, and not found
}

func newOwner(id ID, options Options) *owner {
	return &owner{
		delays: newBackOff(options), moved: make(chan struct{}),
		id: id, verifications: map[string]*verification{}, inDoubt: map[string]struct{}{}, results: map[string]Result{},
		inFlight: map[string]struct{}{}, changed: make(chan struct{}, 1),
	}
}

func (t *owner) submit(work Work, gate *gate) {
	if t.gate != gate || t.generation != work.Generation {
		t.backOff, t.isolation, t.group = time.Time{}, nil, nil
		t.delays.Reset()
	}
	if t.gate != nil && t.gate != gate {
		clear(t.verifications) // another key may belong to another account: what one account holds says nothing of the other
		t.move()
	}
	t.gate, t.generation, t.notBefore = gate, work.Generation, work.NotBefore
	wanted := make(map[string]users.User, len(work.Users))
	t.want = nil
	for _, user := range work.Users {
		wanted[user.Username] = user
		if work.InDoubt {
			t.inDoubt[user.Username] = struct{}{}
		}
		t.want = append(t.want, user)
	}
	// A row that was corrected is not looked for as it was.
	maps.DeleteFunc(t.verifications, func(username string, l *verification) bool { return l.user != wanted[username] })
	t.unwant()
}

// inherit takes over the doubts about the users of an owner that was replaced by one of the same name. If it has a request
// running, nothing is sent before that is over.
func (t *owner) inherit(before *owner, over time.Time) {
	t.inDoubt = maps.Clone(before.inDoubt)
	maps.Copy(t.inDoubt, before.inFlight)
	if before.running > 0 {
		t.earliest = over
	}
}

func (t *owner) withdraw() {
	t.want, t.isolation, t.group = nil, nil, nil
	clear(t.verifications)
	t.move()
	t.wake()
}

// move ends the waiting of the worker in a gate in which nothing is to be sent any more.
func (t *owner) move() {
	close(t.moved)
	t.moved = make(chan struct{})
}

func (t *owner) wake() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *owner) report() Report {
	return Report{
		News: t.unrecorded, Results: maps.Clone(t.results), Failed: t.failed, AcceptedKey: t.acceptedKey, AcceptedAt: t.acceptedAt,
		InFlight: t.running > 0, revision: t.revision,
	}
}

func (t *owner) recorded(report Report) {
	for username, result := range report.Results {
		if t.results[username] == result {
			delete(t.results, username)
		}
	}
	if t.revision == report.revision {
		t.unrecorded = false
		t.settleDebt()
	}
}

// settleDebt notes that a record is made, or will never be.
func (t *owner) settleDebt() {
	if p := t.owes; p != nil {
		t.owes = nil
		if p.owed--; p.owed == 0 {
			p.since = time.Now()
			p.wake()
		}
	}
}

// idle reports that nothing would be lost with the owner.
func (t *owner) idle() bool {
	return !t.active && !t.unrecorded && t.running == 0 && len(t.want) == 0 && len(t.verifications) == 0 && len(t.inDoubt) == 0
}

// step is what a worker does next: wait until at, or until the owner changes, verification for users, send users, or, if it is the
// zero step, nothing.
type step struct {
	at            time.Time
	change        bool
	verifications []*verification
	send          bool
}

func (s step) isZero() bool {
	return s.at.IsZero() && len(s.verifications) == 0 && !s.send && !s.change
}

// next decides what is done next. Looks go first: they end what has begun.
func (t *owner) next(now time.Time) step {
	if len(t.want) == 0 && len(t.verifications) == 0 {
		return step{}
	}
	if gate := latest(latest(t.notBefore, t.earliest), t.backOff); gate.After(now) {
		return step{at: gate}
	}
	var next step
	for _, l := range t.verifications {
		switch {
		case !l.due.After(now):
			next.verifications = append(next.verifications, l)
		case next.at.IsZero() || l.due.Before(next.at):
			next.at = l.due
		}
	}
	switch {
	case len(next.verifications) > 0:
		return step{verifications: next.verifications}
	case t.rest() > 0 && t.group == nil:
		return step{send: true}
	case next.at.IsZero():
		return step{change: true} // a request of others has the users inFlight
	default:
		return next
	}
}

// rest is how many users are to be sent and not on their way.
func (t *owner) rest() int {
	if len(t.inFlight) == 0 {
		return len(t.want)
	}
	rest := 0
	for _, user := range t.want {
		if _, inFlight := t.inFlight[user.Username]; !inFlight {
			rest++
		}
	}
	return rest
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// settle notes what became of a user.
func (t *owner) settle(user users.User, state State) {
	_, doubtful := t.inDoubt[user.Username]
	t.results[user.Username] = Result{State: state, Sent: user, Unconfirmed: state == Existing && doubtful}
	delete(t.inDoubt, user.Username)
	delete(t.verifications, user.Username)
}

// invalidate settles users that the API refused.
func (t *owner) invalidate(refused []users.User, message string) {
	for _, user := range refused {
		t.settle(user, Invalid)
		result := t.results[user.Username]
		result.Message = message
		t.results[user.Username] = result
	}
}

// wanted are the users that are still to be sent, by username.
func (t *owner) wanted() map[string]users.User {
	wanted := make(map[string]users.User, len(t.want))
	for _, user := range t.want {
		wanted[user.Username] = user
	}
	return wanted
}

// wants returns the user of this username that is still to be sent, if there is one.
func (t *owner) wants(username string) (users.User, bool) {
	for _, user := range t.want {
		if user.Username == username {
			return user, true
		}
	}
	return users.User{}, false
}

// doubt notes users that a request without an answer may have created.
func (t *owner) doubt(batch []users.User) {
	for _, user := range batch {
		t.inDoubt[user.Username] = struct{}{}
	}
}

// unwant takes the users that are settled or looked for off the list of those to send.
func (t *owner) unwant() {
	t.want = slices.DeleteFunc(t.want, func(user users.User) bool {
		result, known := t.results[user.Username]
		settled := known && (result.State != Invalid || result.Sent == user)
		return settled || t.verifications[user.Username] != nil
	})
}

// answered notes an answer that was understood.
func (t *owner) answered(e *attempt) {
	t.failed, t.backOff = nil, time.Time{}
	t.acceptedKey, t.acceptedAt = e.gate.fingerprint, time.Now()
	t.delays.Reset()
	t.news()
}

// fail notes that an attempt settled nothing, and waits before the next one, unless the owner has changed its mind or its key
// since.
func (t *owner) fail(e *attempt, answer alloy.Answer, at, next time.Time) {
	if e.gate != t.gate || e.generation != t.generation {
		return
	}
	t.failed = &Attempt{Answer: answer, Time: at, Next: next, Generation: e.generation, KeyFingerprint: e.gate.fingerprint}
	t.backOff = next
	if answer.Outcome == alloy.Unauthorized {
		t.acceptedKey = ""
	}
	t.news()
}

// forgive notes that the last failure is over, unless it was the key's.
func (t *owner) forgive() {
	if t.failed != nil && t.failed.Answer.Outcome != alloy.Unauthorized {
		t.failed = nil
	}
}

// pause notes that the isolation for refused users waits before it goes on.
func (t *owner) pause(e *attempt, answer alloy.Answer, next time.Time) {
	t.fail(e, answer, time.Now(), next)
	if t.failed != nil {
		t.failed.Searching = true
	}
}

func (t *owner) news() {
	t.revision++
	t.unrecorded = true
}
