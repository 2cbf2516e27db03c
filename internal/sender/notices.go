package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	noticePause = time.Second // passes between two notifications of an owner with unsettled users
	noticeTicks = 100         // over how many steps, in the NoticeDelay, owners that wait are told why
)

// notices is what owners that wait are told.
type notices struct {
	class alloy.Outcome // of the failures that keep them waiting; empty for none
	at    time.Duration // when the next ones are told
	told  bool          // all were
	late  []*owner      // to be notified a second after the last time
}

// obstacle returns what keeps owners waiting, if anything does.
func (a *account) obstacle() (answer alloy.Answer, since, until time.Duration) {
	if a.gate.isOpen() {
		return unspoken(a.gate.answer), a.gate.failedAt, a.gate.next()
	}
	if i := a.refusing(); i != nil {
		return unspoken(i.answer), a.passedAt, i.until
	}
	return alloy.Answer{}, 0, 0
}

// tellWaiting tells owners that only wait why, once for each class of failure, some at a time. It returns when the next are told.
func (a *account) tellWaiting(now time.Duration) time.Duration {
	n := &a.notices
	answer, since, until := a.obstacle()
	if class := answer.Outcome; n.class != class {
		if n.class, n.told, n.at = class, false, now; class != "" {
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
		case n.class != "" && o.toldOf != n.class:
			a.fail(o, since, until, Attempt{Answer: answer, Waiting: true})
		case n.class == "" && needsPerson(o.toldOf):
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
	classes := []alloy.Outcome{alloy.Unauthorized, alloy.Forbidden, alloy.Redirected, alloy.Refused, alloy.TooLarge}
	return slices.Contains(classes, class)
}

// throttle delays notifications of owners with unsettled users to one a second. It returns when the next one is due.
func (a *account) throttle(now time.Duration) time.Duration {
	n := &a.notices
	for _, o := range n.late {
		if o.open > 0 {
			a.outbox.to(o).notify = true
		}
	}
	at := never
	n.late = nil
	for _, id := range a.outbox.order {
		u, o := a.outbox.updates[id], a.queue.owners[id.key()]
		if o == nil || o.open == 0 || !u.notify {
			continue
		}
		if due := o.toldAt + noticePause; o.toldAt > 0 && due > now {
			u.notify = false
			n.late, at = append(n.late, o), min(at, due)
		} else {
			o.toldAt = now
		}
	}
	return at
}
