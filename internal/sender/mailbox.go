package sender

import (
	"maps"
	"slices"
	"time"

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
	recorded int    // the last revision of known that was
	creditor *shell // to be told when all is recorded that a request brought; nil for none
	sequence int    // of that request
}

// become drops what is known of another owner with the same name. Only its account is yet to let go of that.
func (m *mailbox) become(id ID) {
	if m.id != id {
		*m = mailbox{id: id, account: m.account, leaving: m.leaving}
	}
}

func (m *mailbox) hasNews() bool { return m.known.revision != m.recorded }

func (m *mailbox) report() Report {
	report := m.known
	report.News, report.Results, report.InFlight = m.hasNews(), maps.Clone(report.Results), m.account != nil
	return report
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
		m.recorded, m.known.Unmatched = report.revision, false
	}
}

// unsettled returns the users of whom no result speaks as they are wanted.
func unsettled(list []users.User, results map[string]Result) []users.User {
	return slices.DeleteFunc(list, func(user users.User) bool { return results[user.Username].settles(user) })
}

func (m *mailbox) deliver(u *update, from *shell) {
	now, known := time.Now(), &m.known
	known.revision++
	if known.Results == nil {
		known.Results = u.results
	} else {
		maps.Copy(known.Results, u.results)
	}
	switch {
	case u.over:
		known.Failed = nil
	case u.failed != nil:
		shift := now.Sub(epoch.Add(from.now()))
		known.Failed = u.failed
		known.Failed.Time, known.Failed.Next, known.Failed.KeyFingerprint = u.failed.Time.Add(shift), u.failed.Next.Add(shift), from.fingerprint
	}
	if u.served {
		known.AcceptedKey, known.AcceptedAt = from.fingerprint, now
	}
	if known.Unmatched = known.Unmatched || u.unmatched; u.sequence > 0 {
		m.creditor, m.sequence = from, u.sequence
	}
}
