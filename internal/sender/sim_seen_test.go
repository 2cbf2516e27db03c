// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// seen is what an observer knows of a key, who sees the events of its account, its requests and their answers, but not how it
// decides.
type seen struct {
	owners    map[ownerKey]*seenOwner
	doubts    map[string]*seenDoubt
	lone      map[string]loneRefusal
	named     map[string]users.User // rows that the API named as invalid, and that everybody has wanted so since
	unmatched map[string]bool       // users of requests whose answer named somebody else
	proven    bool                  // the API has served a request

	tokens   float64 // of the rate limiter
	tokensAt time.Duration
	asked    time.Duration // by a Retry-After
	failure  seenFailure
	passed   int               // requests in a row that passed over a small owner
	tried    map[ownerKey]bool // owners of whom nobody was served since they were tried
}

// seenOwner is what an owner wants, as the account was told last.
type seenOwner struct {
	id    ID
	wants map[string]users.User
	edits []Edit
	told  map[string]Result   // since
	stale map[string]bool     // of these it has recorded results that it did not know
	left  map[string]leftUser // what it wanted when it withdrew
}

// leftUser is of a user that an owner wanted when it withdrew, and what became since of its requests.
type leftUser struct {
	inDoubt bool
	held    time.Duration // until then the API may still be working on it
}

// seenDoubt is of a user that a request may have created whose answer was lost.
type seenDoubt struct {
	unwanted time.Duration // since then nobody wants it; 0 if somebody does
	held     time.Duration // until then the API may still be working on it
	hard     bool          // an answer was lost; else an answer proved nothing
}

// loneRefusal is the last one of a user by itself.
type loneRefusal struct {
	cause     string
	row       users.User
	isolation *isolation // that the request was a part of
}

// seenFailure is a row of failures of the API, and of refusals whoever is in the request, without any other answer.
type seenFailure struct {
	outcome  alloy.Outcome // of the last one; empty for none
	at       time.Duration
	until    time.Duration // no probe before
	interval time.Duration
	owner    ownerKey // the only one in all of these requests
}

func newSeen() *seen {
	return &seen{
		owners: map[ownerKey]*seenOwner{}, doubts: map[string]*seenDoubt{}, lone: map[string]loneRefusal{}, unmatched: map[string]bool{},
		named: map[string]users.User{}, tried: map[ownerKey]bool{}, tokens: 1e9,
	}
}

// isWanted reports whether some owner wants a user, and has not been told of it.
func (s *seen) isWanted(username string) bool {
	for _, o := range s.owners {
		if row, wants := o.wants[username]; wants && !settles(o.told[username], row) {
			return true
		}
	}
	return false
}

// doubt notes that a request may have created a user.
func (s *seen) doubt(username string, held time.Duration, isHard bool) {
	d := s.doubts[username]
	if d == nil {
		d = &seenDoubt{}
		s.doubts[username] = d
	}
	d.held, d.hard = max(d.held, held), d.hard || isHard
}

// submitted notes what an owner wants. The times of doubts are the world's.
func (s *seen) submitted(e submitted, doubts map[string]time.Duration, stale map[string]bool) {
	o := &seenOwner{id: e.ID, wants: map[string]users.User{}, told: map[string]Result{}, stale: stale, edits: e.Edits}
	for _, user := range e.Users {
		o.wants[user.Username] = user
		if d := s.doubts[user.Username]; d != nil { // perhaps only for this moment
			d.unwanted = 0
		}
		if e.InDoubt {
			s.doubt(user.Username, 0, true)
		}
	}
	for username, held := range doubts {
		if _, wants := o.wants[username]; wants {
			s.doubt(username, held, true)
		}
	}
	before := s.owners[e.ID.key()]
	s.owners[e.ID.key()] = o
	if before != nil && len(e.Users) == 0 {
		o.left = s.leaves(before)
	}
	for username, row := range s.named {
		isChanged := before == nil || before.wants[username] != o.wants[username]
		if isChanged && !s.isWantedOnlyAs(row, o) {
			delete(s.named, username)
		}
	}
	delete(s.tried, e.ID.key()) // perhaps there are new users
}

