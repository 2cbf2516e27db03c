package sender

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	// firstControls is how many users of a refused request go alone first. If all are refused, so is the request as such.
	firstControls = 2
	// furtherControls is how many users chosen by chance go alone after two lone refusals without a creation.
	furtherControls = 3
	// fewUsers is how many users all go alone.
	fewUsers = 9
)

// isolation finds out which users make a request fail: the API refuses it, finds it too large, or fails although smaller
// requests pass. It divides the users into parts, depth first. A user that is refused alone is blamed only if the API creates
// another one of this isolation afterwards: a quota, an expired plan and a proxy in the way refuse alone as well.
type isolation struct {
	parts    []part        // undecided; the last one goes next
	controls []*entry      // go alone, in order, before the parts
	kept     *entry        // goes last, so that a creation can follow each refusal
	held     []refusal     // refused alone, without a creation since
	proven   bool          // the API has created one of the users since it began, or was resumed
	blamed   bool          // a user was refused alone, or failed alone
	failedAt time.Duration // the last request that failed
	largest  int           // users in the largest part that was served
	answer   alloy.Answer  // the last refusal or failure
	busy     bool          // a request of it is running
	pause    pause         // it waits before it goes on
	tree     tree
}

// tree is how an isolation divides users.
type tree struct {
	parts  int
	chance *rand.Rand
}

// part is a set of users that go together.
type part struct {
	users  []*entry
	failed bool // it failed, and is divided if the API serves another request first
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
	lone     bool          // the only user fails alone; that is nobody else's concern
	held     time.Duration // until when the API may still be working on its users
}

// newIsolation begins after a request with some users was refused or failed.
func newIsolation(now time.Duration, batch []*entry, answer alloy.Answer, tree tree) *isolation {
	i := &isolation{answer: answer, failedAt: now, tree: tree}
	if len(batch) == 1 {
		i.blamed, i.held = true, []refusal{{batch[0], answer}}
		return i
	}
	i.divide(batch)
	if i.proven = answer.InDoubt(); !i.proven { // else smaller requests pass
		i.choose(firstControls)
	}
	return i
}

// newLone begins with a user that fails alone.
func newLone(now time.Duration, e *entry, answer alloy.Answer, b BackOff, tree tree) *isolation {
	i := &isolation{answer: answer, failedAt: now, proven: true, blamed: true, parts: []part{{users: []*entry{e}}}, tree: tree}
	i.wait(now, b)
	i.pause.lone = true
	return i
}

// divide puts users back as parts, and keeps one to the end.
func (i *isolation) divide(batch []*entry) {
	if i.kept == nil && len(batch) > 2 {
		k := i.tree.chance.IntN(len(batch))
		i.kept = batch[k]
		batch = slices.Concat(batch[:k], batch[k+1:])
	}
	if len(batch) < fewUsers {
		i.push(cut(batch, fewUsers))
	} else {
		i.push(cut(batch, i.tree.parts))
	}
}

// push adds parts, of which the first goes next.
func (i *isolation) push(pieces [][]*entry) {
	for _, users := range slices.Backward(pieces) {
		i.parts = append(i.parts, part{users: users})
	}
}

// cut divides users into parts of nearly the same size, where possible between two owners.
func cut(batch []*entry, parts int) (pieces [][]*entry) {
	parts = min(parts, len(batch))
	from := 0
	for k := 1; k < parts; k++ {
		at := len(batch) * k / parts
		for d := range len(batch) / parts / 2 {
			if isBorder(batch, at-d) {
				at -= d
				break
			} else if isBorder(batch, at+d) {
				at += d
				break
			}
		}
		if at > from {
			pieces = append(pieces, batch[from:at])
			from = at
		}
	}
	if from < len(batch) {
		pieces = append(pieces, batch[from:])
	}
	return pieces
}

func isBorder(batch []*entry, at int) bool {
	return at > 0 && at < len(batch) && batch[at-1].owner != batch[at].owner
}

// choose moves up to n undecided users, chosen by chance and of different owners where possible, out of the parts to the
// controls. The one that is kept to the end is taken only if there is no other.
func (i *isolation) choose(n int) {
	for range n {
		undecided := i.undecided()
		if len(i.controls) > 0 {
			others := slices.DeleteFunc(slices.Clone(undecided), func(e *entry) bool { return e.owner == i.controls[0].owner })
			if len(others) > 0 {
				undecided = others
			}
		}
		if len(undecided) == 0 {
			break
		}
		e := undecided[i.tree.chance.IntN(len(undecided))]
		i.remove(e)
		i.controls = append(i.controls, e)
	}
	if len(i.controls) == 0 && i.kept != nil {
		i.controls, i.kept = []*entry{i.kept}, nil
	}
}

