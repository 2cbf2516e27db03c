package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// probe chooses while the circuit is open: one user, but not the one that failed last if another waits. The queue, the isolations
// and the reads have their turn by chance, so that none of them keeps the others waiting.
func (a *account) probe(now time.Duration) (former, time.Duration) {
	var formers []former
	read, at := a.lookUp(now)
	if read != nil {
		formers = append(formers, read)
	}
	for _, not := range []string{a.gate.last, ""} {
		o, ripe := a.leastTried(now, not)
		if at = min(at, ripe); o != nil {
			formers = append(formers, func() *request { return a.newRequest(now, a.oneOf(o, not), nil) })
		}
		fits := func(e *entry) bool { return e.user().Username != not }
		var ready []*isolation
		for _, i := range a.isolations {
			if at = min(at, i.readyAt()); i.readyAt() <= now && slices.ContainsFunc(i.all(), fits) {
				ready = append(ready, i)
			}
		}
		if len(ready) > 0 {
			i := ready[a.chance.IntN(len(ready))]
			formers = append(formers, func() *request { return a.newRequest(now, rowsOf(i.pick(fits)), i) })
		}
		if len(formers) > 0 {
			return func() *request { return formers[a.chance.IntN(len(formers))]() }, a.gate.passAt(not == a.gate.last)
		}
	}
	return nil, at
}

// leastTried returns the owner least recently tried that has a user who waits, but for a certain one, and when the next one is
// ready.
func (a *account) leastTried(now time.Duration, not string) (least *owner, at time.Duration) {
	at = never
	e := a.queue.index[not]
	for _, o := range a.queue.ready {
		at = min(at, o.readyAt())
		isOnly := o.waiting == 1 && e != nil && e.place == waiting && e.claimOf(o) == 0
		if !isOnly && o.readyAt() <= now && (least == nil || o.triedAt < least.triedAt) {
			least = o
		}
	}
	return least, at
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
