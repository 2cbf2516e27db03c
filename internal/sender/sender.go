package sender

import (
	"slices"
	"sync"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Sender sends the users of many owners. It is safe for concurrent use. It routes: owners to mailboxes, keys to accounts.
type Sender struct {
	api     API
	options Options
	notify  func(ID)
	slots   chan struct{}
	running sync.WaitGroup

	mu        sync.Mutex
	mailboxes map[ownerKey]*mailbox
	shells    map[string]*shell // by key fingerprint
	stopped   bool
}

// New makes a sender. notify is called, without locks held, when there is news for an owner.
func New(api API, options Options, notify func(ID)) *Sender {
	if options.Requests == 0 {
		options.Requests = 1 << 20
	}
	return &Sender{
		api: api, options: options, notify: notify, slots: make(chan struct{}, options.Requests),
		mailboxes: map[ownerKey]*mailbox{}, shells: map[string]*shell{},
	}
}

// Fingerprint identifies a key at the sender's API.
func (s *Sender) Fingerprint(key alloy.Key) string { return key.Fingerprint(s.api.BaseURL()) }

// Submit replaces what an owner wants done. Users about whom there is an answer already are passed over; a request that is
// running goes on. Submitting the same work again changes nothing. It does not block.
func (s *Sender) Submit(work Work) {
	fingerprint := s.Fingerprint(work.Key)
	work.Users = slices.Clone(work.Users)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	m := s.mailboxes[work.ID.key()]
	switch {
	case m == nil:
		m = &mailbox{id: work.ID}
		s.mailboxes[work.ID.key()] = m
	case m.id != work.ID:
		s.clear(m, work.ID)
	}
	m.work = &work
	if m.account != nil && m.account != s.shells[fingerprint] {
		s.leave(m)
	}
	s.assign(m)
}

// assign has an account take the work of a mailbox, once no other one has users of the owner.
func (s *Sender) assign(m *mailbox) {
	if m.work == nil || m.leaving || s.stopped {
		return
	}
	if m.account == nil {
		fingerprint := s.Fingerprint(m.work.Key)
		if s.shells[fingerprint] == nil {
			shell := newShell(s.api, m.work.Key, fingerprint, s.options, s.slots, s)
			s.shells[fingerprint] = shell
			s.running.Go(shell.run)
		}
		m.account = s.shells[fingerprint]
	}
	s.put(m.account, m.id.key())
}

// put puts an event into a shell's inbox. The caller holds the lock.
func (s *Sender) put(shell *shell, event any) {
	shell.inbox = append(shell.inbox, event)
	select {
	case shell.signal <- struct{}{}:
	default:
	}
}

// leave has the account of a mailbox let go of its owner.
func (s *Sender) leave(m *mailbox) {
	if m.account != nil && !m.leaving {
		m.leaving = true
		s.put(m.account, withdrawn{m.id})
	}
	s.acknowledge(m) // nobody may ever record it
}

// clear begins a mailbox anew, for another owner of the same name or none.
func (s *Sender) clear(m *mailbox, id ID) {
	s.leave(m)
	*m = mailbox{id: id, account: m.account, leaving: m.leaving}
}

// acknowledge tells the account that what a request brought is recorded.
func (s *Sender) acknowledge(m *mailbox) {
	if m.debt.shell != nil {
		s.put(m.debt.shell, acknowledged{m.debt.sequence})
	}
	m.debt = debt{}
}

// Withdraw ends what an owner wanted done. A request that is running goes on, and its answer is reported.
func (s *Sender) Withdraw(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailboxes[id.key()]; m != nil && m.id == id {
		m.work = nil
		s.leave(m)
		s.drop(m)
	}
}

// Forget drops everything known of an owner that is gone.
func (s *Sender) Forget(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailboxes[ownerKey{namespace, name}]; m != nil {
		s.clear(m, ID{Namespace: namespace, Name: name})
		s.drop(m)
	}
}

// drop forgets a mailbox with which nothing would be lost.
func (s *Sender) drop(m *mailbox) {
	if m.account == nil && m.work == nil && len(m.results) == 0 && !m.hasNews() && len(m.doubts) == 0 {
		delete(s.mailboxes, m.id.key())
	}
}

// Report returns what is known of an owner's users and not yet recorded.
func (s *Sender) Report(id ID) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailboxes[id.key()]; m != nil && m.id == id {
		return m.report()
	}
	return Report{}
}

// Recorded acknowledges that a report was recorded, and need not be kept.
func (s *Sender) Recorded(id ID, report Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailboxes[id.key()]; m != nil && m.id == id && m.recorded(report) {
		s.acknowledge(m)
		s.drop(m)
	}
}

// Unrecorded returns the owners for whom there is news.
func (s *Sender) Unrecorded() []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []ID
	for _, m := range s.mailboxes {
		if m.hasNews() {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// Stop starts no more requests, and takes no more work.
func (s *Sender) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		for _, shell := range s.shells {
			s.put(shell, stopped{})
		}
	}
}

// Wait returns when the requests that ran at Stop are over.
func (s *Sender) Wait() { s.running.Wait() }

func (s *Sender) post(shell *shell, event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(shell, event)
}

func (s *Sender) take(shell *shell, isDone bool) (events []any, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(shell.inbox) == 0 && isDone {
		delete(s.shells, shell.fingerprint)
		return nil, false
	}
	events, shell.inbox = shell.inbox, nil
	kept := events[:0]
	for _, event := range events {
		if key, isOwner := event.(ownerKey); isOwner {
			event = s.submission(shell, key)
		}
		if event != nil {
			kept = append(kept, event)
		}
	}
	return kept, true
}

// submission takes the work out of a mailbox; nil if there is none for this shell.
func (s *Sender) submission(shell *shell, key ownerKey) any {
	m := s.mailboxes[key]
	if m == nil || m.work == nil || m.account != shell || m.leaving {
		return nil
	}
	work := m.work
	e := submitted{id: m.id, users: work.Users, accepted: work.KeyAccepted, inDoubt: work.InDoubt, doubts: m.doubts}
	e.users = slices.DeleteFunc(work.Users, func(user users.User) bool { return m.results[user.Username].settles(user) })
	if wait := time.Until(work.NotBefore); wait > 0 {
		e.notBefore = shell.now() + min(wait, maxDelay)
	}
	m.work, m.doubts = nil, nil
	return e
}

func (s *Sender) deliver(shell *shell, b outbox) {
	var notify []ID
	s.mu.Lock()
	now := time.Now()
	for _, id := range b.order {
		u, m := b.updates[id], s.mailboxes[id.key()]
		switch {
		case m != nil && m.id == id:
			if m.deliver(u, shell, now) {
				notify = append(notify, id)
			}
		case u.sequence > 0: // nobody may ever record it
			s.put(shell, acknowledged{u.sequence})
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

// release notes that an account has let go of an owner. If there is more to do for it, its next account begins; else it reports
// whether the owner, which has withdrawn, is to be notified.
func (s *Sender) release(shell *shell, gone released) (notify bool) {
	m := s.mailboxes[gone.id.key()]
	if m == nil || m.account != shell {
		return false
	}
	notify = m.leaving && m.work == nil && m.id == gone.id
	m.account, m.leaving, m.failed = nil, false, nil
	if m.id.UID != "" || m.work != nil {
		m.doubts = append(m.doubts, gone.doubts...)
	}
	s.assign(m)
	s.drop(m)
	return notify
}
