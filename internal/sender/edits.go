// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// editRefusals is how many edits in a row may be refused before all of an account pause: the API may refuse edits as such.
const editRefusals = 3

// edits are those of an account. Each is a request of its own, one at a time; owners take turns. Repeating one does no harm.
type edits struct {
	options Options
	chance  *rand.Rand
	list    []*edit // in order of arrival, but those that failed are at the end
	last    *owner  // whose edit was requested last
	isBusy  bool    // a request is running
	refused int     // since one was served
	pause   time.Duration
	until   time.Duration            // of the pause
	held    map[string]time.Duration // until when the API may be working on an edit of a user whose answer was lost, by userId
}

// hold notes that the API may still be working on an edit, so that a later full name of the user must wait.
func (s *edits) hold(userID string, until time.Duration, now time.Duration) {
	if s.held == nil {
		s.held = map[string]time.Duration{}
	}
	maps.DeleteFunc(s.held, func(_ string, until time.Duration) bool { return until <= now })
	s.held[userID] = until
}

// heldUntil returns when the last hold ends.
func (s *edits) heldUntil() (last time.Duration) {
	for _, until := range s.held {
		last = max(last, until)
	}
	return last
}

// edit is an edit of an owner's user.
type edit struct {
	Edit
	owner    *owner
	due      time.Duration
	backOff  time.Duration // the last one of this edit; 0 for none
	failedAt time.Duration // the last failure; 0 for none
	tries    int           // reads that did not show the user
	missed   *alloy.Answer // that the userId is unknown: the user is read next; nil otherwise
}

// submit replaces what an owner wants edited. An edit that it still wants keeps its back-off.
func (s *edits) submit(o *owner, wanted []Edit) {
	isNew, before := make(map[Edit]bool, len(wanted)), len(s.list)
	for _, w := range wanted {
		isNew[w] = true
	}
	s.list = slices.DeleteFunc(s.list, func(e *edit) bool {
		if e.owner != o {
			return false
		}
		isWanted := isNew[e.Edit]
		delete(isNew, e.Edit)
		return !isWanted
	})
	for _, w := range wanted {
		if isNew[w] {
			s.list = append(s.list, &edit{Edit: w, owner: o})
			delete(isNew, w)
		}
	}
	o.open += len(s.list) - before
}

// toEnd lets the others go before an edit that failed.
func (s *edits) toEnd(e *edit) {
	if k := slices.Index(s.list, e); k >= 0 {
		s.list = append(slices.Delete(s.list, k, k+1), e)
	}
}

// next returns the edit that is requested next, of another owner than the last one if possible; nil if none is due. at is when the next
// one will be.
func (s *edits) next(now time.Duration) (next *edit, at time.Duration) {
	if s.isBusy {
		return nil, never
	}
	due, at := ready(now, s.list, func(e *edit) time.Duration { return max(e.due, e.owner.notBefore, s.until, s.held[e.UserID]) })
	if len(due) == 0 {
		return nil, at
	}
	return due[max(0, slices.IndexFunc(due, func(e *edit) bool { return e.owner != s.last }))], now
}

// edit finds the edit that is requested next.
func (a *account) edit(now time.Duration) turn {
	e, at := a.edits.next(now)
	return turn{at, func() *request { return a.newEdit(now, e) }}
}

func (a *account) newEdit(now time.Duration, e *edit) *request {
	r := a.newRequest(now, nil, nil)
	r.edit, r.asked, r.owners = e, e.Edit, []*owner{e.owner}
	if e.missed != nil {
		r.asked.UserID = ""
	}
	a.edits.isBusy, a.edits.last = true, e.owner
	e.owner.inFlight++
	return r
}

