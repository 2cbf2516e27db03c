package sender

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// maxSingleLooks is the most users that are looked for one by one; the list of all users is asked for more. One list of a
// large account costs the API about as much as some dozens of single reads.
const maxSingleLooks = 20

// carry works on a ticket until nothing is left to do, or the sender stops.
func (s *Sender) carry(t *ticket) {
	for {
		s.mu.Lock()
		next := t.next(time.Now())
		if next.isZero() || s.stopped {
			t.active = false
			s.drop(t)
			s.mu.Unlock()
			return
		}
		if next.send && t.search == nil {
			s.join(t)
			next = step{change: true}
		} else if next.send {
			if other := s.pools[t.lane.fingerprint].carrying(t.search.next()); other != nil {
				other.waiters = append(other.waiters, t)
				next = step{change: true}
			}
		}
		s.mu.Unlock()
		if next.change || !next.at.IsZero() {
			s.wait(t, next.at)
			continue
		}
		switch e, f := s.depart(t); {
		case f != nil:
			s.fly(f)
		case e != nil:
			s.look(t, e)
			s.notify(t.id)
		}
	}
}

// wait returns at a time, or before when the ticket has changed or the sender stops; the zero time never comes.
func (s *Sender) wait(t *ticket, at time.Time) {
	var timer <-chan time.Time
	if !at.IsZero() {
		timer = time.After(time.Until(at))
	}
	select {
	case <-timer:
	case <-t.changed:
	case <-s.stop:
	}
}

// depart waits for a place in the ticket's lane, and then decides what it looks for, or which part of a search it sends: while
// it waited, the owner may have changed its mind. It returns nil when nothing is to be sent now; else the place must be left,
// but for the list, which takes its own.
func (s *Sender) depart(t *ticket) (*errand, *flight) {
	s.mu.Lock()
	e := t.errand()
	if next := t.next(time.Now()); len(next.looks) > maxSingleLooks {
		e.looks = next.looks
		t.running++
		s.mu.Unlock()
		return e, nil
	}
	s.mu.Unlock()
	rejection, ok := e.lane.enter(s.stop, e.elsewhere)
	if !ok {
		return nil, nil
	}
	s.mu.Lock()
	if rejection != nil {
		s.reject(t, e, rejection)
		s.mu.Unlock()
		s.notify(t.id)
		return nil, nil
	}
	defer s.mu.Unlock()
	next, p := t.next(time.Now()), s.pools[e.lane.fingerprint]
	switch {
	case t.lane != e.lane || s.stopped: // nothing of this is to be sent any more
	case len(next.looks) > 0:
		e.generation, e.looks = t.generation, next.looks[:min(len(next.looks), maxSingleLooks)]
		t.running++
		return e, nil
	case next.send && t.search != nil && p.carrying(t.search.next()) == nil:
		e.generation, e.search = t.generation, t.search
		f := p.newFlight()
		f.board(t, e, t.search.next())
		return e, f
	}
	e.lane.leave(alloy.Answer{})
	return nil, nil
}

// take notes what an answer to POST /users/batch means for each user of the request.
func (s *Sender) take(t *ticket, e *errand, answer alloy.Answer) {
	switch answer.Outcome {
	case alloy.Accepted, alloy.NoneValid, alloy.AllExist:
		s.settle(t, e, answer)
		if e.search != nil {
			t.invalidate(e.search.accepted(), e.search.refusal.Message)
		}
	case alloy.TooLarge:
		if !s.split(t, e, answer) {
			return
		}
	case alloy.Refused:
		if !s.searchOn(t, e, answer) {
			return
		}
	default:
		if answer.InDoubt() {
			t.doubt(e.batch)
		}
		s.fail(t, e, answer)
		return
	}
	t.unwant()
	switch answer.Outcome {
	case alloy.Refused, alloy.TooLarge: // proves nothing of the key
		t.news()
	default:
		t.answered(e)
	}
	if t.search == nil || t.search != e.search {
		return
	}
	switch {
	case t.search.isDone():
		t.search = nil
		t.forgive()
	case t.search.isExhausted():
		// The next one begins with the whole rest, and a new control: meanwhile the API may refuse for another reason.
		t.search = nil
		t.pause(e, e.search.refusal, time.Now().Add(s.options.SearchPause+spread(s.options.SearchPause)))
	}
}

// settle notes the users of a request that the API accepted as such.
func (s *Sender) settle(t *ticket, e *errand, answer alloy.Answer) {
	wanted := t.wanted()
	for _, user := range e.batch {
		_, named := answer.Named[user.Username]
		_, stillWanted := wanted[user.Username]
		switch {
		case answer.Outcome == alloy.AllExist:
			t.settle(user, Existing)
		case answer.Outcome == alloy.Accepted && !named:
			t.settle(user, Created)
		case stillWanted && t.lane == e.lane:
			t.looks[user.Username] = &look{user: user}
		}
	}
}

