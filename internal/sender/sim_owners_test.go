// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// simOwner is an owner, as a slice and its controller are: what it wants, and the results that it has recorded.
type simOwner struct {
	name      string
	uid       int
	key       *simKey
	wants     []users.User
	ledger    map[string]Result
	isActive  bool // it has submitted, and not withdrawn
	notBefore time.Duration
	stale     map[string]bool // of these the last submission may be behind the ledger
	recording bool
	known     []string                 // who is asked for again because no list can be read
	owned     map[string]simOwned      // whose full names it keeps; nil if it keeps none
	hasMoved  bool                     // to another key
	doubts    map[string]time.Duration // that an account told of which let go of it: until when the API may be working on the users
}

func (o *simOwner) id() ID { return ID{Namespace: "ns", Name: o.name, UID: strconv.Itoa(o.uid)} }

func (w *world) owner(id ID) *simOwner {
	at := slices.IndexFunc(w.owners, func(o *simOwner) bool { return o.name == id.Name })
	return w.owners[at]
}

func (w *world) addOwner(k *simKey, wants []users.User) *simOwner {
	o := &simOwner{
		name: fmt.Sprintf("o%d", len(w.owners)), key: k, wants: wants, ledger: map[string]Result{}, doubts: map[string]time.Duration{},
	}
	w.owners = append(w.owners, o)
	return o
}

// pending returns the users that an owner wants and has no result of.
func (o *simOwner) pending() (pending []users.User) {
	for _, user := range o.wants {
		if !settles(o.ledger[user.Username], user) {
			pending = append(pending, user)
		}
	}
	return pending
}

// settles reports whether a result speaks of a user as it is wanted.
func settles(r Result, user users.User) bool {
	return r.State == Created || r.State == Existing || r.State == Invalid && r.Sent == user
}

// submit submits what an owner has no result of; if stale, with users of which it has.
func (w *world) submit(o *simOwner, isStale, inDoubt, accepted bool) {
	work := Work{ID: o.id(), Key: o.key.key, KeyAccepted: accepted, InDoubt: inDoubt, Users: o.pending(), Known: o.known}
	work.Absent, work.Edits = w.absent(o), o.edits()
	o.stale = map[string]bool{}
	if isStale {
		work.Users = slices.Clone(o.wants)
		for _, user := range o.wants {
			o.stale[user.Username] = true
		}
	}
	w.log("%s (UID %d) submits under key %d, in doubt %v, stale %v: %v", o.name, o.uid, o.key.number, inDoubt, isStale, work.Users)
	o.isActive = true
	w.start()
	w.sender.Submit(work)
	w.wake()
}

func (w *world) withdraw(o *simOwner) {
	w.log("%s withdraws", o.name)
	o.isActive = false
	w.start()
	w.sender.Withdraw(o.id())
	w.wake()
}

// recreate deletes an owner and creates it again under another UID.
func (w *world) recreate(o *simOwner, isForgotten bool) {
	w.log("%s is deleted and created again, forgotten %v", o.name, isForgotten)
	w.start()
	if isForgotten {
		w.sender.Forget("ns", o.name)
	}
	o.uid++
	o.isActive, o.ledger = false, map[string]Result{}
	if o.owned != nil {
		o.owned = map[string]simOwned{}
	}
	clear(o.doubts)
	w.wake()
}

// notified plans that an owner records its news.
func (w *world) notified(id ID) {
	w.notices++
	o := w.owner(id)
	if o.recording || o.id() != id || w.neverRecord && !w.isCalm && w.chance.IntN(3) == 0 {
		return
	}
	o.recording = true
	w.after(time.Millisecond+w.delay(w.recordDelay), func() {
		o.recording = false
		w.record(o)
	})
}

// record records what there is of an owner, as its controller does, which then submits again.
func (w *world) record(o *simOwner) {
	report := w.sender.Report(o.id())
	if w.isChanged = true; !report.News {
		return
	}
	for _, username := range slices.Sorted(maps.Keys(report.Results)) {
		result := report.Results[username]
		w.log("%s records %s: %s", o.name, username, result)
		o.own(result)
		if o.ledger[username].State != Created && result.State != Identified {
			o.ledger[username] = result
		}
	}
	w.start()
	w.sender.Recorded(o.id(), report)
	if o.isActive && (w.isCalm && len(o.edits()) > 0 || w.chance.IntN(2) == 0) {
		w.submit(o, false, false, false)
	}
	w.wake()
}

func (r Result) String() string {
	text := [...]string{"", "Created", "Existing", "Invalid", "Identified " + r.UserID}[r.State]
	if r.Unconfirmed {
		text += " unconfirmed"
	}
	return fmt.Sprintf("%s as %s (%s)", text, r.Sent.FullName, r.Message)
}