// settledBy returns the users of whom a decision tells results, and whether they were created when nobody wanted them any more:
// whoever comes next cannot tell who did that.
func (s *seen) settledBy(d decision) map[string]bool {
	settled := map[string]bool{}
	for _, u := range d.updates {
		for username, result := range u.results {
			if result.State == Identified {
				continue
			}
			settled[username] = settled[username] || result.State == Created && !s.isWanted(username)
		}
	}
	return settled
}

// settled notes that users have results.
func (s *seen) settled(now time.Duration, usernames map[string]bool) {
	for username, isForNobody := range usernames {
		delete(s.doubts, username)
		delete(s.named, username)
		if isForNobody {
			s.doubts[username] = &seenDoubt{unwanted: now}
		}
	}
}

// leaves returns the users that an owner wants which withdraws.
func (s *seen) leaves(o *seenOwner) map[string]leftUser {
	if len(o.wants) == 0 {
		return o.left
	}
	left := map[string]leftUser{}
	for username, row := range o.wants {
		if !settles(o.told[username], row) {
			left[username] = leftUser{}
			if d := s.doubts[username]; d != nil && d.hard {
				left[username] = leftUser{true, d.held}
			}
		}
	}
	return left
}

// lost notes that the answer to a request with a user of an owner was lost.
func (o *seenOwner) lost(username string, held time.Duration) {
	if user, hasLeft := o.left[username]; hasLeft {
		o.left[username] = leftUser{true, max(user.held, held)}
	}
}

// isWantedOnlyAs reports whether owners want a user, other than a certain one, and nobody as another row.
func (s *seen) isWantedOnlyAs(row users.User, not *seenOwner) (isWanted bool) {
	for _, o := range s.owners {
		other, wants := o.wants[row.Username]
		switch {
		case !wants || settles(o.told[row.Username], other):
		case other != row:
			return false
		case o != not:
			isWanted = true
		}
	}
	return isWanted
}

// expire forgets doubts of users that nobody has wanted for long.
func (s *seen) expire(now time.Duration, running []*call) {
	for username, d := range s.doubts {
		switch isWanted := s.isWanted(username) || isIn(running, username); {
		case isWanted:
			d.unwanted = 0
		case d.unwanted > 0 && now >= max(d.unwanted+doubtKept, d.held):
			delete(s.doubts, username)
		case d.unwanted == 0:
			d.unwanted = now
		}
	}
}

func isIn(running []*call, username string) bool {
	for _, c := range running {
		for _, user := range c.request.users {
			if user.Username == username {
				return true
			}
		}
	}
	return false
}

// refuses reports whether an outcome that opens the circuit is a refusal.
func refuses(outcome alloy.Outcome) bool {
	return outcome != alloy.Unauthorized && !slices.Contains(passing, outcome)
}

// fail notes a failure that opened the circuit. It reports whether the next probe is not too soon.
func (s *seen) fail(now, began, until time.Duration, outcome alloy.Outcome, owner ownerKey, backOffs BackOffs) bool {
	f, b := &s.failure, backOffs.API
	isKeys := outcome == alloy.Unauthorized || outcome == alloy.Forbidden && !s.proven
	switch {
	case isKeys:
		b = backOffs.Key
	case refuses(outcome):
		b = backOffs.Refused
	}
	if refuses(outcome) && !isKeys && !refuses(f.outcome) { // the API does not fail any more
		*f = seenFailure{}
	}
	if f.outcome != "" && owner != f.owner {
		owner = ownerKey{}
	}
	if f.outcome, f.at, f.owner = outcome, now, owner; began < f.until {
		return until == f.until
	}
	f.interval, f.until = b.next(f.interval), until
	return until >= now+f.interval
}

// nextProbe returns when a request may begin that is a probe.
func (s *seen) nextProbe(r *request) time.Duration {
	f, owner := &s.failure, ownerKey{}
	if r.read == nil {
		owner = r.owners[0].id.key()
	}
	isKeys := f.outcome == alloy.Forbidden && !s.proven
	switch isRefused := refuses(f.outcome); {
	case isRefused && (r.read != nil || r.edit != nil && !isKeys):
		return 0
	case isRefused && !s.tried[owner], f.owner != ownerKey{} && f.owner != owner:
		return min(f.until, f.at+soloPause)
	default:
		return f.until
	}
}
