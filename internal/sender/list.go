// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"math/rand/v2"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	// listKept is how long a list is kept after it was last asked for.
	listKept = 2 * time.Minute
	// listTries is how often a list is tried that fails or is cut, with the back-off of a failing API: four minutes by default.
	listTries = 8
	// listPauseRatio is the least ratio of the pause after a list that could not be read to the time that reading it took.
	listPauseRatio = 100
)

// listPause is the time until the list of all users is read again after it was refused, too long or too slow.
var listPause = BackOff{time.Minute, time.Hour}

// lists decides when the list of all users of an account is read: when somebody wishes for one, or to verify many users. One is
// read at a time, beside the other requests of the key, as it may take minutes.
type lists struct {
	running      *request      // the list that is being read
	wished       time.Duration // somebody wishes for a list that begins then or later; 0 for nobody
	serving      time.Duration // that wish when the running list began, or a later one that it fulfils
	keptUntil    time.Duration // the last list that was wished for is forgotten then; 0 for none
	failures     int           // in a row that may pass by themselves,
	backOff      time.Duration // the last one after these,
	notBefore    time.Duration // and until then
	pause        time.Duration // the last one after a list that cannot be read; 0 once one was read
	pausedUntil  time.Duration
	obstacle     alloy.Answer  // why
	partialUntil time.Duration // nobody is given a list until then, because one turned out to be partial
}

// wantList notes that somebody asks for a list. Many wishes are fulfilled by one list.
func (a *account) wantList(now time.Duration, e wantList) {
	l, since := &a.lists, min(max(e.since, 1), now)
	a.gate.proven = a.gate.proven || e.accepted
	switch {
	case e.isKept:
		l.keptUntil = now + listKept
	case l.running != nil && l.running.began >= since:
		l.serving = max(l.serving, since)
	default:
		l.wished = max(l.wished, since)
	}
}

// endWish ends a wish while it is known that no list can be read.
func (a *account) endWish(now time.Duration) {
	l := &a.lists
	end := listEnd{began: now, isWished: true}
	switch {
	case l.wished == 0, l.running != nil:
		return
	case now < l.partialUntil:
		end.answer = partial
	case now < l.pausedUntil:
		end.answer = l.obstacle
	case a.gate.rejectsKey(a.gate.answer) && now < a.gate.next():
		end.answer = a.gate.answer
	default:
		return
	}
	l.wished = 0
	a.endList(now, end)
}

func (a *account) endList(now time.Duration, end listEnd) {
	if a.told.listed = &end; end.isWished {
		a.lists.keptUntil = now + listKept
	}
}

// forgetList reports whether the list that is kept is to be forgotten, and when that will be.
func (l *lists) forget(now time.Duration) (forgets bool, at time.Duration) {
	switch {
	case l.keptUntil == 0:
		return false, never
	case l.keptUntil > now:
		return false, l.keptUntil
	default:
		l.keptUntil = 0
		return true, never
	}
}

// mayRead reports whether nothing is known that keeps a list from being read.
func (l *lists) mayRead(now time.Duration) bool { return now >= max(l.notBefore, l.pausedUntil) }

// isSoon reports whether a list may be read soon, but not yet.
func (l *lists) isSoon(now time.Duration) bool { return now >= l.pausedUntil && now < l.notBefore }

// listTurn finds when a list may begin; other is the next other request. While the API fails a list goes beside each probe at most,
// and has a back-off of its own. Until the key is proven it waits for the end of other requests, and they go first.
func (a *account) listTurn(now time.Duration, other turn) turn {
	l, read := &a.lists, a.verification.nextList(now)
	if a.turns.stopped || l.running != nil || l.wished == 0 && read == nil {
		return turn{at: never}
	}
	at := max(now, l.notBefore, a.gate.asked)
	switch isQuiet, isOpen := a.turns.running == 0, a.gate.isOpen(); {
	case !a.gate.proven && (!isQuiet || !isOpen && other.at <= now):
		return turn{at: never}
	case isOpen && !a.gate.refuses(): // else early, as other reads
		at = max(at, a.gate.until)
	}
	if at <= now {
		at = a.gate.tokensAt(now, 1)
	}
	return turn{at, func() *request { return a.newList(now, read) }}
}

func (a *account) newList(now time.Duration, forChecks *read) *request {
	a.gate.limiter.AllowN(epoch.Add(now), 1)
	r := &request{began: now, read: forChecks}
	if forChecks != nil {
		a.verification.busy = true
	} else {
		r.read = a.verification.list()
	}
	l := &a.lists
	l.running, l.serving, l.wished = r, l.wished, 0
	return r
}

// wasListed notes what the answer to a list means.
func (a *account) wasListed(now time.Duration, e answered) {
	l := &a.lists
	if e.answer.Outcome == alloy.Listed {
		l.failures, l.backOff, l.pause = 0, 0, 0
	}
	isFinal := true
	switch isFailure := a.isFailure(e.answer); {
	case a.gate.rejectsKey(e.answer):
	case isFailure: // the circuit opens
		isFinal = false
	case e.answer.Outcome != alloy.Listed:
		isFinal = l.failed(now, e.request, e.answer, a.options, a.chance)
	}
	a.wasRead(now, e.request, e.answer, e.found)
	if e.lags {
		e.answer, l.notBefore = lagging, now+a.options.SecondRead
	}
	a.endList(now, listEnd{began: e.request.began, answer: e.answer, listing: e.listing, isWished: isFinal && l.serving > 0})
	if !isFinal {
		l.wished = max(l.wished, l.serving)
	}
	l.running, l.serving = nil, 0
}

// failed notes that a list could not be read, and reports whether it will not be for long. A failure that took long is not
// repeated soon, whatever it was.
func (l *lists) failed(now time.Duration, r *request, answer alloy.Answer, options Options, chance *rand.Rand) (isFinal bool) {
	took := now - r.began
	if l.failures++; answer.InDoubt() && took < options.RequestTimeout && l.failures < listTries {
		l.backOff = options.BackOff.API.next(l.backOff)
		l.notBefore = now + jitter(chance, l.backOff)
		return false
	}
	l.pause = min(max(listPause.next(l.pause), listPauseRatio*took), listPause.Max)
	l.pausedUntil, l.obstacle = now+l.pause, answer
	return true
}

// wasPartial notes that a list lacked a user that exists: others will too. Verification trusts no list without a witness anyway.
func (l *lists) wasPartial(now time.Duration) {
	l.partialUntil = now + listPause.Max
}
