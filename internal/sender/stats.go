// SPDX-License-Identifier: Apache-2.0

package sender

import "time"

// Stats say what a sender has to do.
type Stats struct {
	Closed, Open, HalfOpen int // keys with something to do, by the state of their circuit breakers: half open if a probe may go
	InDoubt                int // users that are wanted, and that a request whose answer was lost may have created
}

// Stats returns what the sender has to do. It waits for a step of each account, never for the API.
func (s *Sender) Stats() (sum Stats) {
	s.mu.Lock()
	answers := make(chan Stats, len(s.shells))
	for _, shell := range s.shells {
		shell.put(asked(answers))
	}
	for _, m := range s.mailboxes {
		sum.InDoubt += len(m.doubts)
	}
	s.mu.Unlock()
	for range cap(answers) {
		one := <-answers
		sum = Stats{sum.Closed + one.Closed, sum.Open + one.Open, sum.HalfOpen + one.HalfOpen, sum.InDoubt + one.InDoubt}
	}
	return sum
}

func (a *account) stats(now time.Duration) (own Stats) {
	switch {
	case a.isIdle() && a.freshAt(now) <= now: // it only keeps a list, or remembers that none can be read
	case a.gate.next() > now:
		own.Open = 1
	case a.gate.isOpen():
		own.HalfOpen = 1
	default:
		own.Closed = 1
	}
	for _, e := range a.queue.index {
		if e.inDoubt && e.isWanted() {
			own.InDoubt++
		}
	}
	return own
}
