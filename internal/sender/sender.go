// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// New makes a sender. It calls notify, without locks held, when there is news for an owner: several times a second while it searches
// for the users of the owner that the API refuses.
func New(api API, options Options, notify func(ID)) *Sender {
	return &Sender{
		api: api, options: options, notify: notify, slots: make(chan struct{}, cmp.Or(options.Requests, 1<<20)),
		listSlot: make(chan struct{}, 1), stopping: make(chan struct{}),
		mailboxes: map[ownerKey]*mailbox{}, shells: map[string]*shell{}, keys: map[string]*keyFacts{},
	}
}

// Fingerprint identifies a key at the sender's API.
func (s *Sender) Fingerprint(key alloy.Key) string { return key.Fingerprint(s.api.BaseURL()) }

// Submit replaces what an owner wants done. It does not block. Users of whom there is an answer already are passed over; a
// request that is running goes on. Submitting the same work again changes nothing.
func (s *Sender) Submit(work Work) {
	work.Users, work.Edits = slices.Clone(work.Users), slices.Clone(work.Edits)
	work.Known, work.Absent = slices.Clone(work.Known), slices.Clone(work.Absent)
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
	if work.InDoubt { // an owner says that only once, perhaps long before an account takes its work
		for _, user := range work.Users {
			m.doubt(user.Username, time.Time{}) // until when the API may be working on it NotBefore says
		}
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
	m := s.mailbox(id)
	if m == nil {
		return
	}
	maps.DeleteFunc(m.known.Results, func(username string, result Result) bool { return report.Results[username] == result })
	if m.work != nil { // it was submitted before the results were known
		m.work.Users, m.work.Edits = unsettled(m.work.Users, report.Results), unfulfilled(m.work.Edits, report.Results)
	}
	if m.known.revision == report.revision {
		m.known.News, m.known.Unmatched = false, false
	}
	s.drop(m)
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

// Stop starts no more requests, takes no more work, and ends the list that is being read.
func (s *Sender) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
	}
	for _, shell := range s.shells {
		shell.put(stopped{})
	}
}

// Wait returns when the requests that ran at Stop are over.
func (s *Sender) Wait() { s.running.Wait() }

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
		var slots, listSlot chan struct{} // nil blocks
		if d.wantSlot {
			slots = s.slots
		}
		if d.wantListSlot {
			listSlot = s.listSlot
		}
		if len(events) > 0 {
			timer.Reset(0)
		}
		select {
		case slots <- struct{}{}:
			events = append(events, granted{})
		case listSlot <- struct{}{}:
			events = append(events, granted{isForList: true})
		case <-shell.signal:
			if len(events) == 0 {
				continue
			}
		case <-timer.C:
		}
		now := shell.now()
		d = shell.account.step(now, events...)
		s.deliver(shell, d)
		s.begin(shell, events, d)
		timer.Reset(d.wakeAt - now)
	}
}

// begin makes the request that an account decided on, or returns the slot that it was granted.
func (s *Sender) begin(shell *shell, events []any, d decision) {
	switch {
	case d.request != nil && d.request.isList():
		go s.readList(shell, d.request, s.beginList(shell, d.request))
	case d.request != nil:
		s.options.Waited(d.request.waited)
		go s.send(shell, d.request)
	case slices.Contains(events, any(granted{})):
		<-s.slots
	case slices.Contains(events, any(granted{isForList: true})):
		<-s.listSlot
	}
}

// send makes one request. What has begun is finished, whatever happens; the client bounds its time.
func (s *Sender) send(shell *shell, r *request) {
	ctx, event := context.Background(), answered{request: r, found: map[string]struct{}{}}
	switch {
	case r.edit != nil && r.asked.UserID == "":
		event.answer = s.api.GetUser(ctx, shell.key, r.asked.User.Username)
	case r.edit != nil:
		event.answer = s.api.UpdateUser(ctx, shell.key, r.asked.UserID, r.asked.User.FullName)
	case r.read == nil:
		event.answer = s.api.CreateUsers(ctx, shell.key, r.users)
	default:
		for username := range r.read.wanted { // just one
			if event.answer = s.api.GetUser(ctx, shell.key, username); event.answer.Outcome == alloy.Found {
				event.found[username] = struct{}{}
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
		switch e := event.(type) {
		case ownerKey:
			event = s.submission(shell, e)
		case wish:
			event = wantList{shell.accountTime(e.since), shell.keeps(e), s.facts(shell.fingerprint).isAccepted}
		}
		if event != nil {
			events = append(events, event)
		}
		_, isAnswer = event.(answered)
	}
	return events, true
}

// deliver puts what an account decided into the mailboxes, and notifies the owners.
func (s *Sender) deliver(shell *shell, d decision) {
	var notify []ID
	s.mu.Lock()
	s.noteSeen(shell, d.updates)
	s.noteList(shell, d)
	for _, u := range d.updates {
		if u.served {
			s.facts(shell.fingerprint).isAccepted = true
		}
		if m := s.mailbox(u.owner.id); m != nil {
			m.deliver(u, shell)
			notify = append(notify, m.id)
		}
	}
	for _, gone := range d.released {
		if s.release(shell, gone) {
			notify = append(notify, gone.id)
		}
	}
	s.mu.Unlock()
	for _, id := range notify {
		s.notify(id)
	}
	if d.listed != nil && d.listed.isWished && s.options.Listed != nil {
		s.options.Listed(shell.fingerprint)
	}
}

// assign has an account take the work of a mailbox, once no other one has users of the owner. The lock is held.
func (s *Sender) assign(m *mailbox) {
	if m.work == nil || m.leaving || s.stopped {
		return
	}
	if m.account == nil {
		m.account = s.shell(m.work.Key)
	}
	m.account.put(m.id.key())
}

// release notes that an account has let go of an owner. If there is more to do for it, its next account begins; else it reports
// whether the owner, which has withdrawn, is to be notified. The lock is held.
func (s *Sender) release(shell *shell, gone released) (notify bool) {
	m := s.mailboxes[gone.id.key()]
	if m == nil || m.account != shell || gone.isUnknown && !m.leaving {
		return false
	}
	notify = m.leaving && m.work == nil && m.id == gone.id
	m.account, m.leaving, m.known.Failed = nil, false, nil
	if m.id.UID != "" { // else it is gone
		for username, until := range gone.doubts {
			m.doubt(username, shell.timeOf(until))
		}
	}
	s.assign(m)
	s.drop(m)
	return notify
}
