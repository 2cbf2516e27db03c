package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// place is where a user is on its way to a result.
type place int8

const (
	waiting   place = iota // in the queue
	inFlight               // in a request to create it
	isolated               // in an isolation
	verifying              // named by the API, to be looked up
)

// entry is what is known of a username under a key. All waiting users that only one owner wants, and of which nothing else is
// known, share an entry: a million users that wait cost their list and the index.
type entry struct {
	owner   *owner     // that wanted the user first; nil if nobody wants it any more
	user    users.User // as that owner wants it; zero in a shared entry
	place   place
	inDoubt bool          // a request whose answer was lost may have created it
	held    time.Duration // until when the API may still be working on it, once nobody wants it
	expires time.Duration // when the doubt is forgotten, once nobody wants it
	others  []claim       // owners that want it too, in order of arrival
}

// claim is a user as a further owner wants it. It is a subscriber to the request that carries the first owner's.
type claim struct {
	owner *owner
	user  users.User
}

// isWanted reports whether a user in a place outside the queue is still wanted as it stands there.
func (e *entry) isWanted() bool { return e.owner != nil }

// owner is an owner of unsettled users.
type owner struct {
	id        ID
	wanted    []users.User // also settled ones, until users are next taken
	open      int          // unsettled users
	waiting   int          // of them, those in the queue that this owner wanted first
	shared    [2]*entry    // of waiting users, not in doubt and in doubt
	queued    bool
	inFlight  int           // requests that carry users for it
	notBefore time.Duration // as submitted
	heldUntil time.Duration // the API may still be working on its users
	triedAt   time.Duration // the last request with its users that was not served; 0 for none since one was
	failedAt  time.Duration // of these the last that failed, rather than being refused
	notice    notice
}

// notice is what an owner was last told of failures, and when.
type notice struct {
	class alloy.Outcome // of the failure; empty for none
	at    time.Duration
	late  bool // it will be notified of what is in its mailbox
}

func (o *owner) readyAt() time.Duration { return max(o.notBefore, o.heldUntil) }

// row is a user in a request, with the owner that it is sent for.
type row struct {
	entry *entry
	owner *owner
	user  users.User
}

// queue holds the owners of an account, and knows each of their usernames once.
type queue struct {
	index  map[string]*entry
	owners map[ownerKey]*owner
	ready  []*owner // with waiting users, in order of arrival
	doubts []string // that nobody wants, in the order in which they expire
}

func newQueue() queue { return queue{index: map[string]*entry{}, owners: map[ownerKey]*owner{}} }

// submit replaces what an owner wants.
func (q *queue) submit(now time.Duration, id ID, list []users.User, inDoubt bool) *owner {
	o := q.owners[id.key()]
	if o == nil {
		o = &owner{id: id}
		o.shared = [2]*entry{{owner: o}, {owner: o, inDoubt: true}}
		q.owners[id.key()] = o
	}
	if len(o.wanted) > 0 {
		next := make(map[string]users.User, len(list))
		for _, user := range list {
			next[user.Username] = user
		}
		for _, user := range o.wanted {
			if next[user.Username] != user {
				q.drop(now, o, user.Username)
			}
		}
	}
	before := o.waiting
	o.wanted = list
	for _, user := range list {
		q.claim(o, user, inDoubt)
	}
	if o.waiting > before {
		o.triedAt = 0
	}
	return o
}

// claim notes that an owner wants a user. It changes nothing if it does already.
func (q *queue) claim(o *owner, user users.User, inDoubt bool) {
	e := q.index[user.Username]
	switch {
	case e == nil:
		q.index[user.Username] = o.share(inDoubt)
	case e.claimedBy(o):
		if inDoubt && !e.inDoubt {
			q.doubt(user.Username)
		}
		return
	case e.owner == nil && e.place == inFlight: // for an owner that has withdrawn; this one subscribes
		e.owner, e.user = o, user
		o.open++
		return
	case e.owner == nil: // only in doubt
		o.heldUntil = max(o.heldUntil, e.held)
		q.index[user.Username] = o.share(true)
	default:
		e = q.own(user.Username)
		e.others = append(e.others, claim{o, user})
		e.inDoubt = e.inDoubt || inDoubt
		o.open++
		return
	}
	o.open++
	q.wait(o)
}

func (o *owner) share(inDoubt bool) *entry {
	if inDoubt {
		return o.shared[1]
	}
	return o.shared[0]
}

func (e *entry) claimedBy(o *owner) bool {
	return e.owner == o || slices.ContainsFunc(e.others, func(c claim) bool { return c.owner == o })
}

// own returns the entry of a username that is no longer shared with others.
func (q *queue) own(username string) *entry {
	e := q.index[username]
	if e.owner != nil && (e == e.owner.shared[0] || e == e.owner.shared[1]) {
		e = &entry{owner: e.owner, inDoubt: e.inDoubt}
		q.index[username] = e
	}
	return e
}

// doubt notes that a request whose answer was lost may have created a user.
func (q *queue) doubt(username string) { q.own(username).inDoubt = true }

// wait puts one more user of an owner into the queue.
func (q *queue) wait(o *owner) {
	if o.waiting++; !o.queued {
		o.queued = true
		q.ready = append(q.ready, o)
	}
}

