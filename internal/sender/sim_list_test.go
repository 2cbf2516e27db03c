// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"maps"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// listMode is how the list of all users works, beside what reads do.
type listMode struct {
	isPartial bool          // it never shows some users
	cut       float64       // it is cut
	latency   time.Duration // at most
}

// simWish is an owner that waits for a list, to see which of its users still exist.
type simWish struct {
	owner *simOwner
	id    ID
	since time.Time
}

// ask has an owner ask for a list of its key's account, if that has changed since it last did.
func (w *world) ask(o *simOwner, age time.Duration) {
	if !o.isActive {
		return
	}
	w.start()
	k := o.key
	wish := simWish{o, o.id(), k.shell.timeOf(k.accountTime(w.now) - age)}
	w.log("%s asks for a list of key %d", o.name, k.number)
	if !w.hasList(k, wish) {
		k.wishes = append(k.wishes, wish)
	}
	w.wake()
}

// listed is told that a wish for a list of a key is over.
func (w *world) listed(fingerprint string) {
	k := w.keys[slices.IndexFunc(w.keys, func(k *simKey) bool { return k.fingerprint == fingerprint })]
	w.isChanged = true
	w.after(time.Millisecond, func() {
		k.wishes = only(k.wishes, func(wish simWish) bool { return !w.hasList(k, wish) })
		w.wake()
	})
}

// hasList reports whether there is a list that an owner may use, which it does.
func (w *world) hasList(k *simKey, wish simWish) bool {
	l := w.sender.List(k.key, wish.since, false)
	if l == nil {
		return false
	}
	o := wish.owner
	w.log("%s has a list of %d users: %s", o.name, l.Len(), l.Answer().Explain())
	if l.Began().Before(wish.since) {
		w.violated(wishesEnd, "%s has a list that is too old", o.name)
	}
	if o.id() != wish.id || o.key != k || !o.isActive {
		return true
	}
	w.checks.listing(k, l)
	var absent, known []string
	for _, username := range slices.Sorted(maps.Keys(o.ledger)) {
		if state := o.ledger[username].State; state == Created || state == Existing {
			if known = append(known, username); l.IsUsable() && !l.Has(username) {
				absent = append(absent, username)
			}
		}
	}
	switch {
	case l.IsUsable():
		known = nil
	case w.chance.IntN(4) == 0: // it asks the API for each
		absent = known
	default:
		return true
	}
	w.log("%s takes for absent: %s", o.name, absent)
	for _, username := range absent {
		delete(o.ledger, username)
	}
	for _, username := range known {
		k.known[username] = true
	}
	o.known = known
	w.submit(o, false, false, false)
	o.known = nil
	return true
}

// listing checks a list that an owner has.
func (x *checks) listing(k *simKey, l *Listing) {
	api, began := x.w.api, k.worldTime(k.shell.accountTime(l.Began()))
	if !l.IsUsable() {
		return
	}
	for username, at := range k.told {
		if at > began && !l.Has(username) {
			x.w.violated(listIsCurrent, "key %d: %s", k.number, username)
		}
	}
	if api.lists.isPartial || api.modes.reads[inList].lag > 0 {
		return
	}
	for username, user := range api.accounts[k.account] {
		if user.created <= began && !l.Has(username) {
			x.w.violated(listIsComplete, "key %d: %s", k.number, username)
		}
	}
}

// listBegins checks a list that begins.
func (x *checks) listBegins(k *simKey, r *request) {
	w := x.w
	if k.list != nil || w.listing != k {
		w.violated(oneListAtATime, "key %d", k.number)
	}
	if w.now < k.noList {
		w.violated(listsAreBounded, "key %d: list of %v, %v too soon", k.number, r.began, k.noList-w.now)
	}
	if !k.seen.proven && len(k.running)+k.reading > 0 {
		w.violated(parallelIsBounded, "list of %v", r.began)
	}
}

// listEnds notes when the next list may begin.
func (x *checks) listEnds(k *simKey, answer alloy.Answer) {
	switch {
	case answer.RetryAfter > 0: // the circuit is open
	case answer.Outcome == alloy.Inconclusive:
		k.noList = x.w.now + listPause.Min
	case answer.InDoubt():
		k.noList = x.w.now + x.w.options.BackOff.API.Min
	}
}