// wasEdited notes the answer to an edit.
func (a *account) wasEdited(now time.Duration, r *request, answer alloy.Answer) {
	e := r.edit
	a.edits.isBusy = false
	e.owner.inFlight--
	if answer.InDoubt() && r.asked.UserID != "" {
		a.lostEdit(now, e, answer)
	}
	switch again := e.failedAt > 0 && a.gate.passedAt > e.failedAt; {
	case answer.Outcome == alloy.Updated:
		a.edited(now, e, answer, Result{State: Identified, UserID: e.UserID, Sent: e.User})
	case answer.Outcome == alloy.Found && (e.missed == nil || answer.User.UserID != e.UserID):
		shown := users.User{Username: e.User.Username, FullName: answer.User.FullName}
		a.edited(now, e, answer, Result{State: Identified, UserID: answer.User.UserID, Sent: shown})
	case answer.Outcome == alloy.Deferred, a.gate.rejectsKey(answer), answer.InDoubt() && !again:
		e.failedAt = now
		a.edits.toEnd(e)
		a.gate.fail(now, r, answer)
		a.fail(e.owner, now, a.gate.next(), Attempt{Answer: answer})
	case answer.InDoubt(): // it fails although others pass
		a.gate.failAlone(r)
		a.putOff(now, e, answer, a.options.BackOff.User)
	case answer.Outcome == alloy.Absent && r.asked.UserID != "":
		e.missed = &answer
	case e.missed != nil: // the userId is right, or nobody has it
		answer, e.missed = *e.missed, nil
		a.editRefused(now, e, answer)
	case r.asked.UserID == "":
		a.unseen(now, e, answer)
	default:
		a.editRefused(now, e, answer)
	}
}

// lostEdit notes that the answer to an edit was lost: nobody knows which full name the user has. Its owner is told of none, so that it
// wants one to be written even if that is the one before.
func (a *account) lostEdit(now time.Duration, e *edit, answer alloy.Answer) {
	if answer.MayBeRunning() {
		a.edits.hold(e.UserID, now+a.options.RequestTimeout, now)
	}
	a.news(e.owner).results[e.User.Username] = Result{State: Identified, UserID: e.UserID, Sent: users.User{Username: e.User.Username}}
}

// edited ends an edit.
func (a *account) edited(now time.Duration, e *edit, answer alloy.Answer, result Result) {
	a.gate.pass(now, answer)
	a.edits.refused, a.edits.pause, a.edits.until = 0, 0, 0
	a.endEdit(e, result)
	a.news(e.owner).served = true
	isPutOff := slices.ContainsFunc(a.edits.list, func(other *edit) bool { return other.owner == e.owner && other.backOff > 0 })
	isSearched := slices.ContainsFunc(a.isolations, func(i *isolation) bool { return slices.Contains(ownersOf(i.all()), e.owner) })
	if !isPutOff && !isSearched {
		a.recover(e.owner)
	}
}

// endEdit gives the owner of an edit its result. It may have dropped the edit meanwhile.
func (a *account) endEdit(e *edit, result Result) {
	if k := slices.Index(a.edits.list, e); k >= 0 {
		a.edits.list = slices.Delete(a.edits.list, k, k+1)
		e.owner.open--
	}
	a.news(e.owner).results[e.User.Username] = result
}

// unseen notes that the user of an edit could not be read. Reads may lag behind the creation; in the end its userId stays unknown.
func (a *account) unseen(now time.Duration, e *edit, answer alloy.Answer) {
	e.due = now + triesApart*a.options.SecondRead
	if e.tries++; e.tries == maxTries {
		a.endEdit(e, Result{State: Identified, Sent: e.User})
	} else {
		a.fail(e.owner, now, e.due, Attempt{Answer: answer})
	}
}

// editRefused notes that the API refuses an edit.
func (a *account) editRefused(now time.Duration, e *edit, answer alloy.Answer) {
	s := &a.edits
	if s.refused++; s.refused >= editRefusals {
		s.pause = a.options.BackOff.Refused.next(s.pause)
		s.until = now + jitter(s.chance, s.pause)
	}
	a.putOff(now, e, answer, a.options.BackOff.Refused)
}

// putOff has an edit wait, and tells its owner why.
func (a *account) putOff(now time.Duration, e *edit, answer alloy.Answer, backOff BackOff) {
	e.failedAt, e.backOff = now, backOff.next(e.backOff)
	e.due = now + jitter(a.edits.chance, e.backOff)
	a.edits.toEnd(e)
	a.fail(e.owner, now, max(e.due, a.edits.until), Attempt{Answer: answer})
}
