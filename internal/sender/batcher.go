// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"cmp"
	"slices"
	"time"
)

// turn is a request that may begin at some time, or, if that is later than now, when to choose again.
type turn struct {
	at   time.Duration
	form func() *request
}

// or returns the one of two turns that comes first; t if both do.
func (t turn) or(other turn) turn {
	if other.at < t.at {
		return other
	}
	return t
}

// inTurn chooses while the circuit is closed: every second request is the shared one; full slices, isolated parts,
// verification and edits take turns for the others.
func (a *account) inTurn(now time.Duration) turn {
	kinds := []func(time.Duration) turn{a.fullSlice, a.isolatedPart, a.lookUp, a.edit}
	others := turn{at: never}
	for k := range kinds {
		kind := (a.turns.last + 1 + k) % len(kinds)
		found := kinds[kind](now)
		others = others.or(turn{found.at, func() *request {
			a.turns.last, a.turns.wasShared = kind, false
			return found.form()
		}})
	}
	shared := a.shareable(now, others.at <= now)
	if a.turns.wasShared {
		return others.or(shared)
	}
	return shared.or(others)
}

// shareable finds the users of small owners that go together, once enough have gathered or the wait is over. They wait for others
// only while nothing else is to be sent.
func (a *account) shareable(now time.Duration, busy bool) turn {
	small, at := ready(now, only(a.queue.ready, func(o *owner) bool { return !a.isFull(now, o) }), (*owner).readyAt)
	gathered := 0
	for _, o := range small {
		gathered += o.waiting
	}
	t, ripe := &a.turns, now
	if t.gatherSince = min(t.gatherSince, now); gathered == 0 {
		t.gatherSince = never
		return turn{at: at}
	}
	if gathered < a.maxUsers(now) && !busy {
		ripe = max(now, t.gatherSince+a.options.Linger, t.sharedAt+a.options.SharePause)
	}
	return turn{ripe, func() *request { return a.share(now, small) }}.or(turn{at: at})
}

// share makes a request for several owners. The users of the last one are divided if that fills the request.
func (a *account) share(now time.Duration, small []*owner) *request {
	var taken []*entry
	for _, o := range small {
		if room := a.maxUsers(now) - len(taken); room > 0 {
			taken = append(taken, a.queue.take(o, room, "")...)
		}
	}
	a.turns.sharedAt, a.turns.wasShared = now, true
	return a.newRequest(now, taken, nil)
}

// isFull reports whether an owner's users fill a request, or share none.
func (a *account) isFull(now time.Duration, o *owner) bool {
	return o.waiting >= a.maxUsers(now) || a.options.Linger == 0
}

// fullSlice finds an owner whose users fill a request. None begins while the API seems to refuse all requests.
func (a *account) fullSlice(now time.Duration) turn {
	next := turn{at: never}
	if slices.ContainsFunc(a.isolations, func(i *isolation) bool { return !i.proven && !i.isPaused() }) {
		return next
	}
	for _, o := range a.queue.ready {
		if a.isFull(now, o) {
			form := func() *request { return a.newRequest(now, a.queue.take(o, a.maxUsers(now), ""), nil) }
			next = next.or(turn{max(now, o.readyAt()), form})
		}
	}
	return next
}

// isolatedPart finds the isolation whose turn it is.
func (a *account) isolatedPart(now time.Duration) turn {
	next := turn{at: never}
	for k, i := range a.isolations {
		next = next.or(turn{max(now, i.readyAt()), func() *request {
			a.isolations = append(slices.Delete(a.isolations, k, k+1), i)
			return a.newRequest(now, i.next(a.maxUsers(now)), i)
		}})
	}
	return next
}

// lookUp finds what is to be read next to verify users.
func (a *account) lookUp(now time.Duration) turn {
	due, at := a.verification.ready(now)
	if a.verification.busy || len(due) == 0 || a.verification.next(now, due).way == inList { // listTurn finds that
		return turn{at: at}
	}
	return turn{now, func() *request {
		r := a.newRequest(now, nil, nil)
		r.read, a.verification.busy = a.verification.next(now, due), true
		return r
	}}
}

