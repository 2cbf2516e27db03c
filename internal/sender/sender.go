package sender

import (
	"cmp"
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
	slots   chan struct{}
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

// New makes a sender. notify is called, without locks held, when there is news for an owner.
func New(api API, options Options, notify func(ID)) *Sender {
	return &Sender{
		api: api, options: options, notify: notify, slots: make(chan struct{}, cmp.Or(options.Requests, 1<<20)),
		mailboxes: map[ownerKey]*mailbox{}, shells: map[string]*shell{}, accepted: map[string]time.Time{},
	}
}

// Fingerprint identifies a key at the sender's API.
func (s *Sender) Fingerprint(key alloy.Key) string { return key.Fingerprint(s.api.BaseURL()) }

// Submit replaces what an owner wants done. It does not block. Users of whom there is an answer already are passed over; a
// request that is running goes on. Submitting the same work again changes nothing.
func (s *Sender) Submit(work Work) {
	fingerprint := s.Fingerprint(work.Key)
	work.Users = slices.Clone(work.Users)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	m := s.mailboxes[work.ID.key()]
	if m == nil {
		m = &mailbox{id: work.ID}
		s.mailboxes[work.ID.key()] = m
	}
	if m.id != work.ID || m.account != s.shells[fingerprint] {
		s.leave(m)
	}
	m.become(work.ID)
	m.work = &work
	s.assign(m)
}

// Withdraw ends what an owner wanted done. A request that is running goes on, and its answer is reported.
func (s *Sender) Withdraw(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailboxes[id.key()]; m != nil {
		s.leave(m)
		m.become(id)
		m.work = nil
		s.drop(m)
	}
}

// Forget drops everything known of an owner that is gone.
func (s *Sender) Forget(namespace, name string) { s.Withdraw(ID{Namespace: namespace, Name: name}) }

// Report returns what is known of an owner's users and not yet recorded.
func (s *Sender) Report(id ID) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailbox(id); m != nil {
		return m.report()
	}
	return Report{}
}

// Recorded acknowledges that a report was recorded, and need not be kept.
func (s *Sender) Recorded(id ID, report Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailbox(id); m != nil {
		if m.record(report); !m.hasNews() {
			s.acknowledge(m)
		}
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
	s.stopped = true
	for _, shell := range s.shells {
		shell.put(stopped{})
	}
}

// Wait returns when the requests that ran at Stop are over.
func (s *Sender) Wait() { s.running.Wait() }

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
			shell := newShell(s.api, m.work.Key, fingerprint, s.options, s.slots)
			maps.DeleteFunc(s.accepted, func(_ string, at time.Time) bool { return time.Since(at) > acceptedKept })
			_, shell.account.gate.proven = s.accepted[fingerprint]
			s.shells[fingerprint] = shell
			s.running.Go(func() { shell.run(s) })
		}
		m.account = s.shells[fingerprint]
	}
	m.account.put(m.id.key())
}

// leave has the account of a mailbox let go of its owner, of whom nobody may ever record anything.
func (s *Sender) leave(m *mailbox) {
	if m.account != nil && !m.leaving {
		m.leaving = true
		m.account.put(withdrawn{m.id})
	}
	s.acknowledge(m)
}

// acknowledge tells the account that what a request brought is recorded.
func (s *Sender) acknowledge(m *mailbox) {
	if m.creditor != nil {
		m.creditor.put(acknowledged{m.sequence})
	}
	m.creditor = nil
}

// drop forgets a mailbox with which nothing would be lost.
func (s *Sender) drop(m *mailbox) {
	if m.account == nil && m.work == nil && len(m.known.Results) == 0 && !m.hasNews() && len(m.doubts) == 0 {
		delete(s.mailboxes, m.id.key())
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
	inbox := shell.inbox
	shell.inbox = nil
	for n, event := range inbox {
		if key, isOwner := event.(ownerKey); isOwner {
			event = s.submission(shell, key)
		}
		if event != nil {
			events = append(events, event)
		}
		if _, isAnswer := event.(answered); isAnswer { // what it says is delivered before more work is taken
			shell.inbox = inbox[n+1:]
			break
		}
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
