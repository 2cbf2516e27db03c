// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"maps"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// simOwned is what an owner has recorded of a user whose full name it keeps.
type simOwned struct{ userID, fullName string }

// edits returns what an owner wants of users that it has created.
func (o *simOwner) edits() (edits []Edit) {
	for _, user := range o.wants {
		owned, isOwned := o.owned[user.Username]
		if !isOwned || o.ledger[user.Username].State != Created {
			continue
		}
		if owned.userID == "" || owned.fullName != user.FullName {
			edits = append(edits, Edit{user, owned.userID})
		}
	}
	return edits
}

// absent returns the pending users of an owner that do not exist, if it keeps full names.
func (w *world) absent(o *simOwner) (usernames []string) {
	for _, user := range o.pending() {
		if o.owned != nil && w.api.accounts[o.key.account][user.Username] == nil {
			usernames = append(usernames, user.Username)
		}
	}
	return usernames
}

// own notes what a result says of whether an owner keeps a user's full name.
func (o *simOwner) own(result Result) {
	username := result.Sent.Username
	owned, isOwned := o.owned[username]
	switch {
	case o.owned == nil, result.State != Identified && result.State != Created:
	case result.State == Created && result.WasAbsent:
		o.owned[username] = simOwned{fullName: result.Sent.FullName}
	case result.State == Created, result.UserID == "", owned.userID == "" && owned.fullName != result.Sent.FullName,
		owned.userID != "" && owned.userID != result.UserID: // another user of this name
		delete(o.owned, username)
	case isOwned:
		o.owned[username] = simOwned{result.UserID, result.Sent.FullName}
	}
}

// move gives an owner another key. Users whose userId is still to be learned may be another account's there.
func (o *simOwner) move(to *simKey) {
	o.hasMoved = o.hasMoved || o.key != to
	maps.DeleteFunc(o.owned, func(_ string, owned simOwned) bool { return o.key != to && owned.userID == "" })
	o.key = to
}

// sendEdit has the API answer an edit.
func (w *world) sendEdit(k *simKey, r *request) {
	k.reading++
	latency := w.api.latency(0)
	end := func(answer alloy.Answer) {
		w.log("key %d: edit of %v is answered: %s %d", k.number, r.began, answer.Outcome, answer.StatusCode)
		k.reading--
		w.sender.post(k.shell, answered{request: r, answer: answer, found: map[string]struct{}{}})
		w.wake()
	}
	status, applies, isLost := 0, true, w.chance.Float64() < w.api.modes.lost
	if isLost {
		status, applies = w.api.anyLoss(), w.chance.IntN(2) == 0
	}
	answer := answerOf(max(status, 0), "")
	if f := w.api.fault(w.now, k.number); f != nil {
		isLost, status, answer, applies = true, f.status, f.answer(), w.chance.Float64() < f.applies
	}
	if status == timeout {
		latency = w.options.RequestTimeout
	}
	at := latency / 2
	if isLost && answer.MayBeRunning() && w.chance.IntN(3) == 0 {
		at = latency + time.Duration(w.chance.Int64N(int64(w.options.RequestTimeout-time.Second)))
	}
	w.after(at, func() {
		given := w.api.edit(w.now, k.account, r.asked, applies)
		if !isLost {
			w.after(latency-at, func() { end(given) })
		}
	})
	if isLost {
		if r.asked.UserID == "" {
			answer = w.api.readingFailure(answer)
		}
		w.after(latency, func() { end(answer) })
	}
}

// edit does and answers an edit.
func (a *simAPI) edit(now time.Duration, account int, e Edit, applies bool) alloy.Answer {
	m := a.modes.reads[singly]
	if e.UserID == "" {
		user := a.accounts[account][e.User.Username]
		switch {
		case m.status > 0:
			return a.readingFailure(answerOf(m.status, ""))
		case user == nil || user.created+m.lag > now:
			return alloy.Answer{Outcome: alloy.Absent, StatusCode: 404}
		}
		return alloy.Answer{Outcome: alloy.Found, StatusCode: 200, User: alloy.ListedUser{
			UserID: user.id, Username: e.User.Username, FullName: user.fullName,
		}}
	}
	user := a.withID(account, e.UserID)
	switch trait := traitOf(e.User); {
	case user == nil:
		return alloy.Answer{Outcome: alloy.Absent, StatusCode: 404}
	case trait == poison:
		return answerOf(500, "")
	case trait != fine:
		return answerOf(400, "no such name")
	case applies:
		user.fullName = e.User.FullName
	}
	return alloy.Answer{Outcome: alloy.Updated, StatusCode: 200}
}

// readingFailure returns what an answer means to a read.
func (a *simAPI) readingFailure(answer alloy.Answer) alloy.Answer {
	switch answer.Outcome {
	case alloy.Refused, alloy.TooLarge, alloy.Redirected, alloy.Forbidden:
		answer.Outcome = alloy.Inconclusive
	default:
	}
	return answer
}

func (a *simAPI) withID(account int, userID string) *simUser {
	for _, user := range a.accounts[account] {
		if user.id == userID {
			return user
		}
	}
	return nil
}

// edit checks an edit that begins.
func (x *checks) edit(k *simKey, r *request) {
	w, id := x.w, r.edit.owner.id
	o := k.seen.owners[id.key()]
	if o == nil || o.id != id || !slices.Contains(o.edits, r.edit.Edit) {
		w.violated(editIsWanted, "%+v of %s in request of %v", r.edit.Edit, id.Name, r.began)
	}
	user := w.api.withID(k.account, r.asked.UserID)
	// Until its userId is learned, a user may be deleted and created by somebody else, or its owner get another account's key. An API
	// that skips users that exist says that it created them.
	mayDiffer := w.api.deleted[k.account][r.asked.User.Username] || w.owner(id).hasMoved || !w.api.modes.echo
	if r.asked.UserID == "" || user == nil || mayDiffer {
		return
	}
	isCredited := func(c *call) bool { return c.credited[r.asked.User.Username] == id }
	if !slices.ContainsFunc(user.by, isCredited) {
		w.violated(editIsOwned, "%+v of %s in request of %v", r.asked, id.Name, r.began)
	}
}

// mayStayUnedited reports whether the API never does an edit.
func (a *simAPI) mayStayUnedited(account int, e Edit) bool {
	isGone := e.UserID != "" && a.withID(account, e.UserID) == nil
	return isGone || traitOf(e.User) != fine || e.UserID == "" && a.modes.reads[singly].status == 500
}

// edited checks that what owners have recorded is what the API has. A request that was made under a key that an owner left may have
// been applied later.
func (x *checks) edited() {
	for _, o := range x.w.owners {
		for _, username := range slices.Sorted(maps.Keys(o.owned)) {
			owned := o.owned[username]
			user := x.w.api.withID(o.key.account, owned.userID)
			isWanted := slices.ContainsFunc(o.wants, func(u users.User) bool { return u.Username == username && traitOf(u) == fine })
			isShared := slices.ContainsFunc(x.w.owners, func(other *simOwner) bool { // it was created, deleted and created
				return other != o && other.owned[username].userID == owned.userID
			})
			isWanted = isWanted && o.ledger[username].State == Created
			if o.isActive && isWanted && !isShared && !o.hasMoved && owned.userID != "" && user != nil && user.fullName != owned.fullName {
				x.w.violated(editIsKept, "%s of %s: %q, and not %q", username, o.name, user.fullName, owned.fullName)
			}
		}
	}
}
