// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// mailbox holds what an owner wants until its account takes it, and news until they are recorded. The sender's lock guards it.
type mailbox struct {
	id      ID
	account *shell               // that knows the owner; nil for none
	leaving bool                 // the account is to let go of the owner; work waits for that
	work    *Work                // to be handed to the account
	doubts  map[string]time.Time // usernames in doubt, to be handed over with work, and until when the API may be working on them
	known   Report
}

// deliver adds what an account has decided to what is known.
func (m *mailbox) deliver(u *update, from *shell) {
	now, known := time.Now(), &m.known
	known.News = true
	known.revision++
	for username, result := range u.results {
		if last := known.Results[username]; result.State != Identified || last.State == 0 || last.State == Identified {
			known.Results[username] = result // that a user was created is not overwritten before it is recorded
		}
	}
	if f := u.failed; f != nil {
		shift := now.Sub(epoch.Add(from.now()))
		f.Time, f.Next, f.KeyFingerprint = f.Time.Add(shift), f.Next.Add(shift), from.fingerprint
		if known.Failed = f; f.Answer.Outcome == "" {
			known.Failed = nil
		}
	}
	if u.served {
		known.AcceptedKey, known.AcceptedAt = from.fingerprint, now
	}
	known.Unmatched = known.Unmatched || u.unmatched
}

// doubt notes that a user is in doubt, and until when the API may be working on it.
func (m *mailbox) doubt(username string, until time.Time) {
	if m.doubts == nil {
		m.doubts = map[string]time.Time{}
	}
	if last := m.doubts[username]; last.After(until) {
		until = last
	}
	m.doubts[username] = until
}

// unsettled returns the users of whom no result speaks as they are wanted.
func unsettled(list []users.User, results map[string]Result) []users.User {
	return slices.DeleteFunc(list, func(user users.User) bool { return results[user.Username].settles(user) })
}

// unfulfilled returns the edits of which there is no result.
func unfulfilled(list []Edit, results map[string]Result) []Edit {
	return slices.DeleteFunc(list, func(e Edit) bool { return results[e.User.Username].fulfills(e) })
}

// shell is an account with what runs it: one goroutine brings it events, and does what it decides.
type shell struct {
	key         alloy.Key
	fingerprint string
	account     *account
	began       time.Time
	signal      chan struct{} // has a token when the inbox is not empty

	// The sender's lock guards what follows.
	inbox   []any
	reading *Listing // the list that is being read; nil for none
	listing *Listing // the last one that was wished for, as long as it is kept
	withIDs bool     // somebody has wished for one with userIds
}

func newShell(key alloy.Key, fingerprint string, options Options) *shell {
	chance := rand.New(rand.NewPCG(new(maphash.Hash).Sum64(), 0)) //nolint:gosec // nothing secret depends on it
	return &shell{
		key: key, fingerprint: fingerprint, account: newAccount(options, chance), began: time.Now(), signal: make(chan struct{}, 1),
	}
}

// now is the time of the account. It is monotonic: a clock that is set does not change it.
func (s *shell) now() time.Duration { return time.Since(s.began) + 1 }

// accountTime is what a time is for the account, and timeOf the reverse.
func (s *shell) accountTime(t time.Time) time.Duration  { return t.Sub(s.began) + 1 }
func (s *shell) timeOf(account time.Duration) time.Time { return s.began.Add(account - 1) }

func (s *shell) put(event any) {
	s.inbox = append(s.inbox, event)
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// Sender sends the users of many owners. It routes owners to mailboxes, and keys to accounts. It is safe for concurrent use.
type Sender struct {
	api      API
	options  Options
	notify   func(ID)
	slots    chan struct{} // holds a token for each request that runs, under any key,
	listSlot chan struct{} // but a list has the only one of its own
	stopping chan struct{} // is closed by Stop
	running  sync.WaitGroup

	mu        sync.Mutex
	mailboxes map[ownerKey]*mailbox
	shells    map[string]*shell    // by key fingerprint
	keys      map[string]*keyFacts // by fingerprint
	stopped   bool
}

// The functions below are called with the lock held.

// mailbox returns the mailbox of an owner; nil if there is none, or another owner with its name has it.
func (s *Sender) mailbox(id ID) *mailbox {
	if m := s.mailboxes[id.key()]; m != nil && m.id == id {
		return m
	}
	return nil
}

// submission takes the work out of a mailbox; nil if there is none for this shell.
func (s *Sender) submission(shell *shell, key ownerKey) any {
	m := s.mailboxes[key]
	if m == nil || m.work == nil || m.account != shell || m.leaving {
		return nil
	}
	e := submitted{Work: *m.work, doubts: make(map[string]time.Duration, len(m.doubts))}
	for username, until := range m.doubts {
		e.doubts[username] = shell.accountTime(until)
	}
	e.Users, e.Edits = unsettled(e.Users, m.known.Results), unfulfilled(e.Edits, m.known.Results)
	e.KeyAccepted = e.KeyAccepted || s.facts(shell.fingerprint).isAccepted
	if wait := time.Until(e.NotBefore); wait > 0 {
		e.notBefore = shell.now() + min(wait, maxDelay)
	}
	m.work, m.doubts = nil, nil
	return e
}

// shell returns the shell of a key's account.
func (s *Sender) shell(key alloy.Key) *shell {
	fingerprint := s.Fingerprint(key)
	if s.shells[fingerprint] == nil {
		shell := newShell(key, fingerprint, s.options)
		s.shells[fingerprint] = shell
		s.running.Go(func() { s.run(shell) })
	}
	return s.shells[fingerprint]
}

// leave has the account of a mailbox let go of its owner. Nothing else is kept if the mailbox is another owner's from now on.
func (s *Sender) leave(m *mailbox, id ID) {
	if m.account != nil && !m.leaving {
		m.leaving = true
		m.account.put(submitted{Work: Work{ID: m.id}, leaves: true})
	}
	if m.id != id {
		*m = mailbox{id: id, account: m.account, leaving: m.leaving, known: Report{Results: map[string]Result{}}}
	}
}

// drop forgets a mailbox with which nothing would be lost.
func (s *Sender) drop(m *mailbox) {
	if m.account == nil && m.work == nil && len(m.known.Results) == 0 && !m.known.News && len(m.doubts) == 0 {
		delete(s.mailboxes, m.id.key())
	}
}