func (a *account) newRequest(now time.Duration, of []*entry, i *isolation) *request {
	a.turns.running++
	a.gate.limiter.AllowN(epoch.Add(now), 1)
	r := &request{began: now, isolation: i, owners: ownersOf(of)}
	if i != nil {
		i.busy = true
	}
	for _, e := range of {
		e.place = inFlight
		r.rows, r.users = append(r.rows, row{e.claims[0], e}), append(r.users, e.user())
	}
	for _, o := range r.owners {
		o.inFlight++
	}
	return r
}

// early finds what need not wait for the next probe while the API refuses requests: a read, an edit unless the key may be the reason,
// and a user of a small owner that was not tried yet, because the refusals may be about others.
func (a *account) early(now time.Duration) turn {
	if !a.gate.refuses() {
		return turn{at: never}
	}
	next := a.lookUp(now)
	if !a.gate.rejectsKey(a.gate.answer) {
		next = next.or(a.edit(now))
	}
	isUntried := func(o *owner) bool { return o.triedAt == 0 && o.readyAt() <= now && o.waiting < a.maxUsers(now) }
	if k := slices.IndexFunc(a.queue.ready, isUntried); k >= 0 {
		form := func() *request { return a.newRequest(now, a.queue.take(a.queue.ready[k], 1, ""), nil) }
		next = next.or(turn{a.gate.passAt(true), form})
	}
	return next
}

// probe chooses while the circuit is open: one user, but not of the only owner whose requests failed if another waits, and not
// the user that failed last. Chance decides between what may go, and the reads.
func (a *account) probe(now time.Duration) turn {
	read := a.lookUp(now)
	edit, editAt := a.edits.next(now)
	owners, at := ready(now, a.queue.ready, (*owner).readyAt)
	isolations, later := ready(now, a.isolations, (*isolation).readyAt)
	at = min(at, later) // when more may go
	for _, other := range []time.Duration{read.at, editAt} {
		if other > now {
			at = min(at, other)
		}
	}
	for _, not := range []suspect{a.gate.suspect, {user: a.gate.suspect.user}, {}} {
		forms := a.probesWithout(now, not, owners, isolations)
		if read.at <= now && (len(forms) > 0 || not.owner == ownerKey{}) {
			forms = append(forms, read.form)
		}
		if edit != nil && edit.owner.id.key() != not.owner {
			forms = append(forms, func() *request { return a.newEdit(now, edit) })
		}
		if len(forms) > 0 {
			pass := a.gate.passAt(not.owner != ownerKey{})
			if pass > now { // who is ready before may go before
				pass = min(pass, at)
			}
			return turn{pass, func() *request { return forms[a.chance.IntN(len(forms))]() }}
		}
	}
	return turn{at: at}
}

// probesWithout returns probes of other users and owners: of the owner least recently tried, and of the isolation whose turn it is,
// unless that owner was not tried at all.
func (a *account) probesWithout(now time.Duration, not suspect, owners []*owner, isolations []*isolation) (forms []func() *request) {
	owners = only(owners, func(o *owner) bool {
		e := a.queue.index[not.user]
		isOnly := o.waiting == 1 && e.claimOf(o) == 0 && e.place == waiting
		return !isOnly && o.id.key() != not.owner
	})
	if len(owners) > 0 {
		o := slices.MinFunc(owners, func(one, other *owner) int { return cmp.Compare(one.triedAt, other.triedAt) })
		forms = append(forms, func() *request {
			a.chance.Shuffle(len(o.wanted), func(i, j int) { o.wanted[i], o.wanted[j] = o.wanted[j], o.wanted[i] })
			return a.newRequest(now, a.queue.take(o, 1, not.user), nil)
		})
		if o.triedAt == 0 {
			return forms
		}
	}
	fits := func(e *entry) bool { return e.user().Username != not.user && e.owner().id.key() != not.owner }
	isolations = only(isolations, func(i *isolation) bool { return slices.ContainsFunc(i.all(), fits) })
	if len(isolations) > 0 {
		i := isolations[0]
		forms = append(forms, func() *request {
			a.isolations = append(only(a.isolations, func(other *isolation) bool { return other != i }), i)
			return a.newRequest(now, i.pick(only(i.all(), fits)[:1]), i) // those that fail go to the end
		})
	}
	return forms
}
