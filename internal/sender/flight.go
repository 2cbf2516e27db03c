package sender

import (
	"context"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// flight is a request to create users, with the owners whose users are aboard.
type flight struct {
	pool       *pool
	batch      []users.User
	sent       map[string]users.User // the batch by username
	passengers []*passenger
	riders     []rider
	waiters    []*ticket // that go on when it is over
	gathered   bool      // of those that waited; while it runs others gather
}

// passenger is an owner with the users that are sent for it.
type passenger struct {
	ticket *ticket
	errand *errand
}

// rider is a user that is in the request already, because another owner wants it too.
type rider struct {
	ticket *ticket
	errand *errand
	user   users.User
}

func (p *pool) newFlight() *flight { return &flight{pool: p, sent: map[string]users.User{}} }

// room is how many more users the request takes.
func (f *flight) room() int { return alloy.MaxBatch - len(f.batch) }

// ride has the users of a ticket ride along that a request is running with, whoever sent them: a username is never in two
// requests at once.
func (p *pool) ride(t *ticket, e *errand, list []users.User) {
	for _, user := range list {
		f := p.carried[user.Username]
		if _, aboard := t.aboard[user.Username]; f != nil && !aboard {
			f.riders = append(f.riders, rider{ticket: t, errand: e, user: user})
			t.aboard[user.Username] = struct{}{}
		}
	}
}

// board takes the users of a ticket aboard that are not on their way, as far as there is room.
func (f *flight) board(t *ticket, e *errand, list []users.User) {
	f.pool.ride(t, e, list)
	for _, user := range list {
		if _, aboard := t.aboard[user.Username]; aboard || f.room() == 0 {
			continue
		}
		f.pool.carried[user.Username] = f
		f.sent[user.Username] = user
		f.batch = append(f.batch, user)
		e.batch = append(e.batch, user)
		t.aboard[user.Username] = struct{}{}
		for _, rival := range f.pool.delist(user.Username) {
			if wanted, ok := rival.wants(user.Username); ok && rival != t && rival.lane == f.pool.lane {
				f.pool.ride(rival, rival.errand(), []users.User{wanted})
			}
		}
	}
	if len(e.batch) > 0 {
		t.running++
		f.passengers = append(f.passengers, &passenger{ticket: t, errand: e})
	}
}

// take has the users board of a ticket that waits in the pool, which waits no longer if all of them do.
func (f *flight) take(t *ticket) {
	f.board(t, t.errand(), t.want)
	if t.rest() == 0 {
		t.pool = nil
	}
}

// fly makes the request, and notes what becomes of everybody aboard.
func (s *Sender) fly(f *flight) {
	answer := s.create(f)
	s.mu.Lock()
	understood, told := s.land(f, answer)
	var g *group
	if !understood {
		g = newGroup(f.passengers, answer)
	}
	s.mu.Unlock()
	s.tell(told)
	if g != nil {
		s.sift(f.pool, g, answer)
	}
}

// create makes one request. What has begun is finished and recorded whatever happens; the client bounds its time.
func (s *Sender) create(f *flight) alloy.Answer {
	answer := s.api.CreateUsers(context.Background(), f.pool.lane.key, f.batch)
	f.pool.lane.leave(answer)
	return answer
}

// land notes what an answer means for everybody aboard, and returns whom to tell. It is not understood when several owners
// shared the request and one of them may be the cause that it failed; then the caller, who holds the lock, holds them in a group
// until that is known.
func (s *Sender) land(f *flight, answer alloy.Answer) (understood bool, told []ID) {
	p := f.pool
	s.disembark(f)
	shared := len(f.passengers) > 1
	if shared {
		answer = unspoken(answer)
	}
	understood = !shared || speaksForAll(answer)
	for _, passenger := range f.passengers {
		t, e := passenger.ticket, passenger.errand
		if understood {
			s.take(t, e, answer)
			told = append(told, t.id)
			if s.tickets[owner{t.id.Namespace, t.id.Name}] == t && t.lane == e.lane && t.unrecorded && t.owes == nil && f.gathered {
				t.owes = p
				p.owed++
			}
		} else {
			if answer.InDoubt() {
				t.doubt(e.batch)
			}
			if len(t.want) == 0 {
				told = append(told, t.id) // it waits for the end of the request
			}
		}
		s.stir(t)
	}
	for _, r := range f.riders {
		if s.takeAlong(r, f, answer) {
			told = append(told, r.ticket.id)
		}
		s.stir(r.ticket)
	}
	for _, t := range f.waiters {
		s.stir(t)
	}
	return understood, told
}

// speaksForAll tells whether an answer to a shared request means the same for every owner: the users were judged one by
// one, or the API did not look at them at all, or wants to be left alone.
func speaksForAll(answer alloy.Answer) bool {
	switch answer.Outcome {
	case alloy.Accepted, alloy.AllExist, alloy.NoneValid, alloy.Unauthorized, alloy.Deferred:
		return true
	default:
		return answer.MayPass() && answer.RetryAfter > 0
	}
}

// takeAlong notes what an answer means for a user that another owner sent. It tells whether it means anything: that the user
// exists, or, if it was the same down to its full name, that it has to be looked for.
func (s *Sender) takeAlong(r rider, f *flight, answer alloy.Answer) bool {
	t, username := r.ticket, r.user.Username
	if t.lane != r.errand.lane || t.wanted()[username] != r.user {
		return false
	}
	_, named := answer.Named[username]
	switch {
	case answer.Outcome == alloy.AllExist, answer.Outcome == alloy.Accepted && !named:
		t.settle(r.user, Existing)
	case (answer.Outcome == alloy.Accepted || answer.Outcome == alloy.NoneValid) && f.sent[username] == r.user:
		t.looks[username] = &look{user: r.user}
	default:
		return false
	}
	t.unwant()
	t.answered(r.errand)
	return true
}

// disembark notes that nobody is aboard any more.
func (s *Sender) disembark(f *flight) {
	p := f.pool
	if f.gathered {
		p.running--
		p.landed = time.Now()
		p.since = p.landed
		p.wake()
	}
	for username := range f.sent {
		delete(p.carried, username)
	}
	for _, passenger := range f.passengers {
		passenger.ticket.running--
		for _, user := range passenger.errand.batch {
			delete(passenger.ticket.aboard, user.Username)
		}
	}
	for _, r := range f.riders {
		delete(r.ticket.aboard, r.user.Username)
	}
}
