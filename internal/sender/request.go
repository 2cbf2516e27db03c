package sender

import (
	"context"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// request is a request to create users, with the owners whose users are in flight in it.
type request struct {
	queue       *queue
	batch       []users.User
	sent        map[string]users.User // the batch by username
	shares      []*share
	subscribers []subscriber
	waiters     []*owner // that go on when it is over
	gathered    bool     // of those that waited; while it runs others gather
}

// share is an owner with the users that are sent for it.
type share struct {
	owner   *owner
	attempt *attempt
}

// subscriber is a user that is in the request already, because another owner wants it too.
type subscriber struct {
	owner   *owner
	attempt *attempt
	user    users.User
}

func (p *queue) newRequest() *request { return &request{queue: p, sent: map[string]users.User{}} }

// room is how many more users the request takes.
func (f *request) room() int { return alloy.MaxBatch - len(f.batch) }

// subscribe has the users of a owner subscribe to the request that is running with, whoever sent them: a username is never in two
// requests at once.
func (p *queue) subscribe(t *owner, e *attempt, list []users.User) {
	for _, user := range list {
		f := p.byUsername[user.Username]
		if _, inFlight := t.inFlight[user.Username]; f != nil && !inFlight {
			f.subscribers = append(f.subscribers, subscriber{owner: t, attempt: e, user: user})
			t.inFlight[user.Username] = struct{}{}
		}
	}
}

// add takes the users of an owner along that are not on their way, as far as there is room.
func (f *request) add(t *owner, e *attempt, list []users.User) {
	f.queue.subscribe(t, e, list)
	for _, user := range list {
		if _, inFlight := t.inFlight[user.Username]; inFlight || f.room() == 0 {
			continue
		}
		f.queue.byUsername[user.Username] = f
		f.sent[user.Username] = user
		f.batch = append(f.batch, user)
		e.batch = append(e.batch, user)
		t.inFlight[user.Username] = struct{}{}
		for _, other := range f.queue.unindex(user.Username) {
			if wanted, ok := other.wants(user.Username); ok && other != t && other.gate == f.queue.gate {
				f.queue.subscribe(other, other.attempt(), []users.User{wanted})
			}
		}
	}
	if len(e.batch) > 0 {
		t.running++
		f.shares = append(f.shares, &share{owner: t, attempt: e})
	}
}

// take has the users add of a owner that waits in the queue, which waits no longer if all of them do.
func (f *request) take(t *owner) {
	f.add(t, t.attempt(), t.want)
	if t.rest() == 0 {
		t.queue = nil
	}
}

// perform makes the request, and notes what becomes of everybody inFlight.
func (s *Sender) perform(f *request) {
	answer := s.create(f)
	s.mu.Lock()
	understood, told := s.complete(f, answer)
	var g *group
	if !understood {
		g = newGroup(f.shares, answer)
	}
	s.mu.Unlock()
	s.tell(told)
	if g != nil {
		s.isolate(f.queue, g, answer)
	}
}

// create makes one request. What has begun is finished and recorded whatever happens; the client bounds its time.
func (s *Sender) create(f *request) alloy.Answer {
	answer := s.api.CreateUsers(context.Background(), f.queue.gate.key, f.batch)
	f.queue.gate.leave(answer)
	return answer
}

// complete notes what an answer means for everybody inFlight, and returns whom to tell. It is not understood when several owners
// shared the request and one of them may be the cause that it failed; then the caller, who holds the lock, holds them in a group
// until that is known.
func (s *Sender) complete(f *request, answer alloy.Answer) (understood bool, told []ID) {
	p := f.queue
	s.end(f)
	shared := len(f.shares) > 1
	if shared {
		answer = unspoken(answer)
	}
	understood = !shared || speaksForAll(answer)
	for _, share := range f.shares {
		t, e := share.owner, share.attempt
		if understood {
			s.take(t, e, answer)
			told = append(told, t.id)
			if s.owners[ownerKey{t.id.Namespace, t.id.Name}] == t && t.gate == e.gate && t.unrecorded && t.owes == nil && f.gathered {
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
		s.schedule(t)
	}
	for _, r := range f.subscribers {
		if s.resolve(r, f, answer) {
			told = append(told, r.owner.id)
		}
		s.schedule(r.owner)
	}
	for _, t := range f.waiters {
		s.schedule(t)
	}
	return understood, told
}

// speaksForAll reports whether an answer to a shared request means the same for every owner: the users were judged one by
// one, or the API did not verification at them at all, or wants to be left alone.
func speaksForAll(answer alloy.Answer) bool {
	switch answer.Outcome {
	case alloy.Accepted, alloy.AllExist, alloy.NoneValid, alloy.Unauthorized, alloy.Deferred:
		return true
	default:
		return answer.MayPass() && answer.RetryAfter > 0
	}
}

// resolve notes what an answer means for a user that another owner sent. It reports whether it means anything: that the user
// exists, or, if it was the same down to its full name, that it has to be looked for.
func (s *Sender) resolve(r subscriber, f *request, answer alloy.Answer) bool {
	t, username := r.owner, r.user.Username
	if t.gate != r.attempt.gate || t.wanted()[username] != r.user {
		return false
	}
	_, named := answer.Named[username]
	switch {
	case answer.Outcome == alloy.AllExist, answer.Outcome == alloy.Accepted && !named:
		t.settle(r.user, Existing)
	case (answer.Outcome == alloy.Accepted || answer.Outcome == alloy.NoneValid) && f.sent[username] == r.user:
		t.verifications[username] = &verification{user: r.user}
	default:
		return false
	}
	t.unwant()
	t.answered(r.attempt)
	return true
}

// end notes that nobody is inFlight any more.
func (s *Sender) end(f *request) {
	p := f.queue
	if f.gathered {
		p.running--
		p.landed = time.Now()
		p.since = p.landed
		p.wake()
	}
	for username := range f.sent {
		delete(p.byUsername, username)
	}
	for _, share := range f.shares {
		share.owner.running--
		for _, user := range share.attempt.batch {
			delete(share.owner.inFlight, user.Username)
		}
	}
	for _, r := range f.subscribers {
		delete(r.owner.inFlight, r.user.Username)
	}
}
