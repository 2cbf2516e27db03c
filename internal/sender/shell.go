package sender

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// shell runs an account: it brings it events, in one goroutine, and does what it decides.
type shell struct {
	api         API
	key         alloy.Key
	fingerprint string
	account     *account
	router      router
	began       time.Time
	slots       chan struct{} // holds a token for each request that runs, under any key; nil for no bound
	inbox       []any         // guarded by the router's lock
	signal      chan struct{} // has a token when the inbox is not empty
}

// router is what a shell needs of the sender.
type router interface {
	// take returns the events in a shell's inbox. If there are none and the account is done, it forgets the shell, and ok is false.
	take(s *shell, isDone bool) (events []any, ok bool)
	// deliver hands out what an account decided.
	deliver(s *shell, b outbox)
	// post puts an event into a shell's inbox.
	post(s *shell, event any)
}

func newShell(api API, key alloy.Key, fingerprint string, options Options, slots chan struct{}, router router) *shell {
	return &shell{
		api: api, key: key, fingerprint: fingerprint, router: router, began: time.Now(), slots: slots, signal: make(chan struct{}, 1),
		account: newAccount(options, rand.New(rand.NewPCG(new(maphash.Hash).Sum64(), 0))), //nolint:gosec // nothing secret depends on it
	}
}

// now is the time of the account. It is monotonic: a clock that is set does not change it.
func (s *shell) now() time.Duration { return time.Since(s.began) + 1 }

func (s *shell) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	isDone, slots := false, (chan struct{})(nil)
	for {
		events, ok := s.router.take(s, isDone)
		if !ok {
			return
		}
		if len(events) == 0 {
			select {
			case <-s.signal:
				continue
			case <-timer.C:
			case slots <- struct{}{}:
				events = []any{granted{}}
			}
		} else {
			select {
			case slots <- struct{}{}:
				events = append(events, granted{})
			default:
			}
		}
		isDone, slots = s.step(timer, events)
	}
}

// step has the account decide, and does that.
func (s *shell) step(timer *time.Timer, events []any) (isDone bool, slots chan struct{}) {
	now := s.now()
	d := s.account.step(now, events...)
	s.router.deliver(s, d.outbox)
	if d.request != nil {
		go s.send(d.request)
	} else if slices.Contains(events, any(granted{})) {
		<-s.slots
	}
	if d.wakeAt == never {
		timer.Stop()
	} else {
		timer.Reset(d.wakeAt - now)
	}
	if d.wantSlot {
		slots = s.slots
	}
	return d.isDone, slots
}

// send makes one request. What has begun is finished, whatever happens; the client bounds its time.
func (s *shell) send(r *request) {
	ctx, event := context.Background(), answered{request: r, found: map[string]struct{}{}}
	visit := func(username string) {
		if _, wanted := r.read.wanted[username]; wanted {
			event.found[username] = struct{}{}
		}
	}
	switch {
	case r.read == nil:
		event.answer = s.api.CreateUsers(ctx, s.key, r.users)
	case r.read.way == inList:
		event.answer = s.api.ListUsers(ctx, s.key, visit)
	default:
		for username := range r.read.wanted { // just one
			if event.answer = s.api.GetUser(ctx, s.key, username); event.answer.Outcome == alloy.Found {
				visit(username)
			}
		}
	}
	<-s.slots
	s.router.post(s, event)
}
