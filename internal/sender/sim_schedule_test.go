// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// longestChaos is how long things go wrong at most.
const longestChaos = 20 * time.Minute

// schedule is what a run draws by chance beside the modes of the API.
type schedule struct {
	chaos     time.Duration // how long things go wrong
	usernames int           // so many different ones
	most      int           // users of an owner
	traits    map[string]float64
}

// drawWorld draws a world and what will happen in it.
func drawWorld(seed uint64) *world {
	chance := rand.New(rand.NewPCG(seed, 1))
	isLarge := chance.IntN(100) == 0
	chaos := time.Second + time.Duration(chance.Int64N(int64(longestChaos-time.Second)))
	s := &schedule{chaos: chaos, usernames: 4 + chance.IntN(61), most: 24}
	if chance.IntN(3) == 0 {
		s.chaos = time.Second + time.Duration(chance.Int64N(int64(30*time.Second)))
	}
	w := newWorld(chance, drawOptions(chance, isLarge))
	w.api.modes = drawModes(chance, s.chaos, w.options)
	s.drawTraits(chance)
	if isLarge { // few go wrong for good: one after another would take days
		s.usernames, s.most, w.api.modes.quotaStays = 1500, 1000, false
		for trait := range s.traits {
			s.traits[trait] /= 20
		}
	}
	for range chance.IntN(4) {
		w.api.faults = append(w.api.faults, drawFault(chance, s.chaos))
	}
	w.slotDelay = []time.Duration{0, 0, time.Millisecond, 2 * time.Second, 20 * time.Second}[chance.IntN(5)]
	w.recordDelay = []time.Duration{20 * time.Millisecond, time.Second, 10 * time.Second}[chance.IntN(3)]
	w.neverRecord = chance.IntN(4) == 0
	for account := range w.api.accounts {
		if chance.IntN(3) == 0 {
			for range chance.IntN(s.usernames) {
				w.api.accounts[account][s.username(chance)] = &simUser{created: -time.Hour}
			}
		}
	}
	w.drawOwners(s)
	w.drawLists(s.chaos)
	return w
}

func drawOptions(chance *rand.Rand, isLarge bool) Options {
	o := DefaultOptions
	o.MaxUsers = 4 + chance.IntN(13)
	if isLarge {
		o.MaxUsers = 100 + chance.IntN(901)
	}
	if chance.IntN(5) == 0 {
		o.RequestsPerKey = 2 + chance.IntN(2)
	}
	if chance.IntN(10) == 0 {
		o.Linger = 0
	}
	if chance.IntN(4) == 0 { // also longer than doubts are kept
		o.RequestTimeout = 5*time.Second + time.Duration(chance.Int64N(int64(2*time.Minute)))
	}
	if chance.IntN(4) == 0 {
		o.SharePause = 0
	}
	if chance.IntN(4) == 0 {
		o.RequestsPerSecond, o.Burst = 0.5+chance.Float64()*5, 1+chance.IntN(5)
	}
	return o
}

func (s *schedule) drawTraits(chance *rand.Rand) {
	s.traits = map[string]float64{}
	for _, trait := range []string{rejected, blocked, big, poison} {
		if chance.IntN(4) == 0 {
			s.traits[trait] = chance.Float64() * chance.Float64() / 2
		}
	}
}

func (s *schedule) username(chance *rand.Rand) string {
	return "u" + strconv.Itoa(chance.IntN(s.usernames))
}

// row draws a row for a username. One of few full names is likely to be the same in other owners.
func (s *schedule) row(chance *rand.Rand, username string) users.User {
	trait := fine
	for _, other := range []string{rejected, blocked, big, poison} {
		if chance.Float64() < s.traits[other] {
			trait = other
			break
		}
	}
	variant := 0
	if chance.IntN(5) == 0 {
		variant = 1 + chance.IntN(2)
	}
	return users.User{Username: username, FullName: trait + "-" + strconv.Itoa(variant)}
}

func (s *schedule) rows(chance *rand.Rand, n int) (rows []users.User) {
	for range n {
		rows = add(rows, s.row(chance, s.username(chance)))
	}
	return rows
}

// add adds a row unless its username is there already.
func add(rows []users.User, row users.User) []users.User {
	if slices.ContainsFunc(rows, func(r users.User) bool { return r.Username == row.Username }) {
		return rows
	}
	return append(rows, row)
}

// drawOwners draws owners, and plans what they do.
func (w *world) drawOwners(s *schedule) {
	chance := w.chance
	keys := 1 + chance.IntN(len(w.keys))
	for range 1 + chance.IntN(8) {
		n := 1 + chance.IntN(s.most)
		if chance.IntN(2) == 0 {
			n = 1 + chance.IntN(4)
		}
		o := w.addOwner(w.keys[chance.IntN(keys)], s.rows(chance, n))
		if chance.IntN(3) == 0 {
			o.owned = map[string]simOwned{}
		}
		first := time.Duration(0)
		if chance.IntN(2) == 0 {
			first = w.delay(s.chaos)
		}
		w.at(first, func() { w.submit(o, false, chance.IntN(4) == 0, chance.IntN(2) == 0) })
	}
	at := time.Duration(0)
	for range chance.IntN(30) {
		if chance.IntN(2) == 0 {
			at = w.delay(s.chaos)
		} else {
			at = min(at+w.delay(time.Second), s.chaos)
		}
		o := w.owners[chance.IntN(len(w.owners))]
		w.at(at, func() { w.act(s, o, keys) })
	}
}

// act has an owner do something.
func (w *world) act(s *schedule, o *simOwner, keys int) {
	chance := w.chance
	o.notBefore = 0
	if chance.IntN(8) == 0 {
		o.notBefore = time.Duration(chance.IntN(900)) * time.Second
	}
	switch chance.IntN(10) {
	case 0:
		w.withdraw(o)
		return
	case 1:
		isForgotten := chance.IntN(2) == 0
		w.recreate(o, isForgotten)
		if isForgotten && chance.IntN(2) == 0 {
			return
		}
	case 2, 3:
		o.move(w.keys[chance.IntN(keys)])
	case 4:
		w.record(o)
		return
	case 5:
		w.submit(o, true, false, false)
		return
	case 6, 7, 8:
		w.edit(s, o)
		if chance.IntN(4) == 0 {
			return
		}
	}
	w.submit(o, false, chance.IntN(8) == 0, chance.IntN(8) == 0)
}

// edit changes what an owner wants.
func (w *world) edit(s *schedule, o *simOwner) {
	chance := w.chance
	for range 1 + chance.IntN(4) {
		k := 0
		if len(o.wants) > 0 {
			k = chance.IntN(len(o.wants))
		}
		switch op := chance.IntN(3); {
		case op == 0 && len(o.wants) > 0:
			o.wants = slices.Delete(slices.Clone(o.wants), k, k+1)
		case op == 1 && len(o.wants) > 0:
			o.wants = slices.Clone(o.wants)
			o.wants[k] = s.row(chance, o.wants[k].Username)
		case len(o.wants) < w.options.MaxUsers*3:
			o.wants = add(slices.Clone(o.wants), s.row(chance, s.username(chance)))
		}
	}
	w.log("%s is edited", o.name)
}
