// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// result checks what an owner is told.
func (x *checks) result(k *simKey, id ID, result Result) {
	w, username := x.w, result.Sent.Username
	exists := w.api.accounts[k.account][username] != nil
	switch result.State {
	case Created:
		x.created(k, id, result)
	case Existing:
		wasDeleted := w.api.deleted[k.account][username] || k.known[username] && traitOf(result.Sent) == rejected
		if !exists && !wasDeleted && !w.api.modes.mixedAllExist && !k.seen.unmatched[username] {
			w.violated(existingExists, "%s", username)
		}
		if k.seen.doubts[username] != nil && !result.Unconfirmed {
			w.violated(doubtIsTold, "%s of %s", username, id.Name)
		}
		if k.seen.doubts[username] == nil && result.Unconfirmed {
			w.violated(doubtHasCause, "%s of %s", username, id.Name)
		}
	case Invalid:
		x.blamed(k, result)
	case Identified: // see edited
	}
}

// created checks that a user was Created. Where an answer names somebody else and nothing can be read, what the answer does
// not name counts as created.
func (x *checks) created(k *simKey, id ID, result Result) {
	w, username := x.w, result.Sent.Username
	at := slices.IndexFunc(x.answered, func(c *call) bool {
		_, named := c.answer.Named[username]
		isFor := slices.ContainsFunc(c.request.rows, func(r row) bool { return r.owner.id == id && r.user == result.Sent })
		return isFor && !named && c.answer.Outcome == alloy.Accepted && c.answer.Unmatched == 0
	})
	if at < 0 {
		if x.read == nil || !k.seen.unmatched[username] {
			w.violated(createdIsProven, "%s of %s", username, id.Name)
		}
		return
	}
	c := x.answered[at]
	if w.api.modes.echo && !c.creates[username] {
		w.violated(createdIsProven, "%s of %s: request of %v did not create it", username, id.Name, c.request.began)
	}
	if c.credited == nil {
		c.credited = map[string]ID{}
	}
	if other, twice := c.credited[username]; twice && other != id {
		w.violated(createdOnce, "%s of %s and %s by request of %v", username, id.Name, other.Name, c.request.began)
	}
	c.credited[username] = id
}

// blamed checks that a user is Invalid. The documented exceptions: users that the API names and that cannot be read are
// Invalid although they may exist; a refusal that ends between one request and the next may be blamed on a user; an API that
// skips users that exist and answers that it created them vouches for reads that lag behind, and for a quota.
func (x *checks) blamed(k *simKey, result Result) {
	w, username, trait := x.w, result.Sent.Username, traitOf(result.Sent)
	if x.read != nil {
		isUnread := result.Message != "" && w.api.isUnreadable(w.now)
		isTaken := !w.api.modes.echo && w.api.modes.reads[x.read.read.way].lag > 0
		isHidden := w.api.lists.isPartial || len(w.api.deleted[k.account]) > 0
		if trait != rejected && !isUnread && !isTaken && !isHidden {
			w.violated(blameIsJust, "%s, which the API accepts, after it was looked up", username)
		}
		return
	}
	lone := k.seen.lone[username]
	isCreation := func(c *call) bool {
		isOfSame := c.request.isolation != nil && c.request.isolation == lone.isolation
		return isOfSame && c.answer.Outcome == alloy.Accepted && len(c.answer.Named) < len(c.request.users)
	}
	isSkipped := !w.api.modes.echo && !slices.ContainsFunc(x.answered, func(c *call) bool { return len(c.creates) > 0 })
	switch {
	case !slices.ContainsFunc(x.answered, isCreation):
		w.violated(blameIsJust, "%s without a creation", username)
	case lone.row != result.Sent:
		w.violated(blameIsJust, "%s was not refused alone", username)
	case lone.cause != trait && !w.api.mayEnd(lone.cause) && !isSkipped:
		w.violated(blameIsJust, "%s was refused because of %s", username, lone.cause)
	}
}

// isUnreadable reports whether users that exist cannot be found, or could not lately. A list that failed is not read again for
// an hour.
func (a *simAPI) isUnreadable(now time.Duration) bool {
	for way, m := range a.modes.reads {
		lately := []time.Duration{singly: 10 * time.Minute, inList: listPause.Max + 10*time.Minute}[way]
		if failed := a.failedReads[way]; m.status == 0 && m.max == 0 && (failed == 0 || now-failed > lately) {
			return false
		}
	}
	return true
}

// mayEnd reports whether a cause of refusals may have ended meanwhile.
func (a *simAPI) mayEnd(cause string) bool {
	isRoom := len(a.deleted[0])+len(a.deleted[1]) > 0
	return cause == "a fault" || cause == "quota" && (!a.modes.quotaStays || isRoom)
}

// released checks that an account that lets go of an owner tells of the doubts about its users.
func (x *checks) released(k *simKey, gone released) {
	o := k.seen.owners[gone.id.key()]
	if o == nil || o.id != gone.id {
		return
	}
	owner := x.w.owner(o.id)
	for username, user := range o.left {
		if !user.inDoubt || k.seen.doubts[username] == nil {
			continue
		}
		if until, isTold := gone.doubts[username]; !isTold || user.held > max(k.worldTime(until), x.w.now) {
			x.w.violated(doubtsAreHandedOn, "%s of %s, which is held until %v", username, o.id.Name, user.held)
		}
		if owner.id() == o.id {
			owner.doubts[username] = max(owner.doubts[username], user.held)
		}
	}
	o.left = nil
}

// handedOn checks that an account is told of the doubts that an earlier one told of when it let go of the owner.
func (x *checks) handedOn(k *simKey, e submitted) {
	owner := x.w.owner(e.ID)
	if owner.id() != e.ID || e.Key == (alloy.Key{}) { // it is gone, or leaves
		return
	}
	for username, held := range owner.doubts {
		if until, isTold := e.doubts[username]; !isTold || held > max(k.worldTime(until), x.w.now) {
			x.w.violated(doubtsAreHandedOn, "to key %d: %s of %s, which is held until %v", k.number, username, owner.name, held)
		}
	}
	clear(owner.doubts)
}