// undecided returns the users in the parts.
func (i *isolation) undecided() (undecided []*entry) {
	for _, p := range i.parts {
		for _, e := range p.users {
			if e.isWanted() {
				undecided = append(undecided, e)
			}
		}
	}
	return undecided
}

func (i *isolation) remove(e *entry) {
	for k, p := range i.parts {
		if at := slices.Index(p.users, e); at >= 0 {
			i.parts[k].users = slices.Concat(p.users[:at], p.users[at+1:])
			return
		}
	}
}

// all returns the users that have no result yet and are still wanted, the ones refused alone last.
func (i *isolation) all() []*entry {
	all := append(i.undecided(), i.controls...)
	if i.kept != nil {
		all = append(all, i.kept)
	}
	for _, r := range i.held {
		all = append(all, r.entry)
	}
	return slices.DeleteFunc(all, func(e *entry) bool { return !e.isWanted() })
}

// next takes out the users that go next. There are none if all that remain are held.
func (i *isolation) next(passedAt time.Duration) []*entry {
	i.controls = onlyWanted(i.controls)
	if i.isPaused() {
		i.choose(1)
	} else if len(i.controls) == 0 && (!i.proven || len(i.held) >= firstControls) {
		i.choose(1)
	}
	if i.controls = onlyWanted(i.controls); len(i.controls) > 0 {
		e := i.controls[0]
		i.controls = i.controls[1:]
		return []*entry{e}
	}
	for len(i.parts) > 0 {
		top := i.parts[len(i.parts)-1]
		i.parts = i.parts[:len(i.parts)-1]
		switch top.users = onlyWanted(top.users); {
		case len(top.users) == 0:
		case top.failed && passedAt > i.failedAt && len(top.users) > 1:
			i.push(cut(top.users, i.tree.parts))
		default:
			return top.users
		}
	}
	e := i.kept
	if i.kept = nil; e != nil && e.isWanted() {
		return []*entry{e}
	}
	return nil
}

func onlyWanted(users []*entry) []*entry {
	return slices.DeleteFunc(users, func(e *entry) bool { return !e.isWanted() })
}

// created notes that the API created some of the users that went. It returns those that are thereby to blame.
func (i *isolation) created() []refusal {
	blamed, undecided := i.held, i.controls
	i.held, i.controls = nil, nil
	if i.isPaused() { // resume
		undecided = i.undecided()
		i.parts, i.pause = nil, pause{held: i.pause.held}
		i.divide(undecided)
	} else if len(undecided) > 0 {
		i.push([][]*entry{undecided})
	}
	i.proven = true
	return blamed
}

// refused notes that the API refused the users that went. It reports whether the request as such seems to be refused.
func (i *isolation) refused(batch []*entry, answer alloy.Answer) (asSuch bool) {
	i.answer = answer
	if len(batch) > 1 {
		i.push(cut(batch, i.tree.parts))
		return false
	}
	i.blamed = true
	i.held = append(i.held, refusal{batch[0], answer})
	if !i.proven {
		return len(i.held) >= firstControls && len(i.controls) == 0
	}
	if len(i.held) == firstControls {
		i.choose(furtherControls)
	}
	return len(i.held) >= firstControls+furtherControls
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
	i.parts, i.controls, i.kept, i.held = []part{{users: i.all()}}, nil, nil, nil
	i.pause.interval = b.next(i.pause.interval)
	i.pause.until = now + jitter(i.tree.chance, i.pause.interval)
}

// isPaused reports whether the isolation waits.
func (i *isolation) isPaused() bool { return i.pause.until > 0 }

// readyAt returns when its next request may begin.
func (i *isolation) readyAt() time.Duration {
	if i.busy {
		return never
	}
	return max(i.pause.until, i.pause.held)
}

// isOver reports whether nothing remains to be sent but what was refused alone.
func (i *isolation) isOver() bool {
	kept := i.kept != nil && i.kept.isWanted()
	return !kept && len(i.undecided()) == 0 && len(onlyWanted(slices.Clone(i.controls))) == 0
}

// has reports whether there is an undecided user beside a certain one.
func (i *isolation) has(not string) bool {
	return slices.ContainsFunc(i.all(), func(e *entry) bool { return e.user.Username != not })
}

// pick takes out one user, chosen by chance, but not a certain one.
func (i *isolation) pick(not string) []*entry {
	all := slices.DeleteFunc(i.all(), func(e *entry) bool { return e.user.Username == not })
	e := all[i.tree.chance.IntN(len(all))]
	i.remove(e)
	i.controls = slices.DeleteFunc(i.controls, func(c *entry) bool { return c == e })
	i.held = slices.DeleteFunc(i.held, func(r refusal) bool { return r.entry == e })
	if i.kept == e {
		i.kept = nil
	}
	return []*entry{e}
}
