package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

func (a *account) tree() tree { return tree{a.options.Parts, a.chance} }

// isolate begins an isolation of some users.
func (a *account) isolate(now time.Duration, users []*entry, answer alloy.Answer) *isolation {
	i := newIsolation(now, users, answer, a.tree())
	a.isolations = append(a.isolations, i)
	return i
}

// setApart has a user that fails alone wait by itself.
func (a *account) setApart(now time.Duration, r *request, answer alloy.Answer) {
	i := r.isolation
	for _, e := range a.rest(r, isolated) {
		if i != nil && i.pause.lone {
			i.failed(now, []*entry{e}, answer)
			i.wait(now, a.options.BackOff.User)
		} else {
			i = newLone(now, e, answer, a.options.BackOff.User, a.tree())
			a.isolations = append(a.isolations, i)
		}
		a.tellAll(r, answer, i.pause.until, false)
	}
	if r.isolation != nil && r.isolation != i {
		r.isolation.blamed, r.isolation.failedAt = true, now
	}
}

// refused notes that the API refuses a request, whatever in it is the cause.
func (a *account) refused(now time.Duration, r *request, answer alloy.Answer) {
	users, i, asSuch := a.rest(r, isolated), r.isolation, false
	switch {
	case len(users) == 0:
		return
	case i == nil:
		i = a.isolate(now, users, answer)
		asSuch = len(r.rows) == 1 || answer.Outcome == alloy.Redirected
	case i.isPaused():
		i.push([][]*entry{users})
		asSuch = true
	default:
		asSuch = i.refused(users, answer)
	}
	if a.tellAll(r, answer, now, true); asSuch {
		a.refuseAll(now, i, true)
	}
}

// refuseAll pauses an isolation about whose users nothing can be said as long as the API refuses them. If it seems to refuse
// everybody, so do other requests.
func (a *account) refuseAll(now time.Duration, i *isolation, blocks bool) {
	words := map[*owner]alloy.Answer{} // said of a request without other owners' users
	for _, r := range i.held {
		words[r.entry.owner()] = r.answer
	}
	other := a.refusing()
	wasPaused, pending := i.isPaused(), i.all()
	i.wait(now, a.options.BackOff.Refused)
	switch {
	case wasPaused || !blocks:
	case other != nil: // one probe is enough for all
		other.push([][]*entry{pending})
		i.parts, i = nil, other
	default:
		i.pause.blocks, a.turns.untriedAt = true, 0
	}
	told := map[*owner]bool{}
	for _, e := range pending {
		o := e.owner()
		answer, alone := words[o]
		if !alone {
			answer = unspoken(i.answer)
		}
		if !told[o] {
			a.fail(o, failure{answer: answer, next: i.pause.until, attempted: true})
		}
		told[o] = true
	}
}

// sweep ends isolations of which nothing remains, and pauses those of which only users remain that were refused alone.
func (a *account) sweep(now time.Duration) {
	for _, i := range slices.Clone(a.isolations) {
		i.held = slices.DeleteFunc(i.held, func(r refusal) bool { return !r.entry.isWanted() })
		switch {
		case i.busy || len(i.all()) > 0 && (i.isPaused() || len(i.all()) > len(i.held)):
		case len(i.all()) > 0:
			a.refuseAll(now, i, !i.proven)
		default:
			a.isolations = slices.DeleteFunc(a.isolations, func(j *isolation) bool { return j == i })
			if tooLarge := i.answer.Outcome == alloy.TooLarge || i.answer.MayBeRunning(); tooLarge && !i.blamed && i.largest > 0 {
				a.size = size{i.largest, now + sizePause}
			}
		}
	}
}

// tellAll tells the owners of a request that it failed. The API's words are for a single one.
func (a *account) tellAll(r *request, answer alloy.Answer, next time.Duration, isolating bool) {
	if len(r.owners) > 1 {
		answer = unspoken(answer)
	}
	for _, o := range r.owners {
		if o.open > 0 {
			a.fail(o, failure{answer: answer, next: next, attempted: true, isolating: isolating})
		}
	}
}
