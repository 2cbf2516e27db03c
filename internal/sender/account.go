// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// passing are the classes of failures that pass by themselves, and none.
var passing = []alloy.Outcome{"", alloy.Unavailable, alloy.Deferred}

// account is the state of everything that is sent under one key. It is not safe for concurrent use; a shell owns it.
type account struct {
	options      Options
	chance       *rand.Rand
	gate         gate
	queue        queue
	isolations   []*isolation
	verification verification
	edits        edits
	lists        lists
	turns        turns
	size         size
	obstacle     alloy.Outcome // the class of failures that keep owners waiting; empty for none
	tellAt       time.Duration // when owners that only wait are told of it
	told         decision      // what the current step tells owners
}

func newAccount(options Options, chance *rand.Rand) *account {
	options.MaxUsers = cmp.Or(options.MaxUsers, alloy.MaxBatch)
	a := &account{
		options: options, chance: chance, gate: newGate(options, chance),
		queue: queue{index: map[string]*entry{}, owners: map[ownerKey]*owner{}},
		turns: turns{gatherSince: never, sharedAt: -options.SharePause, readyAt: never, wasShared: true},
	}
	a.verification = verification{options: options, lists: &a.lists}
	a.edits = edits{options: options, chance: chance}
	return a
}

// size bounds requests for a while after larger ones were too large or too slow.
type size struct {
	most  int // users
	until time.Duration
}

// turns decides whose turn it is, and when the users that gather are sent.
type turns struct {
	running     int           // requests
	wasShared   bool          // the last request was
	last        int           // of the others, the last kind
	gatherSince time.Duration // users of small owners gather since then
	sharedAt    time.Duration // when the last shared request began
	readyAt     time.Duration // since then only limits keep the next request from beginning
	stopped     bool
}

func (a *account) maxUsers(now time.Duration) int {
	if now < a.size.until {
		return a.size.most
	}
	return a.options.MaxUsers
}

// request is what the shell sends: users to create, an edit, or a read.
type request struct {
	began     time.Duration
	waited    time.Duration // for the rate limit, and for a slot
	users     []users.User
	rows      []row // of the users
	read      *read
	edit      *edit
	asked     Edit       // what the edit asks of the API now: without a UserID, to read the user
	isolation *isolation // that it is a part of
	owners    []*owner   // of the rows or the edit, each once
}

// isList reports whether a request reads the list of all users. It runs beside the others of its key.
func (r *request) isList() bool { return r.read != nil && r.read.way == inList }

// suspect returns the only user in a request, and its only owner.
func (r *request) suspect() (s suspect) {
	if len(r.rows) == 1 {
		s.user = r.rows[0].user.Username
	}
	if len(r.owners) == 1 {
		s.owner = r.owners[0].id.key()
	}
	return s
}

// update is what an owner's mailbox is given. Times are counted from epoch.
type update struct {
	owner     *owner
	results   map[string]Result
	failed    *Attempt // the last failure; empty if that is over
	served    bool     // the API accepted the key
	unmatched bool
	witness   string // a user that the API has just created for certain
}

// released is an owner that an account has let go of.
type released struct {
	id        ID
	isUnknown bool                     // the account did not have it when it left: its work was not taken yet, or was done already
	doubts    map[string]time.Duration // usernames that are still in doubt, and until when the API may be working on them
}

// news returns the update for an owner.
func (a *account) news(o *owner) *update {
	if o.news == nil {
		o.news = &update{owner: o, results: map[string]Result{}}
		a.told.updates = append(a.told.updates, o.news)
	}
	return o.news
}

// fail tells an owner of a failure; next is when requests are made again.
func (a *account) fail(o *owner, at, next time.Duration, f Attempt) {
	f.Time, f.Next = epoch.Add(at), epoch.Add(max(next, o.heldUntil))
	f.KeyRejected = a.gate.rejectsKey(f.Answer)
	a.news(o).failed, o.toldOf = &f, f.Answer.Outcome
}

// failWaiting tells an owner of the last failure, which was of a request without its users.
func (a *account) failWaiting(o *owner) {
	a.fail(o, a.gate.failedAt, a.gate.next(), Attempt{Answer: unspoken(a.gate.answer), Waiting: true})
}

// recover tells an owner that its last failure is over.
func (a *account) recover(o *owner) {
	a.news(o).failed, o.toldOf = &Attempt{}, ""
}

// settle tells the owners of a user what became of it. Another row for its username, which the result does not fit, goes next.
func (a *account) settle(now time.Duration, e *entry, result Result) {
	e.claims = slices.DeleteFunc(e.claims, func(c claim) bool {
		if !result.settles(c.user) {
			return false
		}
		c.owner.open--
		a.news(c.owner).results[result.Sent.Username] = result
		return true
	})
	e.inDoubt, e.held = false, 0
	a.queue.passOn(now, e, result.Sent.Username)
}

func (a *account) exists(now time.Duration, e *entry, user users.User) {
	a.settle(now, e, Result{State: Existing, Sent: user, Unconfirmed: e.inDoubt})
}

func (a *account) invalid(now time.Duration, e *entry, message string) {
	a.settle(now, e, Result{State: Invalid, Sent: e.user(), Message: message})
}

// created settles a user: it is Created for the owner that it was sent for, even if that has dropped it, and exists for others.
func (a *account) created(now time.Duration, r row) {
	if r.entry.isWanted() {
		a.exists(now, r.entry, r.user)
	} else { // whoever comes next under that owner's name cannot tell who created the user
		r.entry.inDoubt = true
		a.queue.passOn(now, r.entry, r.user.Username)
	}
	a.news(r.owner).results[r.user.Username] = Result{State: Created, Sent: r.user, WasAbsent: r.entry.wasAbsent}
}

// unspoken is an answer without the API's words, which may name another owner's users.
func unspoken(answer alloy.Answer) alloy.Answer {
	answer.Message = ""
	return answer
}

// tellWaiting tells owners that only wait why, once for each class of failure. It returns when that is.
func (a *account) tellWaiting(now time.Duration) time.Duration {
	if class := a.gate.answer.Outcome; a.obstacle != class {
		if a.obstacle, a.tellAt = class, now; class != "" {
			a.tellAt += a.options.NoticeDelay
		}
	}
	if now < a.tellAt {
		return a.tellAt
	}
	waits := func(o *owner) bool { return a.obstacle != "" && o.toldOf != a.obstacle }
	for _, e := range a.edits.list {
		if waits(e.owner) {
			a.failWaiting(e.owner)
		}
	}
	for _, o := range a.queue.ready {
		switch {
		case waits(o):
			a.failWaiting(o)
		case a.obstacle == "" && !slices.Contains(passing, o.toldOf):
			a.recover(o)
		}
	}
	a.tellAt = never
	return never
}
