package sender

import (
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// mailbox holds what an owner wants until its account takes it, and news until they are recorded. The sender's lock guards it.
type mailbox struct {
	id       ID
	account  *shell   // that knows the owner; nil for none
	leaving  bool     // the account is to let go of the owner; work waits for that
	work     *Work    // to be handed to the account
	doubts   []string // usernames that the last account is in doubt about
	known    Report
	creditor *shell // to be told when all is recorded that a request brought; nil for none
	sequence int    // of that request
}

// deliver adds what an account has decided to what is known.
func (m *mailbox) deliver(u *update, from *shell) {
	now, known := time.Now(), &m.known
	known.News = true
	known.revision++
	maps.Copy(known.Results, u.results)
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
	if known.Unmatched = known.Unmatched || u.unmatched; u.sequence > 0 {
		m.creditor, m.sequence = from, u.sequence
	}
}

// record drops what a report held.
func (m *mailbox) record(report Report) {
	for username, result := range report.Results {
		if m.known.Results[username] == result {
			delete(m.known.Results, username)
		}
	}
	if m.work != nil { // it was submitted before the results were known
		m.work.Users = unsettled(m.work.Users, report.Results)
	}
	if m.known.revision == report.revision {
		m.known.News, m.known.Unmatched = false, false
	}
}

// unsettled returns the users of whom no result speaks as they are wanted.
func unsettled(list []users.User, results map[string]Result) []users.User {
	return slices.DeleteFunc(list, func(user users.User) bool { return results[user.Username].settles(user) })
}

// acknowledge tells the account that what a request brought is recorded, or never will be.
func (m *mailbox) acknowledge() {
	if m.creditor != nil {
		m.creditor.put(acknowledged{m.sequence})
	}
	m.creditor = nil
}

// shell is an account with what runs it: one goroutine brings it events, and does what it decides.
type shell struct {
	key         alloy.Key
	fingerprint string
	account     *account
	began       time.Time
	inbox       []any         // guarded by the sender's lock
	signal      chan struct{} // has a token when the inbox is not empty
}

func newShell(key alloy.Key, fingerprint string, options Options) *shell {
	chance := rand.New(rand.NewPCG(new(maphash.Hash).Sum64(), 0)) //nolint:gosec // nothing secret depends on it
	return &shell{
		key: key, fingerprint: fingerprint, account: newAccount(options, chance), began: time.Now(), signal: make(chan struct{}, 1),
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
