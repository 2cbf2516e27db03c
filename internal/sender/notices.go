package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	// noticePause passes between two notifications of an owner with unsettled users.
	noticePause = time.Second
	// noticeTicks is over how many steps, in the NoticeDelay, owners that wait are told why.
	noticeTicks = 100
)

// obstacle returns what keeps owners waiting, if anything does.
func (a *account) obstacle() *failure {
	if a.gate.isOpen() {
		return &failure{answer: unspoken(a.gate.answer), next: a.gate.next()}
	}
	if i := a.refusing(); i != nil {
		return &failure{answer: unspoken(i.answer), next: i.pause.until}
	}
	return nil
}

// tellWaiting tells owners that only wait why, once for each class of failure, and some at a time. It returns when it has to
// be called again.
func (a *account) tellWaiting(now time.Duration) time.Duration {
	n, f := &a.turns.notices, a.obstacle()
	class := alloy.Outcome("")
	if f != nil {
		class = f.answer.Outcome
	}
	if n.class != class {
		n.class, n.told, n.at = class, false, now
		if f != nil {
			n.at += a.options.NoticeDelay
		}
	}
	switch {
	case n.told:
		return never
	case now < n.at:
		return n.at
	}
	some := len(a.queue.ready)/noticeTicks + 1
	for _, o := range a.queue.ready {
		switch {
		case f != nil && o.notice.class != class:
			a.fail(o, *f)
		case f == nil && needsPerson(o.notice.class):
			a.recover(o)
			a.outbox.to(o).notify = true
		default:
			continue
		}
		if some--; some == 0 {
			n.at = now + a.options.NoticeDelay/noticeTicks
			return n.at
		}
	}
	n.told = true
	return never
}

// needsPerson reports whether a failure does not pass by itself.
func needsPerson(class alloy.Outcome) bool {
	switch class {
	case alloy.Unauthorized, alloy.Forbidden, alloy.Redirected, alloy.Refused, alloy.TooLarge:
		return true
	default:
		return false
	}
}

// throttle delays notifications of owners with unsettled users to one a second. It returns when the next one is due.
func (a *account) throttle(now time.Duration) time.Duration {
	n := &a.turns.notices
	late, at := n.late, never
	n.late = nil
	for _, o := range late {
		if o.open > 0 {
			a.outbox.to(o).notify = true
		}
	}
	for _, u := range a.outbox.updates {
		o := a.queue.owners[u.id.key()]
		if o == nil || o.open == 0 || !u.notify {
			continue
		}
		if due := o.notice.at + noticePause; o.notice.at > 0 && due > now {
			u.notify = false
			n.late, at = append(n.late, o), min(at, due)
		} else {
			o.notice.at = now
		}
	}
	return at
}
