package sender

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// Sender sends the users of many owners. It routes owners to mailboxes, and keys to accounts. It is safe for concurrent use.
type Sender struct {
	api     API
	options Options
	notify  func(ID)
	slots   chan struct{} // holds a token for each request that runs, under any key
	running sync.WaitGroup

	mu        sync.Mutex
	mailboxes map[ownerKey]*mailbox
	shells    map[string]*shell    // by key fingerprint
	accepted  map[string]time.Time // when the API last served a key, by fingerprint
	stopped   bool
}

// acceptedKept is how long it is remembered that the API has served a key of which there is no account any more: then a 403 is
// not about the key.
const acceptedKept = 24 * time.Hour

// run runs an account until it is done.
func (s *Sender) run(shell *shell) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var d decision
	for {
		events, ok := s.take(shell, d.isDone)
		if !ok {
			return
		}
		var slots chan struct{} // nil blocks
		if d.wantSlot {
			slots = s.slots
		}
		if len(events) > 0 {
			shell.wake()
		}
		select {
		case slots <- struct{}{}:
			events = append(events, granted{})
		case <-shell.signal:
			if len(events) == 0 {
				continue
			}
		case <-timer.C:
		}
		now := shell.now()
		d = shell.account.step(now, events...)
		s.deliver(shell, d.outbox)
		if d.request != nil {
			go s.send(shell, d.request)
		} else if slices.Contains(events, any(granted{})) {
			<-s.slots
		}
		timer.Reset(d.wakeAt - now)
	}
}

// send makes one request. What has begun is finished, whatever happens; the client bounds its time.
func (s *Sender) send(shell *shell, r *request) {
	ctx, event := context.Background(), answered{request: r, found: map[string]struct{}{}}
	visit := func(username string) {
		if _, wanted := r.read.wanted[username]; wanted {
			event.found[username] = struct{}{}
		}
	}
	switch {
	case r.read == nil:
		event.answer = s.api.CreateUsers(ctx, shell.key, r.users)
	case r.read.way == inList:
		event.answer = s.api.ListUsers(ctx, shell.key, visit)
	default:
		for username := range r.read.wanted { // just one
			if event.answer = s.api.GetUser(ctx, shell.key, username); event.answer.Outcome == alloy.Found {
				visit(username)
			}
		}
	}
	<-s.slots
	s.post(shell, event)
}

func (s *Sender) post(shell *shell, event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shell.put(event)
}

// take takes the events out of a shell's inbox. If there are none and the account is done, it forgets the shell.
func (s *Sender) take(shell *shell, isDone bool) (events []any, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(shell.inbox) == 0 && isDone {
		delete(s.shells, shell.fingerprint)
		return nil, false
	}
	for isAnswer := false; len(shell.inbox) > 0 && !isAnswer; { // what that says is delivered before more work is taken
		event := shell.inbox[0]
		shell.inbox = shell.inbox[1:]
		if key, isOwner := event.(ownerKey); isOwner {
			event = s.submission(shell, key)
		}
		if event != nil {
			events = append(events, event)
		}
		_, isAnswer = event.(answered)
	}
	return events, true
}

// deliver puts what an account decided into the mailboxes, and notifies the owners.
func (s *Sender) deliver(shell *shell, b outbox) {
	var notify []ID
	s.mu.Lock()
	for _, id := range b.order {
		u := b.updates[id]
		if u.served {
			s.accepted[shell.fingerprint] = time.Now()
		}
		if m := s.mailbox(id); m != nil {
			if m.deliver(u, shell); u.notify {
				notify = append(notify, id)
			}
		} else if u.sequence > 0 { // nobody may ever record it
			shell.put(acknowledged{u.sequence})
		}
	}
	for _, gone := range b.released {
		if s.release(shell, gone) {
			notify = append(notify, gone.id)
		}
	}
	s.mu.Unlock()
	for _, id := range notify {
		s.notify(id)
	}
}

// The functions below are called with the lock held.

// mailbox returns the mailbox of an owner; nil if there is none, or another owner with its name has it.
func (s *Sender) mailbox(id ID) *mailbox {
	if m := s.mailboxes[id.key()]; m != nil && m.id == id {
		return m
	}
	return nil
}

// assign has an account take the work of a mailbox, once no other one has users of the owner.
func (s *Sender) assign(m *mailbox) {
	if m.work == nil || m.leaving || s.stopped {
		return
	}
	if m.account == nil {
		fingerprint := s.Fingerprint(m.work.Key)
		if s.shells[fingerprint] == nil {
			shell := newShell(m.work.Key, fingerprint, s.options)
			maps.DeleteFunc(s.accepted, func(_ string, at time.Time) bool { return time.Since(at) > acceptedKept })
			_, shell.account.gate.proven = s.accepted[fingerprint]
			s.shells[fingerprint] = shell
			s.running.Go(func() { s.run(shell) })
		}
		m.account = s.shells[fingerprint]
	}
	m.account.put(m.id.key())
}

// submission takes the work out of a mailbox; nil if there is none for this shell.
func (s *Sender) submission(shell *shell, key ownerKey) any {
	m := s.mailboxes[key]
	if m == nil || m.work == nil || m.account != shell || m.leaving {
		return nil
	}
	work := m.work
	e := submitted{id: m.id, users: unsettled(work.Users, m.known.Results), accepted: work.KeyAccepted, inDoubt: work.InDoubt, doubts: m.doubts}
	if wait := time.Until(work.NotBefore); wait > 0 {
		e.notBefore = shell.now() + min(wait, maxDelay)
	}
	m.work, m.doubts = nil, nil
	return e
}

// leave has the account of a mailbox let go of its owner, of whom nobody may ever record anything. If the mailbox is another
// owner's from now on, nothing else is kept of the last one.
func (s *Sender) leave(m *mailbox, id ID) {
	if m.account != nil && !m.leaving {
		m.leaving = true
		m.account.put(withdrawn{m.id})
	}
	if m.acknowledge(); m.id != id {
		*m = mailbox{id: id, account: m.account, leaving: m.leaving, known: Report{Results: map[string]Result{}}}
	}
}

// release notes that an account has let go of an owner. If there is more to do for it, its next account begins; else it reports
// whether the owner, which has withdrawn, is to be notified.
func (s *Sender) release(shell *shell, gone released) (notify bool) {
	m := s.mailboxes[gone.id.key()]
	if m == nil || m.account != shell {
		return false
	}
	notify = m.leaving && m.work == nil && m.id == gone.id
	m.account, m.leaving, m.known.Failed = nil, false, nil
	if m.id.UID != "" { // else it is gone
		m.doubts = append(m.doubts, gone.doubts...)
	}
	s.assign(m)
	s.drop(m)
	return notify
}

// drop forgets a mailbox with which nothing would be lost.
func (s *Sender) drop(m *mailbox) {
	if m.account == nil && m.work == nil && len(m.known.Results) == 0 && !m.known.News && len(m.doubts) == 0 {
		delete(s.mailboxes, m.id.key())
	}
}
