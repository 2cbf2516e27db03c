package sender

import (
	"context"
	"sync"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// lane lets the requests of one key pass: one at a time until the API has accepted the key, then as many as are allowed, and
// after the API has rejected the key none until the next probe.
type lane struct {
	key         alloy.Key
	fingerprint string
	options     Options

	mu       sync.Mutex
	running  int
	proven   bool
	rejected *rejection
	waiting  []chan *rejection // each gets nil when it may pass

	listing sync.Mutex // held by the one GET /users that runs
	pending *list      // takes names until it starts; guarded by mu
}

// rejection is an answer that rejected the key.
type rejection struct {
	answer  alloy.Answer
	at      time.Time
	probeAt time.Time // when the key is tried again
}

// list is one GET /users, shared by all that wait for it.
type list struct {
	wanted map[string]struct{}
	found  map[string]struct{}
	answer alloy.Answer
	done   bool
}

func newLane(fingerprint string, key alloy.Key, options Options) *lane {
	return &lane{key: key, fingerprint: fingerprint, options: options}
}

// enter waits for a place. It returns the rejection of the key, if the key must not be used now; ok is false when the sender
// stops. After nil and true, leave must be called.
func (l *lane) enter(stop <-chan struct{}) (rejected *rejection, ok bool) {
	l.mu.Lock()
	if l.rejected != nil && time.Now().Before(l.rejected.probeAt) {
		defer l.mu.Unlock()
		return l.rejected, true
	}
	turn := make(chan *rejection, 1)
	l.waiting = append(l.waiting, turn)
	l.admit()
	l.mu.Unlock()

	// A turn that comes when the sender stops is lost, and does no harm: the lane ends with the sender.
	select {
	case <-stop:
		return nil, false
	case rejected = <-turn:
	}
	select {
	case <-stop:
		return nil, false
	default:
		return rejected, true
	}
}

// leave gives the place back, and says what the answer tells about the key.
func (l *lane) leave(answer alloy.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	switch answer.Outcome {
	case alloy.Accepted, alloy.AllExist, alloy.NoneValid, alloy.Found, alloy.Absent, alloy.Listed:
		l.proven, l.rejected = true, nil
	case alloy.Unauthorized:
		now := time.Now()
		l.proven, l.rejected = false, &rejection{answer: answer, at: now, probeAt: now.Add(l.options.ProbeDelay)}
		for _, turn := range l.waiting {
			turn <- l.rejected
		}
		l.waiting = nil
	default: // the answer says nothing about the key
	}
	l.admit()
}

// admit lets as many pass as there are places for. The caller holds the lock.
func (l *lane) admit() {
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
// false when the sender stops.
func (l *lane) findAll(ctx context.Context, api API, stop <-chan struct{}, usernames []string) (found map[string]struct{}, answer alloy.Answer, ok bool) {
	l.mu.Lock()
	if l.pending == nil {
		l.pending = &list{wanted: map[string]struct{}{}, found: map[string]struct{}{}}
	}
	shared := l.pending
	for _, username := range usernames {
		shared.wanted[username] = struct{}{}
	}
	l.mu.Unlock()

	l.listing.Lock()
	defer l.listing.Unlock()
	if shared.done {
		return shared.found, shared.answer, true
	}
	rejected, ok := l.enter(stop)
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
	}
	shared.done = true
	return shared.found, shared.answer, true
}
