package sender

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

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
	work.Users = slices.Clone(work.Users)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	m := s.mailboxes[work.ID.key()]
	if m == nil {
		m = &mailbox{}
		s.mailboxes[work.ID.key()] = m
	}
	if m.id != work.ID || m.account != s.shells[s.Fingerprint(work.Key)] {
		s.leave(m, work.ID)
	}
	m.work = &work
	s.assign(m)
}

// Withdraw ends what an owner wanted done. A request that is running goes on, and its answer is reported.
func (s *Sender) Withdraw(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailboxes[id.key()]; m != nil {
		s.leave(m, id)
		m.work = nil
		s.drop(m)
	}
}

// Forget drops everything known of an owner that is gone.
func (s *Sender) Forget(namespace, name string) { s.Withdraw(ID{Namespace: namespace, Name: name}) }

// Report returns what is known of an owner's users and not yet recorded.
func (s *Sender) Report(id ID) (report Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailbox(id); m != nil {
		report = m.known
		report.Results, report.InFlight = maps.Clone(report.Results), m.account != nil
	}
	return report
}

// Recorded acknowledges that a report was recorded, and need not be kept.
func (s *Sender) Recorded(id ID, report Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailbox(id); m != nil {
		if m.record(report); !m.known.News {
			m.acknowledge()
		}
		s.drop(m)
	}
}

// Unrecorded returns the owners for whom there is news.
func (s *Sender) Unrecorded() (ids []ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.mailboxes {
		if m.known.News {
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
