package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// untriedPause passes between two requests for owners that were not tried yet after the first one.
const untriedPause = 5 * time.Second

// Kinds of requests that take turns beside the shared one.
const (
	fullSlice = iota
	isolatedPart
	lookUp
	kinds
)

// former makes the next request.
type former func() *request

// choose decides which request is next, and when it may begin. There is none if former is nil; at is then when to choose again.
func (a *account) choose(now time.Duration) (form former, at time.Duration) {
	a.queue.prune()
	parallel := a.options.RequestsPerKey
	if !a.gate.proven || a.gate.isOpen() {
		parallel = 1
	}
	if a.turns.stopped || a.turns.running >= parallel {
		return nil, never
	}
	if a.gate.isOpen() {
		form, at = a.probe(now)
	} else {
		form, at = a.inTurn(now)
	}
	if form == nil {
		return nil, at
	}
	if at = max(at, a.gate.tokenAt(now)); at > now {
		form = nil
	}
	return form, at
}

// inTurn chooses while the circuit is closed: every second request is the shared one; full slices, isolated parts and
// verification take turns for the others.
func (a *account) inTurn(now time.Duration) (former, time.Duration) {
	if a.gate.asked > now {
		return nil, a.gate.asked
	}
	at, busy := never, false
	var others [kinds]former
	finders := [kinds]func(time.Duration) (former, time.Duration){a.fullSlice, a.isolatedPart, a.lookUp}
	refusing := a.refusing()
	if refusing != nil {
		finders[fullSlice] = a.untried
	}
	for kind, find := range finders {
		var ripe time.Duration
		others[kind], ripe = find(now)
		at, busy = min(at, ripe), busy || others[kind] != nil
	}
	var shared former
	if refusing == nil {
		var ripe time.Duration
		shared, ripe = a.shareable(now, busy)
		at = min(at, ripe)
	}
	for turn := range kinds {
		kind := (a.turns.last + 1 + turn) % kinds
		if form := others[kind]; form != nil && (shared == nil || a.turns.wasShared) {
			return func() *request {
				a.turns.last, a.turns.wasShared = kind, false
				return form()
			}, now
		}
	}
	if shared == nil {
		return nil, at
	}
	return func() *request {
		a.turns.wasShared = true
		return shared()
	}, now
}

// shareable finds the users of small owners that go together, once enough have gathered or the wait is over. Only while nothing
// else is to be sent do they linger.
func (a *account) shareable(now time.Duration, busy bool) (former, time.Duration) {
	at, gathered := never, 0
	var small []*owner
	for _, o := range a.queue.ready {
		switch {
		case o.waiting >= a.maxUsers(now) && a.options.Linger > 0:
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
	if gathered == 0 {
		t.gatherSince = never
		return nil, at
	}
	if t.gatherSince == never {
		t.gatherSince = now
	}
	ripe := now
	switch {
	case a.options.Linger == 0 || gathered >= a.maxUsers(now):
	case t.sharing:
		return nil, at
	default:
		if !busy {
			ripe = t.gatherSince + a.options.Linger
		}
		if t.unrecorded > 0 {
			ripe = max(ripe, t.sharedAt+a.options.RecordWait)
		}
	}
	if ripe > now {
		return nil, min(at, ripe)
	}
	return func() *request { return a.share(now, small) }, now
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
	r.shared, a.turns.sharing = true, true
	return r
}

// fullSlice finds an owner whose users fill a request. None begins while the API seems to refuse all requests.
func (a *account) fullSlice(now time.Duration) (former, time.Duration) {
	at := never
	if slices.ContainsFunc(a.isolations, func(i *isolation) bool { return !i.proven && !i.isPaused() }) {
		return nil, never
	}
	for _, o := range a.queue.ready {
		if o.waiting < a.maxUsers(now) || a.options.Linger == 0 {
			continue
		}
		if at = min(at, o.readyAt()); o.readyAt() <= now {
			return func() *request { return a.newRequest(now, a.queue.take(o, a.maxUsers(now), nil), nil) }, now
		}
	}
	return nil, at
}

// untried finds one user of an owner that was not tried yet while the API refuses requests. The first owner goes at once, to see
// whether it is about a single owner; further small ones follow, some time apart.
func (a *account) untried(now time.Duration) (former, time.Duration) {
	at := a.turns.untriedAt
	for _, o := range a.queue.ready {
		if o.triedAt > 0 || at > 0 && o.waiting >= a.maxUsers(now) || o.readyAt() > now {
			continue
		}
		if at > now {
			return nil, at
		}
		return func() *request {
			a.turns.untriedAt = now + untriedPause
			return a.newRequest(now, a.queue.take(o, 1, nil), nil)
		}, now
	}
	return nil, never
}

// isolatedPart finds the isolation whose turn it is.
func (a *account) isolatedPart(now time.Duration) (former, time.Duration) {
	at := never
	for k, i := range a.isolations {
		if at = min(at, i.readyAt()); i.readyAt() <= now {
			return func() *request {
				a.isolations = append(slices.Delete(a.isolations, k, k+1), i)
				if n := len(a.queue.ready); i.pause.blocks && n > 0 && a.chance.IntN(2) == 0 { // perhaps only those in it are refused
					if o := a.queue.ready[a.chance.IntN(n)]; o.readyAt() <= now {
						return a.newRequest(now, a.oneOf(o, ""), i)
					}
				}
				return a.newRequest(now, rowsOf(i.next(a.passedAt, a.maxUsers(now))), i)
			}, now
		}
	}
	return nil, at
}

func rowsOf(users []*entry) []row {
	rows := make([]row, len(users))
	for k, e := range users {
		rows[k] = row{e, e.owner(), e.user()}
	}
	return rows
}

// lookUp finds what is to be read next to verify users.
func (a *account) lookUp(now time.Duration) (former, time.Duration) {
	due, at := a.verification.due(now)
	switch {
	case a.verification.busy:
		return nil, never
	case len(due) == 0:
		a.verification.askWitness = false
		return nil, at
	}
	return func() *request {
		r := a.newRequest(now, nil, nil)
		r.read, a.verification.busy = a.verification.next(now, due), true
		return r
	}, now
}

// newRequest begins a request.
func (a *account) newRequest(now time.Duration, rows []row, i *isolation) *request {
	a.turns.requests++
	a.turns.running++
	a.gate.begin(now)
	r := &request{number: a.turns.requests, began: now, rows: rows, isolation: i, users: make([]users.User, len(rows))}
	if i != nil {
		i.busy = true
	}
	seen := map[*owner]bool{}
	for k, row := range rows {
		r.users[k], row.entry.place = row.user, inFlight
		if !seen[row.owner] {
			seen[row.owner] = true
			r.owners = append(r.owners, row.owner)
			row.owner.inFlight++
		}
	}
	return r
}
