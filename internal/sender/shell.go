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
	began       time.Time
	slots       chan struct{} // holds a token for each request that runs, under any key
	inbox       []any         // guarded by the sender's lock
	signal      chan struct{} // has a token when the inbox is not empty
}

// router is what a shell needs of the sender.
type router interface {
	take(s *shell, isDone bool) (events []any, ok bool)
	deliver(s *shell, b outbox)
	post(s *shell, event any)
}

func newShell(api API, key alloy.Key, fingerprint string, options Options, slots chan struct{}) *shell {
	chance := rand.New(rand.NewPCG(new(maphash.Hash).Sum64(), 0)) //nolint:gosec // nothing secret depends on it
	return &shell{
		api: api, key: key, fingerprint: fingerprint, began: time.Now(), slots: slots, signal: make(chan struct{}, 1),
		account: newAccount(options, chance),
	}
}

// now is the time of the account. It is monotonic: a clock that is set does not change it.
func (s *shell) now() time.Duration { return time.Since(s.began) + 1 }

func (s *shell) put(event any) {
	s.inbox = append(s.inbox, event)
	s.wake()
}

func (s *shell) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// run runs the account until it is done.
func (s *shell) run(router router) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var d decision
	for {
		events, ok := router.take(s, d.isDone)
		if !ok {
			return
		}
		var slots chan struct{} // nil blocks
		if d.wantSlot {
			slots = s.slots
		}
		if len(events) > 0 {
			s.wake()
		}
		select {
		case slots <- struct{}{}:
			events = append(events, granted{})
		case <-s.signal:
			if len(events) == 0 {
				continue
			}
		case <-timer.C:
		}
		now := s.now()
		d = s.account.step(now, events...)
		router.deliver(s, d.outbox)
		if d.request != nil {
			go s.send(router, d.request)
		} else if slices.Contains(events, any(granted{})) {
			<-s.slots
		}
		if timer.Stop(); d.wakeAt != never {
			timer.Reset(d.wakeAt - now)
		}
	}
}

// send makes one request. What has begun is finished, whatever happens; the client bounds its time.
func (s *shell) send(router router, r *request) {
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
	router.post(s, event)
}
