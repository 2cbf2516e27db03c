package sender

import (
	"maps"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// mailbox holds what an owner wants that its account has not taken yet, and what became of its users that it has not recorded
// yet. The sender's lock guards it.
type mailbox struct {
	id        ID
	account   *shell   // that knows the owner; nil for none
	work      *Work    // to be handed to the account
	leaving   bool     // the account has been told that the owner withdraws; work waits until it has let go
	doubts    []string // usernames that the last account is in doubt about
	results   map[string]Result
	failed    *Attempt
	accepted  acceptance
	unmatched bool
	debt      debt
	revision  revision
}

// debt is a request that is to be acknowledged when all is recorded.
type debt struct {
	shell    *shell // nil for none
	sequence int
}

// acceptance is when the API last served which key.
type acceptance struct {
	key string
	at  time.Time
}

// revision counts what is new in a mailbox.
type revision struct{ latest, recorded int }

func (m *mailbox) hasNews() bool { return m.revision.latest != m.revision.recorded }

func (m *mailbox) report() Report {
	return Report{
		News: m.hasNews(), Results: maps.Clone(m.results), Failed: m.failed, AcceptedKey: m.accepted.key, AcceptedAt: m.accepted.at,
		InFlight: m.account != nil, Unmatched: m.unmatched, revision: m.revision.latest,
	}
}

// recorded drops what a report held. It reports whether nothing is new any more.
func (m *mailbox) recorded(report Report) bool {
	for username, result := range report.Results {
		if m.results[username] == result {
			delete(m.results, username)
		}
	}
	if m.work != nil { // it was submitted before the results were known
		m.work.Users = slices.DeleteFunc(m.work.Users, func(user users.User) bool { return report.Results[user.Username].settles(user) })
	}
	if m.revision.latest == report.revision {
		m.revision.recorded, m.unmatched = report.revision, false
	}
	return !m.hasNews()
}

// settles reports whether a result speaks of a user as it is wanted.
func (r Result) settles(user users.User) bool {
	return r.State == Created || r.State == Existing || r.State == Invalid && r.Sent == user
}

// deliver puts an update into the mailbox. It returns whether the owner is to be notified.
func (m *mailbox) deliver(u *update, from *shell, now time.Time) (notify bool) {
	shift := now.Sub(epoch.Add(from.now()))
	if len(m.results) == 0 {
		m.results = u.results
	} else {
		maps.Copy(m.results, u.results)
	}
	switch {
	case u.over:
		m.failed = nil
	case u.failed != nil:
		m.failed = u.failed
		m.failed.Time, m.failed.Next, m.failed.KeyFingerprint = m.failed.Time.Add(shift), m.failed.Next.Add(shift), from.fingerprint
	}
	if u.served {
		m.accepted = acceptance{from.fingerprint, now}
	}
	m.unmatched = m.unmatched || u.unmatched
	m.revision.latest++
	if u.sequence > 0 {
		m.debt = debt{from, u.sequence}
	}
	return u.notify
}
