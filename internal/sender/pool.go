package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// pool gathers the tickets of one key that have users to create, so that they share requests. It is guarded by the sender's
// lock.
type pool struct {
	lane    *lane
	waiting []*ticket            // in the order in which they came
	carried map[string]*flight   // by username: the request that is running with it
	running int                  // requests that are
	owed    int                  // owners that have not recorded yet what they were told
	since   time.Time            // when the first of those that wait came, or the last request ended
	landed  time.Time            // when the last request ended
	wanting map[string]*ticket   // by username: the first ticket that waits with it
	rivals  map[string][]*ticket // by username: the others
	joined  int                  // users that came since the last request was formed
	active  bool                 // a dispatcher works
	changed chan struct{}        // wakes the dispatcher
}

func newPool(lane *lane) *pool {
	return &pool{
		lane: lane, carried: map[string]*flight{}, wanting: map[string]*ticket{}, rivals: map[string][]*ticket{}, changed: make(chan struct{}, 1),
	}
}

// join has a ticket wait for a request that takes its users along. The caller holds the lock.
func (s *Sender) join(t *ticket) {
	p := s.pools[t.lane.fingerprint]
	if p.ride(t, t.errand(), t.want); t.rest() == 0 {
		return
	}
	if t.pool != p {
		if len(p.waiting) == 0 {
			p.since, p.joined = latest(p.since, time.Now()), 0
		}
		t.pool, t.joined = p, time.Now()
		p.waiting = append(p.waiting, t)
		p.joined += t.rest()
		p.enlist(t)
	}
	switch {
	case !p.active:
		p.active = true
		s.running.Go(func() { s.dispatch(p) })
	case p.joined >= alloy.MaxBatch || s.options.Linger == 0:
		p.wake()
	}
}

// enlist notes for which usernames a ticket waits, so that those that others are waiting for too are sent once.
func (p *pool) enlist(t *ticket) {
	for _, user := range t.want {
		switch first := p.wanting[user.Username]; {
		case first == nil:
			p.wanting[user.Username] = t
		case first != t:
			p.rivals[user.Username] = append(p.rivals[user.Username], t)
		}
	}
}

// delist notes that a username is on its way, and returns the tickets that wait for it.
func (p *pool) delist(username string) []*ticket {
	rivals := p.rivals[username]
	if first := p.wanting[username]; first != nil {
		rivals = append(rivals, first)
	}
	delete(p.wanting, username)
	delete(p.rivals, username)
	return rivals
}

func (p *pool) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// dispatch forms requests until nobody waits any more, or the sender stops.
func (s *Sender) dispatch(p *pool) {
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
		rejection, ok := p.lane.enter(s.stop, nil)
		if !ok {
			continue
		}
		s.mu.Lock()
		var told []ID
		var f *flight
		if rejection != nil {
			told = s.turnAway(p, rejection)
		} else if p.tidy(time.Now()); len(p.waiting) > 0 && !s.stopped {
			f = p.form(time.Now(), s.options.Linger)
		}
		if rejection == nil && (f == nil || len(f.batch) == 0) {
			f = nil
			p.lane.leave(alloy.Answer{})
		}
		s.mu.Unlock()
		s.tell(told)
		if f != nil {
			s.running.Go(func() { s.fly(f) })
		}
	}
}

// pause returns at a time, or before when the pool has changed or the sender stops.
func (s *Sender) pause(p *pool, at time.Time) {
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

// tidy drops those that wait no more, or may not be served now.
func (p *pool) tidy(now time.Time) {
	p.waiting = slices.DeleteFunc(p.waiting, func(t *ticket) bool {
		if t.pool == p && t.lane == p.lane && t.search == nil && t.next(now).send {
			return false
		}
		if t.pool == p {
			t.pool = nil
			t.wake() // it may have other things to do
		}
		return true
	})
}

// due tells whether anybody waits, and when the next request is to be formed: the zero time for now.
func (p *pool) due(now time.Time, options Options) (at time.Time, waits bool) {
	p.tidy(now)
	if len(p.waiting) == 0 {
		p.wanting, p.rivals = map[string]*ticket{}, map[string][]*ticket{} // a map that is emptied keeps its size
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
func (p *pool) form(now time.Time, linger time.Duration) *flight {
	f := p.newFlight()
	first := slices.IndexFunc(p.waiting, func(t *ticket) bool { return t.rest() >= alloy.MaxBatch })
	rest := slices.IndexFunc(p.waiting, func(t *ticket) bool { return t.rest() < alloy.MaxBatch })
	if linger == 0 {
		first = 0
	}
	if first >= 0 && (rest < 0 || linger == 0 || now.Before(p.waiting[rest].joined.Add(longWait*linger))) {
		f.take(p.waiting[first])
		p.waiting = slices.Delete(p.waiting, first, first+1)
	} else {
		p.waiting = slices.DeleteFunc(p.waiting, func(t *ticket) bool {
			fits := t.rest() <= f.room()
			if fits {
				f.take(t)
			}
			return fits
		})
		if part := slices.IndexFunc(p.waiting, func(t *ticket) bool { return t.rest() < alloy.MaxBatch }); part >= 0 && f.room() > 0 {
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

// turnAway fails all that wait, because the API has rejected the key.
func (s *Sender) turnAway(p *pool, rejection *rejection) (told []ID) {
	for _, t := range p.waiting {
		if t.pool != p {
			continue
		}
		t.pool = nil
		if t.lane == p.lane {
			s.reject(t, &errand{lane: p.lane, generation: t.generation}, rejection)
			told = append(told, t.id)
		}
		t.wake()
	}
	p.waiting = nil
	clear(p.wanting)
	clear(p.rivals)
	return told
}

// reject notes that a key was rejected when another owner used it.
func (s *Sender) reject(t *ticket, e *errand, rejection *rejection) {
	t.fail(e, rejection.answer, rejection.at, rejection.probeAt.Add(spread(s.options.ProbeDelay)))
}

// tell tells owners that there is news.
func (s *Sender) tell(owners []ID) {
	for _, id := range owners {
		s.notify(id)
	}
}

// carrying returns a request that is running with one of some users, if there is one.
func (p *pool) carrying(list []users.User) *flight {
	for _, user := range list {
		if f := p.carried[user.Username]; f != nil {
			return f
		}
	}
	return nil
}
