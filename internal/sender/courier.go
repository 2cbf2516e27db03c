package sender

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// maxSingleLooks is the most users that are looked for one by one; the list of all users is asked for more. One list of a
// large account costs the API about as much as some dozens of single reads.
const maxSingleLooks = 20

// jitter is the part of a delay that is left to chance, so that many owners do not come back at once.
const jitter = 0.2

// carry works on a ticket until nothing is left to do, or the sender stops.
func (s *Sender) carry(t *ticket) {
	for {
		s.mu.Lock()
		next, lane := t.next(time.Now()), t.lane
		if next.isZero() || s.draining {
			t.active = false
			if key := (owner{t.id.Namespace, t.id.Name}); t.idle() && s.tickets[key] == t {
				delete(s.tickets, key)
			}
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()

		switch {
		case !next.at.IsZero():
			s.wait(t, next.at)
		case len(next.looks) > 0:
			s.look(t, lane, next.looks)
		default:
			s.send(t, lane)
		}
	}
}

// wait returns at a time, or before when the ticket has changed or the sender stops.
func (s *Sender) wait(t *ticket, at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.changed:
	case <-s.stop:
	}
}

// send makes one request for all users that the ticket wants.
func (s *Sender) send(t *ticket, lane *lane) {
	if !s.enter(t, lane) {
		return
	}
	// While the ticket waited for its place its owner may have changed its mind.
	s.mu.Lock()
	batch := slices.Clone(t.want)
	stale := t.lane != lane || len(batch) == 0 || s.draining
	t.inFlight = !stale
	s.mu.Unlock()
	if stale {
		lane.leave(alloy.Answer{})
		return
	}
	// A request that has begun is finished and recorded whatever happens; the client bounds its time.
	answer := s.api.CreateUsers(context.Background(), lane.key, batch)
	lane.leave(answer)

	s.mu.Lock()
	t.inFlight = false
	s.take(t, batch, answer)
	s.mu.Unlock()
	s.notify(t.id)
}

// take notes what an answer to POST /users/batch means for each user of the request.
func (s *Sender) take(t *ticket, batch []users.User, answer alloy.Answer) {
	switch answer.Outcome {
	case alloy.Accepted, alloy.NoneValid:
		for _, user := range batch {
			_, named := answer.Named[user.Username]
			if named || answer.Outcome == alloy.NoneValid {
				t.looks[user.Username] = &look{user: user}
			} else {
				t.settle(user, Created)
			}
		}
	case alloy.AllExist:
		for _, user := range batch {
			t.settle(user, Existing)
		}
	default:
		if answer.InDoubt() {
			for _, user := range batch {
				t.inDoubt[user.Username] = struct{}{}
			}
		}
		s.fail(t, answer)
		return
	}
	t.unwant(batch)
	t.answered()
}

// look finds out which of the users that were named invalid exist.
func (s *Sender) look(t *ticket, lane *lane, looks []*look) {
	if !s.enter(t, lane) {
		return
	}
	s.mu.Lock()
	t.inFlight = true
	s.mu.Unlock()

	found, absent, failure := s.lookOneByOne(lane, looks)
	ok := true
	if undecided := len(looks) - len(found) - len(absent); undecided > 0 && failure == nil {
		found, absent, failure, ok = s.lookInList(lane, looks)
	}

	s.mu.Lock()
	t.inFlight = false
	if ok {
		s.conclude(t, found, absent, failure)
	}
	s.mu.Unlock()
	s.notify(t.id)
}

// lookOneByOne asks for each user, unless they are too many. It takes the place in the lane that the caller has entered,
// and leaves it.
func (s *Sender) lookOneByOne(lane *lane, looks []*look) (found, absent []*look, failure *alloy.Answer) {
	answer := alloy.Answer{}
	defer func() { lane.leave(answer) }()
	if len(looks) > maxSingleLooks {
		return nil, nil, nil
	}
	for _, l := range looks {
		switch answer = s.api.GetUser(context.Background(), lane.key, l.user.Username); answer.Outcome {
		case alloy.Found:
			found = append(found, l)
		case alloy.Absent:
			absent = append(absent, l)
		case alloy.Inconclusive:
		default:
			return found, absent, &answer
		}
	}
	return found, absent, nil
}

// lookInList asks for all users of the account. ok is false when the sender stops.
func (s *Sender) lookInList(lane *lane, looks []*look) (found, absent []*look, failure *alloy.Answer, ok bool) {
	usernames := make([]string, len(looks))
	for i, l := range looks {
		usernames[i] = l.user.Username
	}
	exist, answer, ok := lane.findAll(context.Background(), s.api, s.stop, usernames)
	if !ok {
		return nil, nil, nil, false
	}
	failed := answer.Outcome != alloy.Listed
	for _, l := range looks {
		if _, exists := exist[l.user.Username]; exists {
			found = append(found, l)
		} else if !failed {
			absent = append(absent, l)
		}
	}
	if failed {
		return found, nil, &answer, true
	}
	return found, absent, nil, true
}

// conclude notes what was found. A user that was not found is looked for once more before it counts as invalid.
func (s *Sender) conclude(t *ticket, found, absent []*look, failure *alloy.Answer) {
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
	if failure != nil {
		s.fail(t, *failure)
		return
	}
	t.answered()
}

// fail notes a failed attempt, and when the next one is made.
func (s *Sender) fail(t *ticket, answer alloy.Answer) {
	delay := s.options.ProbeDelay
	if answer.MayPass() {
		delay = s.options.RetryDelay
	}
	now := time.Now()
	spread := 1 - jitter/2 + jitter*rand.Float64() //nolint:gosec // nothing secret hangs on it
	t.fail(answer, now, now.Add(time.Duration(float64(delay)*spread)))
}

// enter waits for a place in the lane. It returns false when the sender stops, or when the key is rejected: then the ticket
// has failed like the one that was sent.
func (s *Sender) enter(t *ticket, lane *lane) bool {
	rejected, ok := lane.enter(s.stop)
	if rejected == nil {
		return ok
	}
	s.mu.Lock()
	if t.lane == lane {
		s.fail(t, *rejected)
	}
	s.mu.Unlock()
	s.notify(t.id)
	return false
}
