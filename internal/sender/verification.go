// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	// maxSingleReads is the most users that are read one by one; the list of all users is read for more. One list of a large
	// account costs the API about as much as some dozens of single reads.
	maxSingleReads = 20
	// maxTries is how often a user is read if reads prove nothing, triesApart SecondReads apart: three minutes by default.
	maxTries, triesApart = 3, 3
)

// way is a way of reading: single users, or the list of all.
type way int

const (
	singly way = iota
	inList
)

// verification finds out which of the users exist that the API named as invalid: it names those that exist and those that it
// does not accept alike. That a user is absent counts only from a way of reading that has shown a user created since the
// API named it: reading calls may lag behind, or a gateway answers them.
type verification struct {
	options   Options
	checks    []*check
	witness   string           // the user that the API created last
	witnessed time.Duration    // when the request that created it began
	proven    [2]time.Duration // that time as of when each way of reading last showed the witness
	doubtful  *check           // a single read did not show its user; now it has to show the witness
	lists     *lists
	busy      bool // a read is running
}

// check is a user that is verified.
type check struct {
	entry   *entry
	named   bool          // by the API; else it named somebody who was not in the request
	since   time.Duration // when the request that was answered began
	due     time.Duration
	absent  bool // it was once
	tries   int
	read    [2]bool       // in this try, by each way
	answer  alloy.Answer  // the last read that proved nothing
	verdict alloy.Outcome // Found, Absent, or Inconclusive if reading proves nothing; empty while it is open
}

// read is a reading request.
type read struct {
	way       way
	checks    []*check
	ofWitness bool                // a single read shows it, rather than the user of the check
	wanted    map[string]struct{} // usernames
}

func (c *check) isWanted() bool { return c.entry.isWanted() && c.entry.place == verifying }

// ready returns the checks that are due and when the next one is. It drops those of users that nobody wants any more.
func (v *verification) ready(now time.Duration) (due []*check, next time.Duration) {
	v.checks = only(v.checks, (*check).isWanted)
	return ready(now, v.checks, func(c *check) time.Duration { return c.due })
}

// next returns what is read next of the checks that are due.
func (v *verification) next(now time.Duration, due []*check) *read {
	list := v.list()
	if v.doubtful != nil {
		return &read{way: singly, checks: []*check{v.doubtful}, ofWitness: true, wanted: list.wanted}
	}
	for _, c := range due {
		username := c.entry.user().Username
		if !v.lists.mayRead(now) || c.read[inList] || len(due) <= maxSingleReads && !c.read[singly] {
			return &read{way: singly, checks: []*check{c}, wanted: map[string]struct{}{username: {}}}
		}
		list.checks = append(list.checks, c)
		list.wanted[username] = struct{}{}
	}
	return list
}

// list returns a list that looks for the witness only.
func (v *verification) list() *read {
	return &read{way: inList, wanted: map[string]struct{}{v.witness: {}}}
}

// nextList returns the list that is to be read next; nil if none is.
func (v *verification) nextList(now time.Duration) *read {
	due, _ := v.ready(now)
	if v.busy || len(due) == 0 {
		return nil
	}
	if next := v.next(now, due); next.way == inList {
		return next
	}
	return nil
}

// answered notes the answer to a read, and the usernames that it found. It returns the checks that are decided.
func (v *verification) answered(now time.Duration, r *read, answer alloy.Answer, found map[string]struct{}) (decided []*check) {
	if _, shown := found[v.witness]; shown {
		v.proven[r.way] = v.witnessed
	}
	if len(r.checks) > 0 { // else it may run beside a single read
		v.doubtful = nil
	}
	for _, c := range v.concerned(now, r, answer) {
		if !r.ofWitness {
			c.answer, c.read[r.way] = answer, true
		}
		if !c.isWanted() {
			continue
		}
		_, isFound := found[c.entry.user().Username]
		mayProve := r.way == singly && v.proven[singly] < c.since && v.witnessed >= c.since
		if answer.Outcome == alloy.Absent && mayProve && !r.ofWitness {
			v.doubtful = c
		} else if c.verdict = v.judge(now, c, r.way, isFound); c.verdict != "" {
			decided = append(decided, c)
		}
	}
	return decided
}

// concerned returns the checks of which a read says something. A single read that fails would fail for the others too, and
// another one goes first next time.
func (v *verification) concerned(now time.Duration, r *read, answer alloy.Answer) []*check {
	if r.way == inList || r.ofWitness || !answer.InDoubt() {
		return r.checks
	}
	due, _ := v.ready(now)
	v.checks = append(only(v.checks, func(c *check) bool { return c != r.checks[0] }), r.checks...)
	return due
}

// judge decides what a read means for a check, and when the next one is due if it is open.
func (v *verification) judge(now time.Duration, c *check, way way, isFound bool) alloy.Outcome {
	isAbsent := (c.answer.Outcome == alloy.Absent || c.answer.Outcome == alloy.Listed) && v.proven[way] >= c.since
	wait := v.options.SecondRead
	switch {
	case isFound:
		return alloy.Found
	case isAbsent && c.absent:
		return alloy.Absent
	case isAbsent:
		c.absent = true
	case !c.read[singly] || !c.read[inList] && v.lists.mayRead(now): // the other way may prove more
		return ""
	case !c.read[inList] && v.lists.isSoon(now):
		c.due = v.lists.notBefore
		return ""
	default:
		if !c.answer.InDoubt() {
			c.tries++
		}
		if wait *= triesApart; c.tries == maxTries {
			return alloy.Inconclusive
		}
	}
	c.due, c.read = now+wait, [2]bool{}
	return ""
}
