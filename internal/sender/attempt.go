package sender

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// maxSingleReads is the most users that are looked for one by one; the list of all users is asked for more. One list of a
// large account costs the API about as much as some dozens of single reads.
const maxSingleReads = 20

// run works on a owner until nothing is left to do, or the sender stops.
func (s *Sender) run(t *owner) {
	for {
		s.mu.Lock()
		next := t.next(time.Now())
		if next.isZero() || s.stopped {
			t.active = false
			s.drop(t)
			s.mu.Unlock()
			return
		}
		if next.send && t.isolation == nil {
			s.join(t)
			next = step{change: true}
		} else if next.send {
			if other := s.queues[t.gate.fingerprint].requestWith(t.isolation.next()); other != nil {
				other.waiters = append(other.waiters, t)
				next = step{change: true}
			}
		}
		s.mu.Unlock()
		if next.change || !next.at.IsZero() {
			s.wait(t, next.at)
			continue
		}
		switch e, f := s.begin(t); {
		case f != nil:
			s.perform(f)
		case e != nil:
			s.verification(t, e)
			s.notify(t.id)
		}
	}
}

// wait returns at a time, or before when the owner has changed or the sender stops; the zero time never comes.
func (s *Sender) wait(t *owner, at time.Time) {
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

// begin waits for a place in the owner's gate, and then decides what it verifications for, or which part of a isolation it sends: while
// it waited, the owner may have changed its mind. It returns nil when nothing is to be sent now; else the place must be left,
// but for the list, which takes its own.
func (s *Sender) begin(t *owner) (*attempt, *request) {
	s.mu.Lock()
	e := t.attempt()
	if next := t.next(time.Now()); len(next.verifications) > maxSingleReads {
		e.verifications = next.verifications
		t.running++
		s.mu.Unlock()
		return e, nil
	}
	s.mu.Unlock()
	rejection, ok := e.gate.enter(s.stop, e.moved)
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
	next, p := t.next(time.Now()), s.queues[e.gate.fingerprint]
	switch {
	case t.gate != e.gate || s.stopped: // nothing of this is to be sent any more
	case len(next.verifications) > 0:
		e.generation, e.verifications = t.generation, next.verifications[:min(len(next.verifications), maxSingleReads)]
		t.running++
		return e, nil
	case next.send && t.isolation != nil && p.requestWith(t.isolation.next()) == nil:
		e.generation, e.isolation = t.generation, t.isolation
		f := p.newRequest()
		f.add(t, e, t.isolation.next())
		return e, f
	}
	e.gate.leave(alloy.Answer{})
	return nil, nil
}

// take notes what an answer to POST /users/batch means for each user of the request.
func (s *Sender) take(t *owner, e *attempt, answer alloy.Answer) {
	switch answer.Outcome {
	case alloy.Accepted, alloy.NoneValid, alloy.AllExist:
		s.settle(t, e, answer)
		if e.isolation != nil {
			t.invalidate(e.isolation.accepted(), e.isolation.refusal.Message)
		}
	case alloy.TooLarge:
		if !s.split(t, e, answer) {
			return
		}
	case alloy.Refused:
		if !s.continueIsolation(t, e, answer) {
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
	if t.isolation == nil || t.isolation != e.isolation {
		return
	}
	switch {
	case t.isolation.isDone():
		t.isolation = nil
		t.forgive()
	case t.isolation.isExhausted():
		// The next one begins with the whole rest, and a new control: meanwhile the API may refuse for another reason.
		t.isolation = nil
		t.pause(e, e.isolation.refusal, time.Now().Add(s.options.SearchPause+spread(s.options.SearchPause)))
	}
}

// settle notes the users of a request that the API accepted as such.
func (s *Sender) settle(t *owner, e *attempt, answer alloy.Answer) {
	wanted := t.wanted()
	for _, user := range e.batch {
		_, named := answer.Named[user.Username]
		_, stillWanted := wanted[user.Username]
		switch {
		case answer.Outcome == alloy.AllExist:
			t.settle(user, Existing)
		case answer.Outcome == alloy.Accepted && !named:
			t.settle(user, Created)
		case stillWanted && t.gate == e.gate:
			t.verifications[user.Username] = &verification{user: user}
		}
	}
}

// split takes a request apart that was too large. It returns false when the owner has changed its mind since.
func (s *Sender) split(t *owner, e *attempt, answer alloy.Answer) bool {
	switch {
	case e.isolation != nil:
		e.isolation.refusal = answer
		t.invalidate(e.isolation.tooLarge(), answer.Message)
	case len(e.batch) == 1:
		t.invalidate(e.batch, answer.Message)
	case e.gate == t.gate && e.generation == t.generation:
		t.isolation = newSplit(e.batch, userControls)
	default:
		return false
	}
	return true
}

// continueIsolation searches the users for which a request was refused. It returns false when nothing can be said of any user: then the
// owner has failed.
func (s *Sender) continueIsolation(t *owner, e *attempt, answer alloy.Answer) bool {
	if e.isolation == nil {
		if len(e.batch) == 1 || e.gate != t.gate || e.generation != t.generation {
			s.fail(t, e, answer)
			return false
		}
		t.isolation = newIsolation(e.batch, userControls)
		t.isolation.refusal = answer
		return true
	}
	e.isolation.refusal = answer
	refused, ok := e.isolation.refused()
	t.invalidate(refused, answer.Message)
	if !ok {
		if t.isolation == e.isolation {
			t.isolation = nil
		}
		s.fail(t, e, answer)
	}
	return ok
}

// verification finds out which of the users that were named invalid exist.
func (s *Sender) verification(t *owner, e *attempt) {
	var found, absent []*verification
	var failure *alloy.Answer
	undecided := e.verifications
	if len(e.verifications) <= maxSingleReads {
		found, absent, undecided, failure = s.verifyOneByOne(e)
	}
	if len(undecided) > 0 && failure == nil {
		var foundInList, absentInList []*verification
		foundInList, absentInList, failure = s.verifyInList(e, undecided)
		found, absent = append(found, foundInList...), append(absent, absentInList...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.running--
	s.conclude(t, e, found, absent, failure)
}

// verifyOneByOne asks for each user, and leaves the place in the gate. What is undecided is for the list.
func (s *Sender) verifyOneByOne(e *attempt) (found, absent, undecided []*verification, failure *alloy.Answer) {
	answer := alloy.Answer{}
	defer func() { e.gate.leave(answer) }()
	for i, l := range e.verifications {
		if i > 0 && !e.gate.pace(s.stop, e.moved) {
			return found, absent, nil, nil
		}
		switch answer = s.api.GetUser(context.Background(), e.gate.key, l.user.Username); answer.Outcome {
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

// verifyInList asks for all users of the account. When the sender stops, nothing is found and nothing absent.
func (s *Sender) verifyInList(e *attempt, verifications []*verification) (found, absent []*verification, failure *alloy.Answer) {
	usernames := make([]string, len(verifications))
	for i, l := range verifications {
		usernames[i] = l.user.Username
	}
	exist, answer, ok := e.gate.findAll(context.Background(), s.api, s.stop, e.moved, usernames)
	if !ok {
		return nil, nil, nil
	}
	listed := answer.Outcome == alloy.Listed
	for _, l := range verifications {
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
func (s *Sender) conclude(t *owner, e *attempt, found, absent []*verification, failure *alloy.Answer) {
	isAsked := func(l *verification) bool { return t.verifications[l.user.Username] == l } // else the owner changed its mind meanwhile
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
func (s *Sender) fail(t *owner, e *attempt, answer alloy.Answer) {
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
