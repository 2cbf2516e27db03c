package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	// maxSingleReads is the most users that are read one by one; the list of all users is read for more. One list of a large
	// account costs the API about as much as some dozens of single reads.
	maxSingleReads = 20
	// maxTries is how often verifying a user is tried if reads prove nothing, triesApart SecondReads apart: three minutes by default.
	maxTries, triesApart = 3, 3
	// listPause is how long a list of all users is not read again that was refused, too long or too slow.
	listPause = time.Hour
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
	options     Options
	checks      []*check
	witness     witness
	askWitness  bool   // single reads that showed no user have to show the witness
	proven      [2]int // number of the request whose witness each way of reading has shown
	noListUntil time.Duration
	busy        bool // a read is running
}

// witness is the user that the API created last, with the number of the request.
type witness struct {
	username string
	request  int
}

// check is a user that is verified.
type check struct {
	entry    *entry
	named    bool // by the API; else it named somebody who was not in the request
	since    int  // number of the request that was answered
	due      time.Duration
	absences int
	tries    int
	read     [2]bool // in this try, by each way
	backOff  time.Duration
	answer   alloy.Answer // the last read that proved nothing
	verdict  verdict
}

// read is a reading request.
type read struct {
	way     way
	checks  []*check // none if a single read is of the witness
	witness witness
	wanted  map[string]struct{} // usernames
}

// verdict is what a check ended with.
type verdict int

const (
	open      verdict = iota
	undecided         // reading proves nothing
	exists
	absent
)

func (v *verification) add(now time.Duration, e *entry, named bool, since int) {
	e.place = verifying
	v.checks = append(v.checks, &check{entry: e, named: named, since: since, due: now})
}

func (c *check) isWanted() bool { return c.entry.isWanted() && c.entry.place == verifying }

// due returns the checks that are due and when the next one is. It drops those of users that nobody wants any more.
func (v *verification) due(now time.Duration) (due []*check, at time.Duration) {
	v.checks = slices.DeleteFunc(v.checks, func(c *check) bool { return !c.isWanted() })
	at = never
	for _, c := range v.checks {
		if at = min(at, c.due); c.due <= now {
			due = append(due, c)
		}
	}
	return due, at
}

// next returns what is read next of the checks that are due.
func (v *verification) next(now time.Duration, due []*check) *read {
	r := &read{way: inList, witness: v.witness, wanted: map[string]struct{}{v.witness.username: {}}}
	if v.askWitness {
		r.way = singly
		return r
	}
	for _, c := range due {
		switch {
		case now >= v.noListUntil && !c.read[inList] && (len(due) > maxSingleReads || c.read[singly]):
			r.checks = append(r.checks, c)
			r.wanted[c.entry.user().Username] = struct{}{}
		case !c.read[singly] || now < v.noListUntil:
			return &read{way: singly, checks: []*check{c}, wanted: map[string]struct{}{c.entry.user().Username: {}}}
		}
	}
	return r
}

// answered notes the answer to a read, with those of the usernames that it found. It returns the checks that are decided.
func (v *verification) answered(now time.Duration, r *read, answer alloy.Answer, found map[string]struct{}) (decided []*check) {
	if _, shown := found[r.witness.username]; shown {
		v.proven[r.way] = max(v.proven[r.way], r.witness.request)
	}
	if r.way == inList && answer.Outcome != alloy.Listed {
		v.noListUntil = now + listPause
	}
	v.askWitness = v.needsWitness(r, answer)
	for _, c := range r.checks {
		c.answer, c.read[r.way] = answer, true
	}
	checks := r.checks
	if len(checks) == 0 { // it was of the witness, for all that were not found
		checks, _ = v.due(now)
	}
	for _, c := range checks {
		if !c.isWanted() {
			continue
		}
		if _, isFound := found[c.entry.user().Username]; isFound || c.read[r.way] && !v.askWitness {
			if c.verdict = v.judge(now, c, r.way, isFound); c.verdict != open {
				decided = append(decided, c)
			}
		}
	}
	return decided
}

// needsWitness reports whether a user that a single read did not show is absent only if a single read shows the witness.
func (v *verification) needsWitness(r *read, answer alloy.Answer) bool {
	return r.way == singly && len(r.checks) > 0 && answer.Outcome == alloy.Absent &&
		v.proven[singly] < r.checks[0].since && v.witness.request >= r.checks[0].since
}

// judge decides what a read means for a check, and when the next one is due if it is open.
func (v *verification) judge(now time.Duration, c *check, way way, isFound bool) verdict {
	isAbsent := (c.answer.Outcome == alloy.Absent || c.answer.Outcome == alloy.Listed) && v.proven[way] >= c.since
	wait := v.options.SecondRead
	switch {
	case isFound:
		return exists
	case isAbsent && c.absences > 0:
		return absent
	case isAbsent:
		c.absences++
	case !c.read[singly] || !c.read[inList] && now >= v.noListUntil: // the other way may prove more
		return open
	case c.answer.InDoubt():
		c.backOff = v.options.BackOff.User.next(c.backOff)
		wait = c.backOff
	case c.tries+1 >= maxTries:
		return undecided
	default:
		c.tries++
		wait *= triesApart
	}
	c.due, c.read = now+wait, [2]bool{}
	return open
}
