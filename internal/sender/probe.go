package sender

import (
	"slices"
	"time"
)

// probe chooses while the circuit is open: one user, but not of the only owner whose requests failed if another waits, and not
// the user that failed last. The queue, the isolations and the reads have their turn by chance, so that none keeps others waiting.
func (a *account) probe(now time.Duration) turn {
	read, at := a.lookUp(now), never
	if read.at > now {
		at = read.at
	}
	last := a.gate.last
	for _, not := range []suspect{{last, a.gate.sole.owner}, {user: last}, {}} {
		var forms []func() *request
		o, ripe := a.leastTried(now, not)
		if at = min(at, ripe); o != nil {
			forms = append(forms, func() *request { return a.newRequest(now, a.oneOf(o, not.user), nil) })
		}
		fits := func(e *entry) bool { return e.user().Username != not.user && e.owner().id.key() != not.owner }
		var ready []*isolation
		for _, i := range a.isolations {
			if i.readyAt() > now {
				at = min(at, i.readyAt())
			} else if slices.ContainsFunc(i.all(), fits) {
				ready = append(ready, i)
			}
		}
		if len(ready) > 0 {
			i := ready[a.chance.IntN(len(ready))]
			forms = append(forms, func() *request { return a.newRequest(now, rowsOf(i.pick(fits)), i) })
		}
		if read.at <= now && (len(forms) > 0 || not.owner == ownerKey{}) {
			forms = append(forms, read.form)
		}
		if len(forms) > 0 {
			pass := a.gate.passAt(not)
			if pass > now { // who is ready before may go before
				pass = min(pass, at)
			}
			return turn{max(pass, a.gate.tokensAt(now, 1)), func() *request { return forms[a.chance.IntN(len(forms))]() }}
		}
	}
	return turn{at: at}
}

// leastTried returns the owner least recently tried that has a user who waits, but for a certain owner and a certain user, and
// when the next one is ready.
func (a *account) leastTried(now time.Duration, not suspect) (least *owner, at time.Duration) {
	at = never
	e := a.queue.index[not.user]
	for _, o := range a.queue.ready {
		if o.readyAt() > now {
			at = min(at, o.readyAt())
			continue
		}
		isOnly := o.waiting == 1 && e != nil && e.place == waiting && e.claimOf(o) == 0
		if !isOnly && o.id.key() != not.owner && (least == nil || o.triedAt < least.triedAt) {
			least = o
		}
	}
	return least, at
}
