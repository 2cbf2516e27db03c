// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"cmp"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// place is where a user is on its way to a result.
type place int8

const (
	waiting   place = iota // in the queue
	inFlight               // in a request to create it
	isolated               // in an isolation
	verifying              // named by the API, to be looked up
)

// entry is what is known of a username under a key.
type entry struct {
	claims    []claim // of owners that want the user, in order of arrival: the others subscribe to the first one's request
	place     place
	inDoubt   bool          // a request whose answer was lost may have created it
	known     bool          // it was proved to exist, so that the API names it says so again
	wasAbsent bool          // a list of all users lacked it
	held      time.Duration // until then the API may still be working on that request
	expires   time.Duration // when the doubt is forgotten; 0 while somebody wants the user
	refusal   *alloy.Answer // the last one of the user alone
}

// claim is a user as an owner wants it.
type claim struct {
	owner *owner
	user  users.User
}

func (e *entry) isWanted() bool { return len(e.claims) > 0 }

// owner returns the first owner of a wanted user, and user the user as that wants it.
func (e *entry) owner() *owner    { return e.claims[0].owner }
func (e *entry) user() users.User { return e.claims[0].user }

// claimOf returns which of the claims is an owner's, -1 if it has none, because the user is settled or it never had.
func (e *entry) claimOf(o *owner) int {
	if e == nil {
		return -1
	}
	return slices.IndexFunc(e.claims, func(c claim) bool { return c.owner == o })
}

// owner is an owner of unsettled users.
type owner struct {
	id        ID
	wanted    []users.User  // also settled ones, until users are next taken
	open      int           // unsettled users
	waiting   int           // of them, those in the queue that this owner wanted first
	inFlight  int           // requests that carry users for it
	notBefore time.Duration // as submitted
	heldUntil time.Duration // the API may still be working on its waiting users
	triedAt   time.Duration // the last request with its users that was not served; 0 for none since one was
	failedAt  time.Duration // of these the last that failed, rather than being refused
	toldOf    alloy.Outcome // the class of the failure; empty for none
	news      *update       // of the current step
}

func (o *owner) readyAt() time.Duration { return max(o.notBefore, o.heldUntil) }

// row is a user in a request, with the claim for which it is sent.
type row struct {
	claim
	entry *entry
}

// ownersOf returns the owners of some users, each once, in the order of the users.
func ownersOf(users []*entry) (owners []*owner) {
	seen := map[*owner]bool{}
	for _, e := range users {
		if o := e.owner(); !seen[o] {
			seen[o] = true
			owners = append(owners, o)
		}
	}
	return owners
}

// only returns those of a list that fit.
func only[T any](list []T, fits func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(element T) bool { return !fits(element) })
}

// ready returns those of a list that are ready by now, and when the next one is.
func ready[T any](now time.Duration, list []T, readyAt func(T) time.Duration) (ready []T, next time.Duration) {
	next = never
	for _, element := range list {
		if at := readyAt(element); at <= now {
			ready = append(ready, element)
		} else {
			next = min(next, at)
		}
	}
	return ready, next
}

// queue holds the owners of an account, and knows each of their usernames once.
type queue struct {
	index  map[string]*entry
	owners map[ownerKey]*owner
	ready  []*owner // with waiting users, in order of arrival, and others until the next choice
	doubts []expiry // of users that nobody wants or wanted, in their order
}

// submit replaces what an owner wants.
func (q *queue) submit(now time.Duration, id ID, list []users.User) *owner {
	o := q.owners[id.key()]
	if o == nil {
		o = &owner{id: id}
		q.owners[id.key()] = o
	}
	next := make(map[string]users.User, len(list))
	for _, user := range list {
		next[user.Username] = user
	}
	for _, user := range o.wanted {
		if next[user.Username] != user {
			q.drop(now, o, user.Username)
		}
	}
	before := o.waiting
	if len(list) > 0 { // else it leaves, and its doubts are to be told
		o.wanted = list
	}
	for _, user := range list {
		q.claim(o, user)
	}
	if o.waiting > before { // of these users nothing is known
		o.triedAt = 0
	}
	return o
}