// offerListSlot gives the slot for lists to one of the keys that want it.
func (w *world) offerListSlot() {
	if w.listing != nil {
		return
	}
	waiting := only(w.keys, func(k *simKey) bool { return k.wantsListSlot })
	if len(waiting) == 0 {
		return
	}
	k := waiting[w.chance.IntN(len(waiting))]
	w.listing = k
	w.after(w.delay(w.slotDelay), func() {
		if !k.wantsListSlot {
			w.listing = nil
			w.offerListSlot()
			return
		}
		w.step(k, []any{granted{isForList: true}})
		w.pump(k, false)
	})
}

// sendList has the API answer a list.
func (w *world) sendList(k *simKey, r *request) {
	shell := k.shell
	l := w.sender.beginList(shell, r)
	latency := w.api.latency(0)
	if most := w.api.lists.latency; most > 0 {
		latency += time.Duration(w.chance.Int64N(int64(most)))
	}
	k.list = r
	end := func(answer alloy.Answer, shown []string) {
		found := map[string]struct{}{}
		for _, username := range shown {
			l.shown.add(digestOf(username))
			if _, wanted := r.read.wanted[username]; wanted {
				found[username] = struct{}{}
			}
		}
		l.finish(answer)
		w.log("key %d: list of %v is answered: %s, %d users", k.number, r.began, answer.Explain(), len(shown))
		k.list, w.listing = nil, nil
		w.checks.listEnds(k, answer)
		w.sender.post(shell, answered{request: r, answer: answer, found: found, listing: l, lags: l.lags()})
		w.wake()
		w.offerListSlot()
	}
	if f := w.api.fault(w.now, k.number); f != nil {
		w.after(latency, func() { end(w.api.failRead(w.now, r, f), nil) })
		return
	}
	w.after(latency/2, func() {
		answer, shown := w.api.list(w.now, k.account)
		w.after(latency-latency/2, func() { end(answer, shown) })
	})
}

// list answers the list of all users.
func (a *simAPI) list(now time.Duration, account int) (answer alloy.Answer, shown []string) {
	m := a.modes.reads[inList]
	for _, username := range slices.Sorted(maps.Keys(a.accounts[account])) {
		isHidden := a.lists.isPartial && username[len(username)-1]%3 == 0
		if a.accounts[account][username].created+m.lag <= now && !isHidden {
			shown = append(shown, username)
		}
	}
	switch {
	case m.status == 403, m.status == 404:
		return alloy.Answer{Outcome: alloy.Inconclusive, StatusCode: m.status}, nil
	case m.status > 0:
		return answerOf(m.status, ""), nil
	case m.max > 0 && len(a.accounts[account]) > m.max:
		return answerOf(200, "the list is too long"), nil
	case a.chance.Float64() < a.lists.cut:
		a.failedReads[inList] = now
		return answerOf(200, "cut"), shown[:len(shown)/2]
	default:
		return alloy.Answer{Outcome: alloy.Listed, StatusCode: 200}, shown
	}
}

// remove deletes users of an account, without anybody being told.
func (w *world) remove(account int) {
	for _, username := range slices.Sorted(maps.Keys(w.api.accounts[account])) {
		if w.chance.IntN(4) == 0 {
			w.log("account %d: %s is deleted", account, username)
			delete(w.api.accounts[account], username)
			w.api.deleted[account][username] = true
		}
	}
}

// drawLists plans what concerns lists.
func (w *world) drawLists(chaos time.Duration) {
	chance := w.chance
	w.api.lists.isPartial = chance.IntN(8) == 0
	if chance.IntN(6) == 0 {
		w.api.lists.cut = chance.Float64()
	}
	if chance.IntN(4) == 0 {
		w.api.lists.latency = 4 * time.Minute
	}
	for range chance.IntN(8) {
		o, age := w.owners[chance.IntN(len(w.owners))], time.Duration(chance.IntN(2))*time.Minute
		w.at(w.delay(chaos), func() { w.ask(o, age) })
	}
	if chance.IntN(3) == 0 {
		for range 1 + chance.IntN(3) {
			w.at(w.delay(chaos), func() { w.remove(w.chance.IntN(len(w.api.accounts))) })
		}
	}
}
