package sender

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// gate lets the requests of one key pass: one at a time until the API has accepted the key, then as many as are allowed at once
// and in a second; none until the next probe after the API has rejected the key, and none for a while after a 429.
type gate struct {
	key         alloy.Key
	fingerprint string
	options     Options
	total       chan struct{} // the sender's

	mu       sync.Mutex
	running  int
	proven   bool
	rejected *rejection
	waiting  []chan *rejection // each gets nil when it may pass
	resumeAt time.Time         // after a 429
	pauses   *backoff.ExponentialBackOff
	limiter  *rate.Limiter

	listing chan struct{} // holds the one GET /users that runs
	pending *list         // takes names until it starts; guarded by mu
}

// rejection is an answer that rejected the key. The API's words are not in it: it is told to owners who did not ask.
type rejection struct {
	answer  alloy.Answer
	at      time.Time
	probeAt time.Time // when the key is tried again
}

// list is one GET /users, shared by all that wait for it.
type list struct {
	wanted map[string]struct{}
	found  map[string]struct{}
	askers int
	answer alloy.Answer
	done   bool
}

func newGate(fingerprint string, key alloy.Key, options Options, total chan struct{}) *gate {
	limit := rate.Inf
	if options.RequestsPerSecond > 0 {
		limit = rate.Limit(options.RequestsPerSecond)
	}
	return &gate{
		key: key, fingerprint: fingerprint, options: options, total: total, listing: make(chan struct{}, 1),
		pauses: newBackOff(options), limiter: rate.NewLimiter(limit, max(options.Burst, 1)),
	}
}

// enter waits for a place, and until the key may be used. It returns the rejection of the key, if the key must not be used now;
// ok is false when the sender stops or the owner has gone moved. After nil and true, leave must be called.
func (l *gate) enter(stop, moved <-chan struct{}) (rejected *rejection, ok bool) {
	l.mu.Lock()
	if l.rejected != nil && time.Now().Before(l.rejected.probeAt) {
		defer l.mu.Unlock()
		return l.rejected, true
	}
	turn := make(chan *rejection, 1)
	l.waiting = append(l.waiting, turn)
	l.admit()
	l.mu.Unlock()

	select {
	case <-stop: // a turn that comes now does no harm: the gate ends with the sender
		return nil, false
	case <-moved:
		l.abandon(turn)
		return nil, false
	case rejected = <-turn:
	}
	if rejected != nil {
		return rejected, true
	}
	if !l.pace(stop, moved) {
		l.giveBack()
		return nil, false
	}
	if l.total != nil {
		select {
		case <-stop:
			l.giveBack()
			return nil, false
		case <-moved:
			l.giveBack()
			return nil, false
		case l.total <- struct{}{}:
		}
	}
	l.mu.Lock()
	rejected = l.rejected
	l.mu.Unlock()
	if rejected == nil || !time.Now().Before(rejected.probeAt) {
		return nil, true
	}
	l.leave(alloy.Answer{}) // the key was rejected meanwhile
	return rejected, true
}

// giveBack gives a place back in which nothing was sent.
func (l *gate) giveBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.admit()
}

// abandon gives up waiting for a turn, which may just have come.
func (l *gate) abandon(turn chan *rejection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(t chan *rejection) bool { return t == turn })
	select {
	case rejected := <-turn:
		if rejected == nil {
			l.running--
			l.admit()
		}
	default:
	}
}

// pace waits until the next request may begin. It returns false when the sender stops or the owner has gone moved.
func (l *gate) pace(stop, moved <-chan struct{}) bool {
	reservation := l.limiter.Reserve()
	if !sleep(reservation.Delay(), stop, moved) {
		reservation.Cancel()
		return false
	}
	for {
		l.mu.Lock()
		pause := time.Until(l.resumeAt)
		l.mu.Unlock()
		if pause <= 0 {
			return true
		}
		if !sleep(pause, stop, moved) {
			return false
		}
	}
}

// sleep returns false when it was cut short.
func sleep(d time.Duration, stop, moved <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-moved:
		return false
	case <-timer.C:
	}
	select {
	case <-stop:
		return false
	default:
		return true
	}
}

// leave gives the place back, and says what the answer tells about the key.
func (l *gate) leave(answer alloy.Answer) {
	if l.total != nil {
		<-l.total
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	switch answer.Outcome {
	case alloy.Accepted, alloy.AllExist, alloy.NoneValid, alloy.Found, alloy.Absent, alloy.Listed:
		l.proven, l.rejected = true, nil
		l.pauses.Reset()
	case alloy.Unauthorized:
		now := time.Now()
		l.proven, l.rejected = false, &rejection{answer: unspoken(answer), at: now, probeAt: now.Add(l.options.ProbeDelay)}
		for _, turn := range l.waiting {
			turn <- l.rejected
		}
		l.waiting = nil
	case alloy.Deferred:
		// Several at once are one event: they neither lengthen the back-off nor shorten what the API asked for.
		now := time.Now()
		if answer.StatusCode == http.StatusTooManyRequests && (answer.RetryAfter > 0 || now.After(l.resumeAt)) {
			l.resumeAt = latest(l.resumeAt, now.Add(delayAfter(answer, l.pauses)))
		}
	default: // the answer says nothing about the key
	}
	l.admit()
}

// admit lets as many pass as there are places for. The caller holds the lock.
func (l *gate) admit() {
	places := 1
	if l.proven {
		places = l.options.RequestsPerKey
	}
	for l.running < places && len(l.waiting) > 0 {
		l.running++
		l.waiting[0] <- nil
		l.waiting = l.waiting[1:]
	}
}

// findAll tells which of some users exist, by one GET /users that it shares with everybody who asked before it began. ok is
// false when the sender stops or the owner has gone moved.
func (l *gate) findAll(ctx context.Context, api API, stop, moved <-chan struct{}, usernames []string) (found map[string]struct{}, answer alloy.Answer, ok bool) {
	l.mu.Lock()
	if l.pending == nil {
		l.pending = &list{wanted: map[string]struct{}{}, found: map[string]struct{}{}}
	}
	shared := l.pending
	shared.askers++
	for _, username := range usernames {
		shared.wanted[username] = struct{}{}
	}
	l.mu.Unlock()

	select {
	case <-stop:
		return nil, alloy.Answer{}, false
	case <-moved:
		return nil, alloy.Answer{}, false
	case l.listing <- struct{}{}:
		defer func() { <-l.listing }()
	}
	if shared.done {
		return shared.found, shared.answer, true
	}
	rejected, ok := l.enter(stop, moved)
	if !ok {
		return nil, alloy.Answer{}, false
	}
	l.mu.Lock()
	l.pending = nil // from here on the names are fixed
	l.mu.Unlock()
	if rejected != nil {
		shared.answer = rejected.answer
	} else {
		shared.answer = api.ListUsers(ctx, l.key, func(username string) {
			if _, wanted := shared.wanted[username]; wanted {
				shared.found[username] = struct{}{}
			}
		})
		l.leave(shared.answer)
		if shared.askers > 1 {
			shared.answer = unspoken(shared.answer)
		}
	}
	shared.done = true
	return shared.found, shared.answer, true
}

// unspoken is an answer without the API's words, which may name users of another owner.
func unspoken(answer alloy.Answer) alloy.Answer {
	answer.Message = ""
	return answer
}