// claim notes that an owner wants a user. It changes nothing if the owner does already.
func (q *queue) claim(o *owner, user users.User) {
	e := q.index[user.Username]
	if e == nil {
		e = &entry{}
		q.index[user.Username] = e
	}
	if e.claimOf(o) < 0 {
		e.claims, e.expires = append(e.claims, claim{o, user}), 0
		if o.open++; len(e.claims) == 1 && e.place == waiting {
			q.putBack(e)
		}
	}
}

// putBack has the user of an entry wait for a request of its first owner.
func (q *queue) putBack(e *entry) {
	o := e.owner()
	e.place, o.heldUntil = waiting, max(o.heldUntil, e.held)
	if o.waiting++; o.waiting == 1 && !slices.Contains(q.ready, o) {
		q.ready = append(q.ready, o)
	}
}

// doubt notes that a user is in doubt, and until when the API may be working on it.
func (q *queue) doubt(e *entry, until time.Duration) {
	if e.inDoubt, e.held = true, max(e.held, until); e.place == waiting {
		o := e.owner()
		o.heldUntil = max(o.heldUntil, e.held)
	}
}

// drop notes that an owner no longer wants a user.
func (q *queue) drop(now time.Duration, o *owner, username string) {
	e := q.index[username]
	k := e.claimOf(o)
	if k < 0 {
		return
	}
	o.open--
	before := e.claims[k].user
	if e.claims = slices.Delete(e.claims, k, k+1); k > 0 || e.place == inFlight {
		return
	}
	if e.place == waiting {
		o.waiting--
	}
	if e.place == waiting || !e.isWanted() || e.user() != before { // of another row nothing is known
		q.passOn(now, e, username)
	}
}

// passOn has the user of an entry wait for the next owner that wants it. If none does, only the doubt is remembered for a while, and at
// least as long as the API may be working on the user: somebody may want it again.
func (q *queue) passOn(now time.Duration, e *entry, username string) {
	if q.index[username] != e {
		return // it has been passed on
	}
	next := &entry{claims: e.claims, inDoubt: e.inDoubt, known: e.known, wasAbsent: e.wasAbsent, held: e.held}
	e.claims = nil
	q.index[username] = next
	switch {
	case next.isWanted():
		q.putBack(next)
	case next.inDoubt:
		next.expires = max(now+doubtKept, next.held)
		q.remember(username, next.expires)
	default:
		delete(q.index, username)
	}
}

// yield lets another row for the username of an entry go first next time, if there is one, because this one may wait for ever.
func (q *queue) yield(e *entry) {
	k := slices.IndexFunc(e.claims, func(c claim) bool { return c.user != e.user() })
	if k < 0 {
		return
	}
	before := e.owner()
	if e.claims = slices.Concat(e.claims[k:], e.claims[:k]); e.place == waiting {
		before.waiting--
		q.putBack(e)
	}
}

// doubtKept is how long at least it is remembered that a user is in doubt that nobody wants any more.
const doubtKept = 30 * time.Second

// expiry is when it is forgotten that a user is in doubt.
type expiry struct {
	at       time.Duration
	username string
}

// remember notes when the doubt about a user expires.
func (q *queue) remember(username string, at time.Duration) {
	k, _ := slices.BinarySearchFunc(q.doubts, at+1, func(e expiry, at time.Duration) int { return cmp.Compare(e.at, at) })
	q.doubts = slices.Insert(q.doubts, k, expiry{at, username})
}

// expire forgets doubts that are old enough, and returns when the next one will be.
func (q *queue) expire(now time.Duration) time.Duration {
	for len(q.doubts) > 0 {
		first := q.doubts[0]
		if e := q.index[first.username]; e != nil && e.expires == first.at { // else the user is wanted, or was meanwhile
			if first.at > now {
				return first.at
			}
			delete(q.index, first.username)
		}
		q.doubts = q.doubts[1:]
	}
	return never
}

// take takes up to n waiting users of an owner out of the queue, but not a certain one.
func (q *queue) take(o *owner, n int, not string) (taken []*entry) {
	o.wanted = slices.DeleteFunc(o.wanted, func(user users.User) bool {
		e := q.index[user.Username]
		if e.claimOf(o) < 0 {
			return true
		}
		if len(taken) < n && e.place == waiting && e.owner() == o && user.Username != not {
			taken = append(taken, e)
		}
		return false
	})
	o.waiting -= len(taken)
	return taken
}
