// SPDX-License-Identifier: Apache-2.0

package sender

// Accounts returns how many accounts and mailboxes are kept.
func (s *Sender) Accounts() (accounts, mailboxes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shells), len(s.mailboxes)
}
