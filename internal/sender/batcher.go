package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// untriedPause passes between two requests for owners that were not tried yet after the first one.
const untriedPause = 5 * time.Second

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

// soonest returns which of some things is ready first, and when. The first in the list is preferred if several are by now.
func soonest[T any](now time.Duration, things []T, readyAt func(T) time.Duration) (first int, at time.Duration) {
	at = never
	for k, thing := range things {
		if ready := max(now, readyAt(thing)); ready < at {
			first, at = k, ready
		}
	}
	return first, at
}

// inTurn chooses while the circuit is closed: every second request is the shared one; full slices, isolated parts and
// verification take turns for the others.
func (a *account) inTurn(now time.Duration) turn {
	kinds := []func(time.Duration) turn{a.fullSlice, a.isolatedPart, a.lookUp}
	isRefusing := a.refusing() != nil
	if isRefusing {
		kinds[0] = a.untried
	}
	others := turn{at: never}
	for k := range kinds {
		kind := (a.turns.last + 1 + k) % len(kinds)
		found := kinds[kind](now)
		others = others.or(turn{found.at, func() *request {
			a.turns.last, a.turns.wasShared = kind, false
			return found.form()
		}})
	}
	if isRefusing {
		return others
	}
	shared := a.shareable(now, others.at <= now)
	if a.turns.wasShared {
		return others.or(shared)
	}
	return shared.or(others)
}

// shareable finds the users of small owners that go together, once enough have gathered or the wait is over. Only while nothing
// else is to be sent do they linger.
func (a *account) shareable(now time.Duration, busy bool) turn {
	at, gathered := never, 0
	var small []*owner
	for _, o := range a.queue.ready {
		switch {
		case a.isFull(now, o):
		case o.readyAt() > now:
			at = min(at, o.readyAt())
		default:
			small = append(small, o)
			gathered += o.waiting
		}
		if gathered >= a.maxUsers(now) {
			break
		}
	}
	t := &a.turns
	switch {
	case gathered == 0:
		t.gatherSince = never
		return turn{at: at}
	case t.gatherSince == never:
		t.gatherSince = now
	}
	ripe := now
	if a.options.Linger > 0 && gathered < a.maxUsers(now) {
		if t.sharing {
			return turn{at: at}
		}
		if !busy {
			ripe = max(ripe, t.gatherSince+a.options.Linger)
		}
		if t.unrecorded > 0 {
			ripe = max(ripe, t.sharedAt+a.options.RecordWait)
		}
	}
	return turn{ripe, func() *request { return a.share(now, small) }}.or(turn{at: at})
}

// share makes a request for several owners. The users of one stay together if they can, because each answer is recorded once;
// one owner's are divided where that fills the request.
func (a *account) share(now time.Duration, small []*owner) *request {
	if a.options.Linger == 0 {
		small = small[:1]
	}
	var rows []row
	room := func() int { return a.maxUsers(now) - len(rows) }
	for _, whole := range []bool{true, false} {
		for _, o := range small {
			if o.waiting > 0 && room() > 0 && (o.waiting <= room() || !whole) {
				rows = append(rows, a.queue.take(o, room(), nil)...)
			}
		}
	}
	r := a.newRequest(now, rows, nil)
	r.shared, a.turns.sharing, a.turns.wasShared = true, true, true
	return r
}

// isFull reports whether an owner's users fill a request.
func (a *account) isFull(now time.Duration, o *owner) bool {
	return o.waiting >= a.maxUsers(now) && a.options.Linger > 0
}

// fullSlice finds an owner whose users fill a request. None begins while the API seems to refuse all requests.
func (a *account) fullSlice(now time.Duration) turn {
	if slices.ContainsFunc(a.isolations, func(i *isolation) bool { return !i.proven && !i.isPaused() }) {
		return turn{at: never}
	}
	k, at := soonest(now, a.queue.ready, func(o *owner) time.Duration {
		if !a.isFull(now, o) {
			return never
		}
		return o.readyAt()
	})
	return turn{at, func() *request { return a.newRequest(now, a.queue.take(a.queue.ready[k], a.maxUsers(now), nil), nil) }}
}

// untried finds one user of an owner that was not tried yet while the API refuses requests. The first owner goes at once, to see
// whether it is about a single owner; further small ones follow, some time apart.
func (a *account) untried(now time.Duration) turn {
	at := a.turns.untriedAt
	for _, o := range a.queue.ready {
		if o.triedAt == 0 && o.readyAt() <= now && (at == 0 || o.waiting < a.maxUsers(now)) {
			return turn{max(now, at), func() *request {
				a.turns.untriedAt = now + untriedPause
				return a.newRequest(now, a.queue.take(o, 1, nil), nil)
			}}
		}
	}
	return turn{at: never}
}

// isolatedPart finds the isolation whose turn it is.
func (a *account) isolatedPart(now time.Duration) turn {
	k, at := soonest(now, a.isolations, (*isolation).readyAt)
	return turn{at, func() *request {
		i := a.isolations[k]
		a.isolations = append(slices.Delete(a.isolations, k, k+1), i)
		if n := len(a.queue.ready); i.blocks && n > 0 && a.chance.IntN(2) == 0 { // perhaps only those in it are refused
			if o := a.queue.ready[a.chance.IntN(n)]; o.readyAt() <= now {
				return a.newRequest(now, a.oneOf(o, ""), i)
			}
		}
		return a.newRequest(now, rowsOf(i.next(a.maxUsers(now))), i)
	}}
}

// lookUp finds what is to be read next to verify users.
func (a *account) lookUp(now time.Duration) turn {
	due, at := a.verification.due(now)
	if a.verification.busy {
		return turn{at: never}
	}
	return turn{max(now, at), func() *request {
		r := a.newRequest(now, nil, nil)
		r.read, a.verification.busy = a.verification.next(now, due), true
		return r
	}}
}

func rowsOf(users []*entry) (rows []row) {
	for _, e := range users {
		rows = append(rows, rowOf(e))
	}
	return rows
}

func (a *account) newRequest(now time.Duration, rows []row, i *isolation) *request {
	a.turns.requests++
	a.turns.running++
	a.gate.limiter.AllowN(epoch.Add(now), 1)
	r := &request{number: a.turns.requests, began: now, rows: rows, isolation: i, users: make([]users.User, len(rows))}
	if i != nil {
		i.busy = true
	}
	for k, row := range rows {
		r.users[k], row.entry.place = row.user, inFlight
	}
	r.owners = ownersOf(rows, func(r row) *owner { return r.owner })
	for _, o := range r.owners {
		o.inFlight++
	}
	return r
}

// oneOf takes one user of an owner, chosen by chance, but not a certain one.
func (a *account) oneOf(o *owner, not string) (rows []row) {
	skip := a.chance.IntN(o.waiting)
	for ; len(rows) == 0; skip = 0 {
		rows = a.queue.take(o, 1, func(user users.User) bool {
			skip--
			return skip < 0 && user.Username != not
		})
	}
	return rows
}
