package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// queue gathers the owners of one key that have users to create, so that they share requests. It is guarded by the sender's
// lock.
type queue struct {
	gate         *gate
	waiting      []*owner            // in the order in which they came
	byUsername   map[string]*request // by username: the request that is running with it
	running      int                 // requests that are
	owed         int                 // owners that have not recorded yet what they were told
	since        time.Time           // when the first of those that wait came, or the last request ended
	landed       time.Time           // when the last request ended
	firstWaiting map[string]*owner   // by username: the first owner that waits with it
	otherWaiting map[string][]*owner // by username: the others
	joined       int                 // users that came since the last request was formed
	active       bool                // a dispatcher works
	changed      chan struct{}       // wakes the dispatcher
}

func newQueue(gate *gate) *queue {
	return &queue{
		gate: gate, byUsername: map[string]*request{}, firstWaiting: map[string]*owner{}, otherWaiting: map[string][]*owner{}, changed: make(chan struct{}, 1),
	}
}

// join has a owner wait for a request that takes its users along. The caller holds the lock.
func (s *Sender) join(t *owner) {
	p := s.queues[t.gate.fingerprint]
	if p.subscribe(t, t.attempt(), t.want); t.rest() == 0 {
		return
	}
	if t.queue != p {
		if len(p.waiting) == 0 {
			p.since, p.joined = latest(p.since, time.Now()), 0
		}
		t.queue, t.joined = p, time.Now()
		p.waiting = append(p.waiting, t)
		p.joined += t.rest()
		p.index(t)
	}
	switch {
	case !p.active:
		p.active = true
		s.running.Go(func() { s.dispatch(p) })
	case p.joined >= alloy.MaxBatch || s.options.Linger == 0:
		p.wake()
	}
}

// index notes for which usernames a owner waits, so that those that others are waiting for too are sent once.
func (p *queue) index(t *owner) {
	for _, user := range t.want {
		switch first := p.firstWaiting[user.Username]; {
		case first == nil:
			p.firstWaiting[user.Username] = t
		case first != t:
			p.otherWaiting[user.Username] = append(p.otherWaiting[user.Username], t)
		}
	}
}

// unindex notes that a username is on its way, and returns the owners that wait for it.
func (p *queue) unindex(username string) []*owner {
	otherWaiting := p.otherWaiting[username]
	if first := p.firstWaiting[username]; first != nil {
		otherWaiting = append(otherWaiting, first)
	}
	delete(p.firstWaiting, username)
	delete(p.otherWaiting, username)
	return otherWaiting
}

func (p *queue) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// dispatch forms requests until nobody waits any more, or the sender stops.
func (s *Sender) dispatch(p *queue) {
	for {
		s.mu.Lock()
		at, waits := p.due(time.Now(), s.options)
		if !waits || s.stopped {
			p.active = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if !at.IsZero() {
			s.pause(p, at)
			continue
		}
		rejection, ok := p.gate.enter(s.stop, nil)
		if !ok {
			continue
		}
		s.mu.Lock()
		var told []ID
		var f *request
		if rejection != nil {
			told = s.rejectAll(p, rejection)
		} else if p.prune(time.Now()); len(p.waiting) > 0 && !s.stopped {
			f = p.form(time.Now(), s.options.Linger)
		}
		if rejection == nil && (f == nil || len(f.batch) == 0) {
			f = nil
			p.gate.leave(alloy.Answer{})
		}
		s.mu.Unlock()
		s.tell(told)
		if f != nil {
			s.running.Go(func() { s.perform(f) })
		}
	}
}

// pause returns at a time, or before when the queue has changed or the sender stops.
func (s *Sender) pause(p *queue, at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.changed:
	case <-s.stop:
	}
}

// forever is when a request is formed that waits for another one to end: that one wakes the dispatcher.
const forever = 24 * time.Hour

