package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	// maxSingleReads is the most users that are read one by one; the list of all users is read for more. One list of a large
	// account costs the API about as much as some dozens of single reads.
	maxSingleReads = 20
	// enoughTries is how often it is tried to verify a user of whom reading proves nothing, three SecondReads apart: in three
	// minutes by default.
	enoughTries, triesApart = 3, 3
	// listPause is how long a list of all users is not read again that was refused, too long or too slow.
	listPause = time.Hour
)

// verification finds out which of the users exist that the API named as invalid: it names those that exist and those that it
// does not accept alike. That a user is absent counts only from a way of reading that has shown a user created since the
// API named it: reading calls may lag behind, or answer for somebody else.
type verification struct {
	checks      []*check
	witness     string // the user that the API created last
	createdBy   int    // number of the request that created it
	askWitness  bool   // a single read showed no user, and has to show the witness
	provenGet   int    // a single read has shown a user that this request created
	provenList  int    // the same of the list
	noListUntil time.Duration
	busy        bool // a read is running
}

// check is a user that is verified.
type check struct {
	entry    *entry
	named    bool // by the API; else it named somebody who was not in the request
	since    int  // number of the request that was answered
	due      time.Duration
	absences int
	tries    int
	read     [2]bool      // in this try, singly and in the list
	failures int          // of single reads, in a row
	answer   alloy.Answer // the last read that proved nothing
}

// way is a way of reading: singly or in the list.
type way int

const (
	singly way = iota
	inList
)

// read is a reading request: for one user, or for the whole list.
type read struct {
	way       way
	username  string   // of a single read
	check     *check   // nil for the witness
	checks    []*check // of the list
	witness   string
	createdBy int
}

// verdict is what a check ended with.
type verdict struct {
	check  *check
	exists bool
	// proven reports whether a user that does not exist was shown to be absent, twice.
	proven bool
}

func (v *verification) add(now time.Duration, e *entry, named bool, since int) {
	e.place = verifying
	v.checks = append(v.checks, &check{entry: e, named: named, since: since, due: now})
}

func (c *check) isWanted() bool { return c.entry.isWanted() && c.entry.place == verifying }

// dueAt returns when the next read is due, and drops checks of users that nobody wants any more.
func (v *verification) dueAt() time.Duration {
	at, kept := never, v.checks[:0]
	for _, c := range v.checks {
		if c.isWanted() {
			kept = append(kept, c)
			at = min(at, c.due)
		}
	}
	clear(v.checks[len(kept):])
	v.checks = kept
	if v.busy {
		return never
	}
	return at
}

// next returns the next read, if one is due.
func (v *verification) next(now time.Duration) *read {
	var due []*check
	for _, c := range v.checks {
		if c.isWanted() && c.due <= now {
			due = append(due, c)
		}
	}
	if v.askWitness {
		return &read{way: singly, username: v.witness, createdBy: v.createdBy}
	}
	listable := now >= v.noListUntil
	var list []*check
	for _, c := range due {
		switch {
		case listable && !c.read[inList] && (len(due) > maxSingleReads || c.read[singly]):
			list = append(list, c)
		case !c.read[singly] || !listable:
			return &read{way: singly, username: c.entry.user.Username, check: c}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &read{way: inList, checks: list, witness: v.witness, createdBy: v.createdBy}
}

// single notes the answer to a single read, and returns what it decides.
func (v *verification) single(now time.Duration, r *read, answer alloy.Answer, options Options) []verdict {
	if r.check == nil {
		return v.sawWitness(now, r, answer, options)
	}
	c := r.check
	switch {
	case !c.isWanted():
	case answer.Outcome == alloy.Found:
		return []verdict{{check: c, exists: true}}
	case answer.Outcome == alloy.Unavailable: // for this user perhaps: the list may do
		c.failures++
		c.read[singly], c.read[inList] = now >= v.noListUntil && !c.read[inList], false
		c.due = now + min(options.BackOff.User.Min<<min(c.failures-1, 10), options.BackOff.User.Max)
	case answer.Outcome == alloy.Absent && v.provenGet >= c.since:
		return v.absent(now, c, options)
	default:
		c.answer, c.read[singly] = answer, true
		if answer.Outcome == alloy.Absent && v.createdBy >= c.since {
			v.askWitness = true
			return nil
		}
		return v.unproven(now, c, options)
	}
	return nil
}

// sawWitness notes whether a single read shows the witness. If it does, those that were not found are absent.
func (v *verification) sawWitness(now time.Duration, r *read, answer alloy.Answer, options Options) (verdicts []verdict) {
	v.askWitness = false
	if answer.Outcome == alloy.Found {
		v.provenGet = max(v.provenGet, r.createdBy)
	}
	for _, c := range v.checks {
		switch {
		case !c.isWanted() || !c.read[singly] || c.due > now:
		case c.answer.Outcome == alloy.Absent && v.provenGet >= c.since:
			verdicts = append(verdicts, v.absent(now, c, options)...)
		default:
			verdicts = append(verdicts, v.unproven(now, c, options)...)
		}
	}
	return verdicts
}

// listed notes the answer to a list, with those of the names found in it.
func (v *verification) listed(now time.Duration, r *read, answer alloy.Answer, found map[string]struct{}, options Options) (verdicts []verdict) {
	if _, shown := found[r.witness]; shown && answer.Outcome == alloy.Listed {
		v.provenList = max(v.provenList, r.createdBy)
	}
	if answer.Outcome != alloy.Listed {
		v.noListUntil = now + listPause
	}
	for _, c := range r.checks {
		_, exists := found[c.entry.user.Username]
		switch {
		case !c.isWanted():
		case exists:
			verdicts = append(verdicts, verdict{check: c, exists: true})
		case answer.Outcome == alloy.Listed && v.provenList >= c.since:
			verdicts = append(verdicts, v.absent(now, c, options)...)
		default:
			c.answer, c.read[inList] = answer, true
			verdicts = append(verdicts, v.unproven(now, c, options)...)
		}
	}
	return verdicts
}

// absent notes that a user was shown to be absent, which has to happen twice.
func (v *verification) absent(now time.Duration, c *check, options Options) []verdict {
	if c.absences++; c.absences > 1 {
		return []verdict{{check: c, proven: true}}
	}
	c.due, c.read = now+options.SecondRead, [2]bool{}
	return nil
}

// unproven notes that a way of reading proves nothing of a user. After both ways the try is over.
func (v *verification) unproven(now time.Duration, c *check, options Options) []verdict {
	listable := now >= v.noListUntil
	if !c.read[singly] || listable && !c.read[inList] {
		return nil
	}
	if c.tries++; c.tries >= enoughTries {
		return []verdict{{check: c}}
	}
	c.due, c.read = now+triesApart*options.SecondRead, [2]bool{}
	return nil
}