// split takes a request apart that was too large. It returns false when the owner has changed its mind since.
func (s *Sender) split(t *ticket, e *errand, answer alloy.Answer) bool {
	switch {
	case e.search != nil:
		e.search.refusal = answer
		t.invalidate(e.search.tooLarge(), answer.Message)
	case len(e.batch) == 1:
		t.invalidate(e.batch, answer.Message)
	case e.lane == t.lane && e.generation == t.generation:
		t.search = newSplit(e.batch, userControls)
	default:
		return false
	}
	return true
}

// searchOn searches the users for which a request was refused. It returns false when nothing can be said of any user: then the
// ticket has failed.
func (s *Sender) searchOn(t *ticket, e *errand, answer alloy.Answer) bool {
	if e.search == nil {
		if len(e.batch) == 1 || e.lane != t.lane || e.generation != t.generation {
			s.fail(t, e, answer)
			return false
		}
		t.search = newSearch(e.batch, userControls)
		t.search.refusal = answer
		return true
	}
	e.search.refusal = answer
	refused, ok := e.search.refused()
	t.invalidate(refused, answer.Message)
	if !ok {
		if t.search == e.search {
			t.search = nil
		}
		s.fail(t, e, answer)
	}
	return ok
}

// look finds out which of the users that were named invalid exist.
func (s *Sender) look(t *ticket, e *errand) {
	var found, absent []*look
	var failure *alloy.Answer
	undecided := e.looks
	if len(e.looks) <= maxSingleLooks {
		found, absent, undecided, failure = s.lookOneByOne(e)
	}
	if len(undecided) > 0 && failure == nil {
		var foundInList, absentInList []*look
		foundInList, absentInList, failure = s.lookInList(e, undecided)
		found, absent = append(found, foundInList...), append(absent, absentInList...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.running--
	s.conclude(t, e, found, absent, failure)
}

// lookOneByOne asks for each user, and leaves the place in the lane. What is undecided is for the list.
func (s *Sender) lookOneByOne(e *errand) (found, absent, undecided []*look, failure *alloy.Answer) {
	answer := alloy.Answer{}
	defer func() { e.lane.leave(answer) }()
	for i, l := range e.looks {
		if i > 0 && !e.lane.pace(s.stop, e.elsewhere) {
			return found, absent, nil, nil
		}
		switch answer = s.api.GetUser(context.Background(), e.lane.key, l.user.Username); answer.Outcome {
		case alloy.Found:
			found = append(found, l)
		case alloy.Absent:
			absent = append(absent, l)
		case alloy.Inconclusive:
			undecided = append(undecided, l)
		default:
			return found, absent, nil, &answer
		}
	}
	return found, absent, undecided, nil
}

// lookInList asks for all users of the account. When the sender stops, nothing is found and nothing absent.
func (s *Sender) lookInList(e *errand, looks []*look) (found, absent []*look, failure *alloy.Answer) {
	usernames := make([]string, len(looks))
	for i, l := range looks {
		usernames[i] = l.user.Username
	}
	exist, answer, ok := e.lane.findAll(context.Background(), s.api, s.stop, e.elsewhere, usernames)
	if !ok {
		return nil, nil, nil
	}
	listed := answer.Outcome == alloy.Listed
	for _, l := range looks {
		if _, exists := exist[l.user.Username]; exists {
			found = append(found, l)
		} else if listed {
			absent = append(absent, l)
		}
	}
	if !listed {
		failure = &answer
	}
	return found, absent, failure
}

// conclude notes what was found. A user that was not found is looked for once more before it counts as invalid.
func (s *Sender) conclude(t *ticket, e *errand, found, absent []*look, failure *alloy.Answer) {
	isAsked := func(l *look) bool { return t.looks[l.user.Username] == l } // else the owner changed its mind meanwhile
	for _, l := range found {
		if isAsked(l) {
			t.settle(l.user, Existing)
		}
	}
	again := time.Now().Add(s.options.SecondLook)
	for _, l := range absent {
		switch {
		case l.absent && isAsked(l):
			t.settle(l.user, Invalid)
		default:
			l.absent, l.due = true, again
		}
	}
	switch {
	case failure != nil:
		s.fail(t, e, *failure)
	case len(found)+len(absent) > 0:
		t.answered(e)
	}
}

// fail notes a failed attempt, and when the next one is made.
func (s *Sender) fail(t *ticket, e *errand, answer alloy.Answer) {
	delay := s.options.ProbeDelay + spread(s.options.ProbeDelay)
	if answer.MayPass() {
		delay = delayAfter(answer, t.delays)
	}
	now := time.Now()
	t.fail(e, answer, now, now.Add(delay))
}

// spread is a part of a delay that is left to chance.
func spread(delay time.Duration) time.Duration {
	return time.Duration(jitter * rand.Float64() * float64(delay)) //nolint:gosec // nothing secret hangs on it
}
