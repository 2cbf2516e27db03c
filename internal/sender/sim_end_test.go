// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"slices"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// isQuiet reports whether no request is running.
func (w *world) isQuiet() bool {
	for _, k := range w.keys {
		if len(k.running)+k.reading+len(k.wishes) > 0 || k.list != nil || k.wantsSlot || k.wantsListSlot || len(k.shell.inbox) > 0 {
			return false
		}
	}
	return true
}

// isOver reports whether nothing remains to be waited for.
func (w *world) isOver() bool {
	if !w.isChanged || !w.isQuiet() {
		return false
	}
	w.isChanged = false
	return w.isComplete(nil)
}

// isComplete reports whether every user has a result that is wanted, but those for which the API never gives one. It calls a
// function, if that is given, for each other one.
func (w *world) isComplete(report func(o *simOwner, user users.User)) bool {
	isComplete := true
	for _, o := range w.owners {
		if !o.isActive {
			continue
		}
		for _, user := range o.pending() {
			if w.api.mayStayPending(o.key.account, user) {
				continue
			}
			if isComplete = false; report == nil {
				return false
			}
			report(o, user)
		}
		for _, edit := range o.edits() {
			if w.api.mayStayUnedited(o.key.account, edit) {
				continue
			}
			if isComplete = false; report == nil {
				return false
			}
			report(o, edit.User)
		}
	}
	return isComplete
}

// mayStayPending reports whether the API never gives a user a result.
func (a *simAPI) mayStayPending(account int, user users.User) bool {
	exists := a.accounts[account][user.Username] != nil
	single, list := a.modes.reads[singly], a.modes.reads[inList]
	switch trait := traitOf(user); {
	case trait == blocked, trait == big, trait == poison:
		return true
	case single.status == 500 && (list.status > 0 || list.max > 0 || a.lists.isPartial): // reading fails, for as long as it is tried
		return true
	default:
		return a.modes.quotaStays && a.modes.quota >= 0 && !exists
	}
}

// complete checks that no result is lost.
func (x *checks) complete() {
	w := x.w
	w.isComplete(func(o *simOwner, user users.User) {
		w.violated(noResultIsLost, "%s/%s of %s, and perhaps others", user.Username, user.FullName, o.name)
	})
	x.edited()
	for _, k := range w.keys {
		if len(k.wishes) > 0 {
			w.violated(wishesEnd, "key %d: %d wishes, and perhaps others", k.number, len(k.wishes))
		}
	}
	for _, o := range w.owners {
		if report := w.sender.Report(o.id()); report.InFlight && len(o.pending())+len(o.edits()) == 0 {
			w.violated(mailboxIsCurrent, "%s has nothing pending, but is said to have", o.name)
		}
	}
}

// empty checks that accounts know nothing of owners that have withdrawn, some time after.
func (x *checks) empty() {
	for _, k := range x.w.keys {
		a := k.shell.account
		a.verification.ready(k.accountTime(x.w.now))
		kept := []int{
			len(a.queue.index), len(a.queue.owners), len(a.queue.doubts), len(a.queue.ready), len(a.isolations),
			len(a.verification.checks), len(a.edits.list), a.turns.running,
		}
		if slices.Max(kept) > 0 {
			x.w.violated(nothingIsKept, "key %d: usernames, owners, doubts, ready, isolations, checks, edits, running: %v", k.number, kept)
		}
	}
}

// gone checks that accounts without owners are dropped, and mailboxes.
func (x *checks) gone() {
	w := x.w
	for _, k := range w.keys {
		if k.isUsed {
			w.violated(nothingIsKept, "key %d: its account is not dropped", k.number)
		}
	}
	for _, o := range w.owners {
		w.record(o)
		w.sender.Forget("ns", o.name)
	}
	if n := len(w.sender.mailboxes); n > 0 {
		w.violated(nothingIsKept, "%d mailboxes", n)
	}
}
