package sender

import (
	"math/rand/v2"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// maxSearchRequests is the most requests of one isolation, with the one that was refused; then the isolation pauses. Halving finds
// one refused user of 1000 with at most 25.
const maxSearchRequests = 64

const (
	// userControls is how many users of a refused request are tried alone. If both are refused, the request as such is the cause.
	userControls = 2
	// groupControls is how many owners of one are, when it was refused: with few owners every one, so that none has to wait because
	// of others.
	groupControls = 8
)

// userIsolation verifications among the users of one owner, ownerIsolation among the owners of a shared request.
type (
	userIsolation  = isolation[users.User]
	ownerIsolation = isolation[*share]
)

// isolation finds out which members of a refused request the API does not take. First it has to be sure that a member is the
// cause, and not the request as such: one alone has to be accepted, the control. From then on it halves, depth first.
//
// It decides only: next says what to send, and one of accepted, refused and tooLarge takes the answer.
type isolation[T any] struct {
	most       int       // controls that are tried in turn
	controls   []T       // to be sent alone, until one is accepted
	held       []T       // refused alone, while no control was accepted
	questioned []T       // the rest of the request that was refused, while no control was accepted
	passing    bool      // the request may have failed for a reason that is over by now
	controlled bool      // the API accepted something since the isolation began
	parts      []part[T] // what is undecided beside these; the last is next
	requests   int

	refusal alloy.Answer // the last one
}

// part is a group of members that is undecided.
type part[T any] struct {
	members []T
	// suspect: the answers so far prove that at least one of them is refused, so it is not sent whole.
	suspect bool
	// secondHalf: the first half of a suspect part is sent just before; if that is accepted, this one is suspect.
	secondHalf bool
}

// newIsolation begins after a request was refused, which had at least two members. When so many of them are refused alone, one
// after another, it gives up.
func newIsolation[T any](batch []T, controls int) *isolation[T] {
	s := &isolation[T]{requests: 1, most: controls}
	s.question(batch)
	return s
}

// question verifications for a control in a request that was refused. The members are chosen by chance, so that the next isolation, if
// this one gives up, has others.
func (s *isolation[T]) question(batch []T) {
	for i, member := range rand.Perm(len(batch)) { //nolint:gosec // nothing secret hangs on it
		if i < s.most {
			s.controls = append(s.controls, batch[member])
		} else {
			s.questioned = append(s.questioned, batch[member])
		}
	}
}

// newSplit begins after a request was too large, which had at least two members: that needs no control, unless a part is refused.
func newSplit[T any](batch []T, controls int) *isolation[T] {
	s := &isolation[T]{requests: 1, most: controls}
	s.pushHalves(batch, false)
	return s
}

// next is what to send. It is the same until there is an answer.
func (s *isolation[T]) next() []T {
	if len(s.controls) > 0 {
		return s.controls[:1]
	}
	for top := s.parts[len(s.parts)-1]; top.suspect && len(top.members) > 1; top = s.parts[len(s.parts)-1] {
		s.pop()
		s.pushHalves(top.members, true)
	}
	return s.parts[len(s.parts)-1].members
}

// accepted notes that the API took what was sent. It returns the users that were refused before and are now known to be the
// cause.
func (s *isolation[T]) accepted() (refused []T) {
	s.requests++
	s.controlled = true
	if len(s.controls) == 0 {
		s.pop()
		if len(s.parts) > 0 && s.parts[len(s.parts)-1].secondHalf {
			s.parts[len(s.parts)-1].suspect = true
		}
		refused, s.held = s.held, nil
		return refused
	}
	refused = s.held
	// If no other one was refused, the cause is in the rest: the whole was refused, and this one is not the cause.
	s.push(part[T]{members: append(s.questioned, s.controls[1:]...), suspect: len(refused) == 0 && !s.passing})
	s.held, s.controls, s.questioned = nil, nil, nil
	return refused
}

// refused notes that the API refused what was sent. It returns the user that is thereby known to be a cause, if there is one;
// ok is false when no control was accepted, so that nothing can be said of any user.
func (s *isolation[T]) refused() (refused []T, ok bool) {
	s.requests++
	if len(s.controls) > 0 {
		s.held = append(s.held, s.controls[0])
		s.controls = s.controls[1:]
		return nil, len(s.controls) > 0
	}
	top := s.pop()
	s.releaseSecondHalf()
	switch {
	case len(top.members) == 1 && s.controlled:
		return top.members, true
	case len(top.members) == 1:
		s.held = append(s.held, top.members[0])
		return nil, len(s.held) == 1 && len(s.parts) > 0
	case s.controlled:
		s.push(part[T]{members: top.members, suspect: true})
	default:
		s.question(top.members)
	}
	return nil, true
}

// tooLarge notes that what was sent has too many bytes. It returns the user that is too large by itself, if it was one.
func (s *isolation[T]) tooLarge() (refused []T) {
	s.requests++
	if len(s.controls) > 0 { // such a user says nothing of the others, so it is no control
		refused, s.controls = s.controls[:1], s.controls[1:]
		if len(s.controls) == 0 && len(s.questioned) > 0 {
			s.controls, s.questioned = s.questioned[:1], s.questioned[1:]
		}
		return refused
	}
	top := s.pop()
	s.releaseSecondHalf()
	if len(top.members) == 1 {
		return top.members
	}
	s.pushHalves(top.members, false)
	return nil
}

// gone notes that what was to be sent is not there any more, which proves nothing.
func (s *isolation[T]) gone() {
	if len(s.controls) == 0 {
		s.pop()
		s.releaseSecondHalf()
		return
	}
	if s.controls = s.controls[1:]; len(s.controls) == 0 && len(s.questioned) > 0 {
		s.controls, s.questioned = s.questioned[:1], s.questioned[1:]
	}
}

// isDone reports that there is nothing more to send.
func (s *isolation[T]) isDone() bool { return len(s.parts) == 0 && len(s.controls) == 0 }

// isExhausted reports that the isolation has to pause.
func (s *isolation[T]) isExhausted() bool { return s.requests >= maxSearchRequests && !s.isDone() }

func (s *isolation[T]) push(p part[T]) {
	if len(p.members) > 0 {
		s.parts = append(s.parts, p)
	}
}

func (s *isolation[T]) pushHalves(whole []T, suspect bool) {
	s.push(part[T]{members: whole[len(whole)/2:], secondHalf: suspect})
	s.push(part[T]{members: whole[:len(whole)/2]})
}

func (s *isolation[T]) pop() part[T] {
	top := s.parts[len(s.parts)-1]
	s.parts = s.parts[:len(s.parts)-1]
	return top
}

// releaseSecondHalf notes that the first half was not accepted, which explains the refusal of the whole.
func (s *isolation[T]) releaseSecondHalf() {
	if len(s.parts) > 0 {
		s.parts[len(s.parts)-1].secondHalf = false
	}
}
