// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	firstControls   = 2 // users of a refused request that go alone first. If all are refused, so is the request as such.
	furtherControls = 3 // users that go alone after two lone refusals without a creation
	fewUsers        = 9 // so many all go alone
	branches        = 4 // parts into which more are divided
)

// isolation finds out which users make a request fail: the API refuses it, finds it too large, or fails although smaller
// requests pass. It divides the users into parts, depth first. A user that is refused alone is blamed only if the API creates
// another one of this isolation afterwards: a quota, an expired plan and a proxy in the way refuse single users as well.
type isolation struct {
	chance   *rand.Rand
	parts    [][]*entry    // undecided; the last one goes next, the first one is kept to the end
	held     []*entry      // refused alone, without a creation since
	proven   bool          // the API has created one of the users since the isolation began or resumed
	blamed   bool          // a user was refused alone, or failed alone
	failedAt time.Duration // the last request that failed; 0 for a user that fails alone
	largest  int           // users in the largest part that was served since it began or was paused
	answer   alloy.Answer  // the last refusal or failure
	busy     bool          // a request of it is running
	until    time.Duration // no request before
	interval time.Duration // of its pause; 0 for none
}

// hold notes that a user was refused alone, or failed alone.
func (i *isolation) hold(e *entry, answer alloy.Answer) {
	i.blamed, e.refusal = true, &answer
	i.held = append(i.held, e)
}

// divide puts users back as parts, one of them at the end so that a creation can follow each refusal.
func (i *isolation) divide(batch []*entry) {
	if n := len(batch); n > 2 {
		k := i.chance.IntN(n)
		i.push(batch[k:k+1], 1)
		batch = slices.Concat(batch[:k], batch[k+1:])
	}
	parts := branches
	if len(batch) < fewUsers {
		parts = fewUsers
	}
	i.push(batch, parts)
}

// push puts users back as some parts of the same size, of which the first goes next.
func (i *isolation) push(batch []*entry, parts int) {
	pieces := slices.Collect(slices.Chunk(batch, max(1, (len(batch)+parts-1)/parts)))
	slices.Reverse(pieces)
	i.parts = append(i.parts, pieces...)
}

// undecided returns the users that are wanted and not held.
func (i *isolation) undecided() []*entry { return only(slices.Concat(i.parts...), (*entry).isWanted) }

// all returns the users that are held, and those that are undecided.
func (i *isolation) all() []*entry { return append(only(i.held, (*entry).isWanted), i.undecided()...) }

// pick takes out one of some users, chosen by chance.
func (i *isolation) pick(from []*entry) []*entry {
	picked := from[i.chance.IntN(len(from))]
	isOther := func(e *entry) bool { return e != picked }
	for k := range i.parts {
		i.parts[k] = only(i.parts[k], isOther)
	}
	i.held = only(i.held, isOther)
	return []*entry{picked}
}

// controls returns undecided users, where possible of owners without held users. The one that is kept to the end is the first, and
// among them only if there is no other.
func (i *isolation) controls() []*entry {
	candidates, refused := i.undecided(), ownersOf(i.held)
	if others := only(candidates, func(e *entry) bool { return !slices.Contains(refused, e.owner()) }); len(others) > 0 {
		candidates = others
	}
	return candidates[min(1, len(candidates)-1):]
}

// next takes out the users that go next, at most so many. Some are undecided.
func (i *isolation) next(most int) (users []*entry) {
	switch {
	case i.isPaused(): // one user, and twice as many after each request that was served, because those exist
		all := i.undecided()
		n := min(len(all), max(1, 2*i.largest), most)
		i.parts = [][]*entry{all[n:]}
		return all[:n]
	case !i.proven || len(i.held) >= firstControls:
		return i.pick(i.controls())
	}
	for {
		last := len(i.parts) - 1
		users = only(i.parts[last], (*entry).isWanted)
		n := min(len(users), most)
		if i.parts = i.parts[:last]; n < len(users) {
			i.parts = append(i.parts, users[n:])
		}
		if n > 0 {
			return users[:n]
		}
	}
}

// created notes that the API created some of the users that went. It returns those that are thereby to blame.
func (i *isolation) created() []*entry {
	blamed := i.held
	i.proven, i.held = true, nil
	if i.isPaused() { // resume
		undecided := i.undecided()
		i.parts, i.until, i.interval = nil, 0, 0
		i.divide(undecided)
	}
	return blamed
}

// refused notes that the API refused the users that went. It reports whether the request as such seems to be refused.
func (i *isolation) refused(batch []*entry, alone bool, answer alloy.Answer) (asSuch bool) {
	i.answer = answer
	if !alone {
		i.push(batch, branches)
		return i.isPaused()
	}
	i.hold(batch[0], answer)
	return i.isPaused() || !i.proven && len(i.held) >= firstControls || len(i.held) >= firstControls+furtherControls
}

// failed notes that the API failed on the users that went. They are divided if it has served others since it failed before.
func (i *isolation) failed(now time.Duration, batch []*entry, answer alloy.Answer, again bool) {
	parts := 1
	if again {
		parts = branches
	}
	if i.isPaused() {
		i.largest = 0 // the next one goes alone
	}
	if i.push(batch, parts); answer.InDoubt() {
		i.failedAt, i.answer = now, answer
	}
}

func (i *isolation) isPaused() bool { return i.interval > 0 }

func (i *isolation) readyAt() time.Duration {
	if i.busy {
		return never
	}
	at := i.until
	for _, e := range i.all() {
		at = max(at, e.held)
	}
	return at
}
