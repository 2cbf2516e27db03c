package sender

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	firstControls   = 2 // users of a refused request that go alone first. If all are refused, so is the request as such.
	furtherControls = 3 // users chosen by chance that go alone after two lone refusals without a creation
	fewUsers        = 9 // so many all go alone
)

// isolation finds out which users make a request fail: the API refuses it, finds it too large, or fails although smaller
// requests pass. It divides the users into parts, depth first. A user that is refused alone is blamed only if the API creates
// another one of this isolation afterwards: a quota, an expired plan and a proxy in the way refuse single users as well.
type isolation struct {
	parts    []part        // undecided; the last one goes next, the first one is kept to the end
	held     []refusal     // refused alone, without a creation since
	proven   bool          // the API has created one of the users since the isolation began or resumed
	blamed   bool          // a user was refused alone, or failed alone
	failedAt time.Duration // the last request that failed
	largest  int           // users in the largest part that was served
	answer   alloy.Answer  // the last refusal or failure
	busy     bool          // a request of it is running
	pause    pause
	tree     tree
}

// part is a set of users that go together.
type part struct {
	users   []*entry
	control bool // it goes alone before all others
	failed  bool // it failed, and is divided if the API serves another request first
}

// refusal is a user that was refused alone.
type refusal struct {
	entry  *entry
	answer alloy.Answer
}

// pause is the wait of an isolation. The zero pause is none.
type pause struct {
	until    time.Duration
	interval time.Duration
	blocks   bool          // the API seems to refuse requests whoever is in them
	lone     bool          // the only user fails alone, which is nobody else's concern
	held     time.Duration // until when the API may still be working on its users
}

// tree is how an isolation divides users.
type tree struct {
	parts  int
	chance *rand.Rand
}

// newIsolation begins after a request with some users was refused or failed.
func newIsolation(now time.Duration, batch []*entry, alone bool, answer alloy.Answer, tree tree) *isolation {
	i := &isolation{answer: answer, failedAt: now, proven: answer.InDoubt(), tree: tree} // in doubt: smaller requests pass
	if alone {
		i.blamed, i.held = true, []refusal{{batch[0], answer}}
		return i
	}
	if i.divide(batch); !i.proven {
		i.choose(firstControls)
	}
	return i
}

// divide puts users back as parts, one of them at the end so that a creation can follow each refusal.
func (i *isolation) divide(batch []*entry) {
	if n := len(batch); n > 2 {
		k := i.tree.chance.IntN(n)
		i.push(batch[k : k+1])
		batch = slices.Concat(batch[:k], batch[k+1:])
	}
	parts := i.tree.parts
	if len(batch) < fewUsers {
		parts = fewUsers
	}
	i.push(cut(batch, parts)...)
}

// push adds parts, of which the first goes next.
func (i *isolation) push(pieces ...[]*entry) {
	for _, users := range slices.Backward(pieces) {
		i.parts = append(i.parts, part{users: users})
	}
}

// cut divides users into parts of nearly the same size, where possible between two owners.
func cut(batch []*entry, parts int) (pieces [][]*entry) {
	parts, from := min(parts, len(batch)), 0
	isBorder := func(at int) bool { return at > from && at < len(batch) && batch[at-1].owner() != batch[at].owner() }
	for k := 1; k < parts; k++ {
		at := len(batch) * k / parts
		for d := range len(batch) / parts / 2 {
			if isBorder(at-d) || isBorder(at+d) {
				if at += d; !isBorder(at) {
					at -= 2 * d
				}
				break
			}
		}
		pieces = append(pieces, batch[from:at])
		from = at
	}
	return append(pieces, batch[from:])
}

// choose has up to n undecided users go alone next, chosen by chance and of different owners where possible. The one that is
// kept to the end is taken only if there is no other.
func (i *isolation) choose(n int) {
	var first *entry
	for range n {
		candidates := i.undecided(1)
		if len(candidates) == 0 {
			candidates = i.undecided(0)
		}
		others := only(candidates, func(e *entry) bool { return first != nil && e.owner() != first.owner() })
		if len(others) > 0 {
			candidates = others
		}
		if len(candidates) == 0 {
			return
		}
		first = candidates[i.tree.chance.IntN(len(candidates))]
		i.control(first)
	}
}

// chooseOther has a user of another owner go alone next if all that were refused alone are of one owner, which may be the only
// one concerned. It reports whether there is such a user.
func (i *isolation) chooseOther(owner *owner) bool {
	isOther := func(e *entry) bool { return e.isWanted() && e.owner() != owner }
	others := slices.DeleteFunc(i.undecided(0), func(e *entry) bool { return !isOther(e) })
	if len(others) == 0 || slices.ContainsFunc(i.held, func(r refusal) bool { return isOther(r.entry) }) {
		return false
	}
	i.control(others[i.tree.chance.IntN(len(others))])
	return true
}