// prune drops those that wait no more, or may not be served now.
func (p *queue) prune(now time.Time) {
	p.waiting = slices.DeleteFunc(p.waiting, func(t *owner) bool {
		if t.queue == p && t.gate == p.gate && t.isolation == nil && t.next(now).send {
			return false
		}
		if t.queue == p {
			t.queue = nil
			t.wake() // it may have other things to do
		}
		return true
	})
}

// due reports whether anybody waits, and when the next request is to be formed: the zero time for now.
func (p *queue) due(now time.Time, options Options) (at time.Time, waits bool) {
	p.prune(now)
	if len(p.waiting) == 0 {
		p.firstWaiting, p.otherWaiting = map[string]*owner{}, map[string][]*owner{} // a map that is emptied keeps its size
		return time.Time{}, false
	}
	gathered := 0
	for _, t := range p.waiting {
		rest := t.rest()
		if gathered += rest; gathered >= alloy.MaxBatch {
			break
		}
	}
	at = p.since.Add(options.Linger)
	if p.owed > 0 {
		at = latest(at, p.landed.Add(options.RecordWait))
	}
	switch {
	case options.Linger == 0, gathered >= alloy.MaxBatch:
		return time.Time{}, true
	case p.running > 0:
		return now.Add(forever), true
	case now.Before(at):
		return at, true
	default:
		return time.Time{}, true
	}
}

// form makes a request of those that wait. One with a whole request of users goes first and alone, so that the others gather,
// unless they have waited long. Of those an owner's users stay together if they can, because each answer is written down
// once; one owner's are split where that saves a request.
func (p *queue) form(now time.Time, linger time.Duration) *request {
	f := p.newRequest()
	first := slices.IndexFunc(p.waiting, func(t *owner) bool { return t.rest() >= alloy.MaxBatch })
	rest := slices.IndexFunc(p.waiting, func(t *owner) bool { return t.rest() < alloy.MaxBatch })
	if linger == 0 {
		first = 0
	}
	if first >= 0 && (rest < 0 || linger == 0 || now.Before(p.waiting[rest].joined.Add(longWait*linger))) {
		f.take(p.waiting[first])
		p.waiting = slices.Delete(p.waiting, first, first+1)
	} else {
		p.waiting = slices.DeleteFunc(p.waiting, func(t *owner) bool {
			fits := t.rest() <= f.room()
			if fits {
				f.take(t)
			}
			return fits
		})
		if part := slices.IndexFunc(p.waiting, func(t *owner) bool { return t.rest() < alloy.MaxBatch }); part >= 0 && f.room() > 0 {
			f.take(p.waiting[part])
		}
	}
	p.joined = 0
	for _, t := range p.waiting {
		if p.joined += t.rest(); p.joined >= alloy.MaxBatch {
			break
		}
	}
	if len(f.batch) > 0 {
		f.gathered = true
		p.running++
	}
	return f
}

// longWait is how many times the linger some owners wait at most while others, with whole requests of users, go first.
const longWait = 5

// rejectAll fails all that wait, because the API has rejected the key.
func (s *Sender) rejectAll(p *queue, rejection *rejection) (told []ID) {
	for _, t := range p.waiting {
		if t.queue != p {
			continue
		}
		t.queue = nil
		if t.gate == p.gate {
			s.reject(t, &attempt{gate: p.gate, generation: t.generation}, rejection)
			told = append(told, t.id)
		}
		t.wake()
	}
	p.waiting = nil
	clear(p.firstWaiting)
	clear(p.otherWaiting)
	return told
}

// reject notes that a key was rejected when another owner used it.
func (s *Sender) reject(t *owner, e *attempt, rejection *rejection) {
	t.fail(e, rejection.answer, rejection.at, rejection.probeAt.Add(spread(s.options.ProbeDelay)))
}

// tell tells owners that there is news.
func (s *Sender) tell(owners []ID) {
	for _, id := range owners {
		s.notify(id)
	}
}

// requestWith returns a request that is running with one of some users, if there is one.
func (p *queue) requestWith(list []users.User) *request {
	for _, user := range list {
		if f := p.byUsername[user.Username]; f != nil {
			return f
		}
	}
	return nil
}
