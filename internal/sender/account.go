package sender

import (
	"math/rand/v2"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// account is the state of everything that is sent under one key. It is not safe for concurrent use; a shell owns it.
type account struct {
	options      Options
	chance       *rand.Rand
	gate         gate
	queue        queue
	isolations   []*isolation
	verification verification
	running      int // requests
	sequence     int // number of the last request
	turns        turns
	size         size
	passedAt     time.Duration // the last answer of an API that works
	outbox       outbox
}

func newAccount(options Options, chance *rand.Rand) *account {
	options = options.withDefaults()
	return &account{
		options: options, chance: chance, gate: newGate(options, chance), queue: queue{index: map[string]*entry{}, owners: map[ownerKey]*owner{}},
		verification: verification{options: options}, outbox: outbox{byID: map[ID]*update{}},
	}
}

// size bounds the users in a request for a while, after larger ones were too large or too slow.
type size struct {
	users int
	until time.Duration
}

// maxUsers is the most users in a request now.
func (a *account) maxUsers(now time.Duration) int {
	if now < a.size.until {
		return a.size.users
	}
	return a.options.MaxUsers
}

// turns decides whose turn it is, and when the users that gather are sent.
type turns struct {
	wasShared   bool          // the last request was
	last        int           // of the others, the last kind
	gatherSince time.Duration // users gather since then
	sharedAt    time.Duration // when the last shared request ended
	sharing     bool          // a shared request is running
	sequence    int           // number of the last shared request
	unrecorded  int           // owners that have not acknowledged what it brought
	untriedAt   time.Duration // while requests are refused, when the next owner that was not tried yet is; 0 for at once
	notices     notices
	stopped     bool
}

// notices is what owners that wait are told.
type notices struct {
	class alloy.Outcome // of the failures that keep them waiting; empty for none
	at    time.Duration // when the next ones are told
	told  bool          // all were
	late  []*owner      // to be notified a second after the last time
}

// request is what the shell sends. Its exported part does not change while it runs.
type request struct {
	number int
	began  time.Duration
	rows   []row        // to create; or
	read   *read        // to look up
	users  []users.User // of the rows

	isolation *isolation // that it is a part of
	shared    bool       // it carries whoever waited
	owners    []*owner   // of the rows, each once
}

// failure is an Attempt in the time of the account.
type failure struct {
	answer    alloy.Answer
	next      time.Duration
	attempted bool // in a request with users of the owner
	isolating bool
	rejected  bool // the key was
}

// update is what an owner's mailbox is given.
type update struct {
	id        ID
	results   map[string]Result
	failed    *failure // the last failure
	over      bool     // the last failure is over
	served    bool     // the API accepted the key
	unmatched bool
	notify    bool
	sequence  int // of the request to acknowledge; 0 for none
}

// outbox collects updates, one for each owner.
type outbox struct {
	updates []*update
	byID    map[ID]*update
	gone    []released
}

// released is an owner of which an account knows nothing more, but which of its users are in doubt.
type released struct {
	id     ID
	doubts []string
}

func (b *outbox) to(o *owner) *update {
	u := b.byID[o.id]
	if u == nil {
		u = &update{id: o.id}
		b.byID[o.id] = u
		b.updates = append(b.updates, u)
	}
	return u
}

// take empties the outbox.
func (b *outbox) take() ([]*update, []released) {
	updates, gone := b.updates, b.gone
	clear(b.byID)
	b.updates, b.gone = nil, nil
	return updates, gone
}

// tell gives an owner a result.
func (a *account) tell(o *owner, result Result) {
	u := a.outbox.to(o)
	if u.results == nil {
		u.results = map[string]Result{}
	}
	u.results[result.Sent.Username] = result
	u.notify = true
}

// fail tells an owner of a failure.
func (a *account) fail(o *owner, f failure) {
	f.rejected = a.gate.rejectsKey() && f.answer.Outcome == a.gate.answer.Outcome
	u := a.outbox.to(o)
	u.failed, u.over, u.notify = &f, false, true
	o.notice.class = f.answer.Outcome
}

// recover tells an owner that its last failure is over.
func (a *account) recover(o *owner) {
	u := a.outbox.to(o)
	u.failed, u.over = nil, true
	o.notice.class = ""
}

// exists settles a user that exists.
func (a *account) exists(now time.Duration, e *entry, user users.User, unconfirmed bool) {
	unconfirmed = unconfirmed || e.inDoubt
	for _, c := range a.queue.settle(now, e, user.Username, anyUser) {
		a.tell(c.owner, Result{State: Existing, Sent: user, Unconfirmed: unconfirmed})
	}
}

func anyUser(users.User) bool { return true }

// invalid settles a user that the API does not accept. Another row for its username goes next.
func (a *account) invalid(now time.Duration, e *entry, message string) {
	user := e.user()
	for _, c := range a.queue.settle(now, e, user.Username, func(other users.User) bool { return other == user }) {
		a.tell(c.owner, Result{State: Invalid, Sent: user, Message: message})
	}
}

// created settles a user that a request created. For the owner that it was sent for it is Created, also if that owner has
// withdrawn.
func (a *account) created(now time.Duration, r row) {
	e := r.entry
	inDoubt := e.inDoubt
	a.tell(r.owner, Result{State: Created, Sent: r.user})
	if !e.isWanted() { // who comes next under that owner's name cannot tell who created the user
		e.inDoubt = true
		a.queue.passOn(now, e, r.user.Username, 0)
		return
	}
	for _, c := range a.queue.settle(now, e, r.user.Username, anyUser) {
		if c.owner != r.owner {
			a.tell(c.owner, Result{State: Existing, Sent: r.user, Unconfirmed: inDoubt})
		}
	}
}

// unspoken is an answer without the API's words, which may name another owner's users.
func unspoken(answer alloy.Answer) alloy.Answer {
	answer.Message = ""
	return answer
}

// refusing returns the isolation that shows that the API refuses requests whoever is in them, if there is one.
func (a *account) refusing() *isolation {
	for _, i := range a.isolations {
		if i.pause.blocks {
			return i
		}
	}
	return nil
}