// putBack has the user of an entry wait again.
func (q *queue) putBack(e *entry) {
	e.place = waiting
	q.wait(e.owner)
}

// drop notes that an owner no longer wants a user.
func (q *queue) drop(now time.Duration, o *owner, username string) {
	e := q.index[username]
	switch {
	case e == nil || !e.claimedBy(o):
		return
	case e.owner != o:
		e.others = slices.DeleteFunc(e.others, func(c claim) bool { return c.owner == o })
	default:
		if e.place == waiting {
			o.waiting--
		}
		q.passOn(now, username, false)
	}
	o.open--
}

// passOn gives the user of an entry to the next owner that wants it, if there is one. Its place, unless that is refused, it
// keeps only for an identical row: of another one nothing is known.
func (q *queue) passOn(now time.Duration, username string, refused bool) {
	e := q.index[username]
	if len(e.others) == 0 {
		q.abandon(now, username)
		return
	}
	before, next, rest := e.owner, e.others[0], e.others[1:]
	if e.place == inFlight || !refused && e.place != waiting && next.user == e.user {
		e.owner, e.user, e.others = next.owner, next.user, rest
		return
	}
	e.owner, e.others = nil, nil
	q.index[username] = &entry{owner: next.owner, inDoubt: e.inDoubt, others: rest}
	if e.inDoubt {
		next.owner.heldUntil = max(next.owner.heldUntil, before.heldUntil)
	}
	q.wait(next.owner)
}

// abandon notes that nobody wants a user any more. Until its request is over, it stays known.
func (q *queue) abandon(now time.Duration, username string) {
	e := q.index[username]
	if e.place == inFlight {
		e.owner = nil
		return
	}
	delete(q.index, username)
	if e.inDoubt {
		q.remember(now, username, e.owner.heldUntil)
	}
	if e != e.owner.shared[0] && e != e.owner.shared[1] {
		e.owner = nil
	}
}

// remember keeps in mind for a while that a user is in doubt that nobody wants.
func (q *queue) remember(now time.Duration, username string, heldUntil time.Duration) {
	q.index[username] = &entry{inDoubt: true, held: heldUntil, expires: now + doubtKept}
	q.doubts = append(q.doubts, username)
}

// doubtKept is how long it is remembered that a user is in doubt that nobody wants any more.
const doubtKept = 30 * time.Second

// expire forgets doubts that are old enough, and returns when the next one will be.
func (q *queue) expire(now time.Duration) time.Duration {
	for len(q.doubts) > 0 {
		e := q.index[q.doubts[0]]
		if e != nil && e.owner == nil && e.place == waiting && e.expires > now {
			return e.expires
		}
		if e != nil && e.owner == nil && e.place == waiting {
			delete(q.index, q.doubts[0])
		}
		q.doubts = q.doubts[1:]
	}
	return never
}

// settle forgets a username that has a result, and returns the owners that want it.
func (q *queue) settle(e *entry, username string) []*owner {
	var owners []*owner
	if e.owner != nil {
		owners = append(owners, e.owner)
	}
	for _, c := range e.others {
		owners = append(owners, c.owner)
	}
	for _, o := range owners {
		o.open--
	}
	e.owner, e.others = nil, nil
	delete(q.index, username)
	return owners
}

// refuse forgets the row of an entry, which is invalid, and returns the owners that want just that. Another row for the same
// username goes next.
func (q *queue) refuse(now time.Duration, e *entry) []*owner {
	owners := []*owner{e.owner}
	e.others = slices.DeleteFunc(e.others, func(c claim) bool {
		if c.user == e.user {
			owners = append(owners, c.owner)
		}
		return c.user == e.user
	})
	for _, o := range owners {
		o.open--
	}
	e.inDoubt = false
	q.passOn(now, e.user.Username, true)
	return owners
}

// take puts up to n waiting users of an owner in flight, of those that fit if that is given, and returns them.
func (q *queue) take(o *owner, n int, fits func(users.User) bool) []row {
	rows := make([]row, 0, min(n, o.waiting))
	rest := o.wanted[:0]
	for _, user := range o.wanted {
		e := q.index[user.Username]
		if e == nil || !e.claimedBy(o) {
			continue // settled
		}
		rest = append(rest, user)
		if len(rows) < n && e.owner == o && e.place == waiting && (fits == nil || fits(user)) {
			e = q.own(user.Username)
			e.user, e.place = user, inFlight
			rows = append(rows, row{e, o, user})
		}
	}
	clear(o.wanted[len(rest):])
	o.wanted = rest
	o.waiting -= len(rows)
	return rows
}

// prune takes owners without waiting users out of the queue.
func (q *queue) prune() {
	q.ready = slices.DeleteFunc(q.ready, func(o *owner) bool {
		o.queued = o.waiting > 0
		return !o.queued
	})
}

// withdraw ends what an owner wants.
func (q *queue) withdraw(now time.Duration, o *owner) {
	for _, user := range o.wanted {
		q.drop(now, o, user.Username)
	}
}

// release forgets an owner without unsettled users, and returns which of those it wanted last are in doubt.
func (q *queue) release(o *owner) (doubts []string) {
	for _, user := range o.wanted {
		if e := q.index[user.Username]; e != nil && e.inDoubt {
			doubts = append(doubts, user.Username)
		}
	}
	delete(q.owners, o.id.key())
	return doubts
}