// control has an undecided user go alone next.
func (i *isolation) control(e *entry) {
	i.remove(e)
	i.parts = append(i.parts, part{users: []*entry{e}, control: true})
}

// undecided returns the users in the parts from one on that are not controls.
func (i *isolation) undecided(from int) (undecided []*entry) {
	for k, p := range i.parts {
		if k >= from && !p.control {
			undecided = append(undecided, p.users...)
		}
	}
	return only(undecided, (*entry).isWanted)
}

// only returns those of some users that fit.
func only(users []*entry, fits func(*entry) bool) []*entry {
	return slices.DeleteFunc(slices.Clone(users), func(e *entry) bool { return !fits(e) })
}

func (i *isolation) remove(e *entry) {
	for k, p := range i.parts {
		i.parts[k].users = only(p.users, func(other *entry) bool { return other != e })
	}
	i.held = slices.DeleteFunc(i.held, func(r refusal) bool { return r.entry == e })
}

// all returns the users that are undecided and wanted, and those that are held.
func (i *isolation) all() (all []*entry) {
	for _, p := range i.parts {
		all = append(all, p.users...)
	}
	for _, r := range i.held {
		all = append(all, r.entry)
	}
	return only(all, (*entry).isWanted)
}

// next takes out the users that go next, at most so many. There are none if all that remain are held.
func (i *isolation) next(passedAt time.Duration, most int) []*entry {
	if i.isPaused() { // each has its turn
		first := i.all()[0]
		i.remove(first)
		return []*entry{first}
	}
	isControlled := len(i.parts) > 0 && i.parts[len(i.parts)-1].control
	if !isControlled && (!i.proven || len(i.held) >= firstControls) {
		i.choose(1)
	}
	for len(i.parts) > 0 {
		top := i.parts[len(i.parts)-1]
		i.parts = i.parts[:len(i.parts)-1]
		switch users := only(top.users, (*entry).isWanted); {
		case len(users) == 0:
		case len(users) > most: // of several requests
			i.push(cut(users, (len(users)+most-1)/most)...)
		case top.failed && passedAt > i.failedAt && len(users) > 1:
			i.push(cut(users, i.tree.parts)...)
		default:
			return users
		}
	}
	return nil
}

// created notes that the API created some of the users that went. It returns those that are thereby to blame.
func (i *isolation) created() []refusal {
	blamed := i.held
	i.proven, i.held = true, nil
	if i.isPaused() { // resume
		undecided := i.undecided(0)
		i.parts, i.pause = nil, pause{held: i.pause.held}
		i.divide(undecided)
	}
	return blamed
}

// refused notes that the API refused the users that went, alone or with others that nobody wants any more. It reports whether the
// request as such seems to be refused.
func (i *isolation) refused(batch []*entry, alone bool, answer alloy.Answer) (asSuch bool) {
	i.answer = answer
	if !alone {
		i.push(cut(batch, i.tree.parts)...)
		return false
	}
	i.blamed = true
	i.held = append(i.held, refusal{batch[0], answer})
	if i.proven && len(i.held) == firstControls {
		i.choose(furtherControls)
	}
	isEnough := !i.proven && len(i.held) >= firstControls || len(i.held) >= firstControls+furtherControls
	return isEnough && !i.chooseOther(batch[0].owner())
}

// failed notes that the API failed on the users that went.
func (i *isolation) failed(now time.Duration, batch []*entry, answer alloy.Answer) {
	if answer.InDoubt() {
		i.failedAt, i.answer = now, answer
	}
	i.parts = append(i.parts, part{users: batch, failed: answer.InDoubt()})
}

// wait pauses the isolation, longer each time. All its users are undecided again.
func (i *isolation) wait(now time.Duration, b BackOff) {
	i.parts, i.held = []part{{users: i.all()}}, nil
	i.pause.interval = b.next(i.pause.interval)
	i.pause.until = now + jitter(i.tree.chance, i.pause.interval)
}

func (i *isolation) isPaused() bool { return i.pause.until > 0 }

func (i *isolation) readyAt() time.Duration {
	if i.busy {
		return never
	}
	return max(i.pause.until, i.pause.held)
}

// pick takes out one user that fits, chosen by chance.
func (i *isolation) pick(fits func(*entry) bool) []*entry {
	fitting := only(i.all(), fits)
	e := fitting[i.tree.chance.IntN(len(fitting))]
	i.remove(e)
	return []*entry{e}
}
