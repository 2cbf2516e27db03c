// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// begins checks a request that begins.
func (x *checks) begins(k *simKey, r *request) {
	w, s := x.w, k.seen
	w.log("key %d: request of %v begins: %s", k.number, r.began, describe(k.shell.account, r))
	x.limits(k, r)
	if r.edit != nil {
		x.edit(k, r)
		x.turn(k, r)
		return
	}
	if r.read != nil {
		return
	}
	if len(r.users) == 0 || len(r.users) > w.options.MaxUsers {
		w.violated(requestsAreBounded, "request of %v has %d users", r.began, len(r.users))
	}
	for n, row := range r.rows {
		s.tried[row.owner.id.key()] = true
		username := row.user.Username
		if r.users[n] != row.user {
			w.violated(unwantedIsNotSent, "request of %v: %v for %v", r.began, r.users[n], row.user)
		}
		if isIn(k.running, username) || slices.ContainsFunc(r.users[:n], func(u users.User) bool { return u.Username == username }) {
			w.violated(oneRequestAtATime, "%s in request of %v", username, r.began)
		}
		o := s.owners[row.owner.id.key()]
		if o == nil || o.id != row.owner.id || o.wants[username] != row.user {
			w.violated(unwantedIsNotSent, "%s of %s in request of %v", username, row.owner.id.Name, r.began)
		}
		if settles(o.told[username], row.user) {
			w.violated(settledIsNotSent, "%s of %s in request of %v", username, row.owner.id.Name, r.began)
		}
		owner := w.owner(row.owner.id)
		if owner.id() == row.owner.id && owner.key == k && settles(owner.ledger[username], row.user) && !o.stale[username] {
			w.violated(settledIsNotSent, "%s, which %s has recorded, in request of %v", username, owner.name, r.began)
		}
		if row.user == s.named[username] {
			w.violated(namedIsNotSent, "%s in request of %v", username, r.began)
		}
		if d := s.doubts[username]; d != nil && d.held > w.now {
			w.violated(heldIsNotSent, "%s in request of %v", username, r.began)
		}
	}
	x.turn(k, r)
}

// limits checks when a request begins, whatever is in it.
func (x *checks) limits(k *simKey, r *request) {
	w, s := x.w, k.seen
	now := w.now
	if r.isList() {
		x.listBegins(k, r)
	} else if most := w.options.RequestsPerKey; len(k.running)+k.reading >= most || !s.proven && len(k.running)+k.reading > 0 {
		w.violated(parallelIsBounded, "request of %v", r.began)
	}
	if now < s.asked {
		w.violated(retryAfterIsKept, "request of %v, %v too soon", r.began, s.asked-now)
	}
	if limit := w.options.RequestsPerSecond; limit > 0 {
		s.tokens = min(float64(w.options.Burst), s.tokens+limit*(now-s.tokensAt).Seconds()) - 1
		if s.tokensAt = now; s.tokens < -1e-3 {
			w.violated(rateIsKept, "request of %v", r.began)
		}
	}
	if next := s.nextProbe(r); s.failure.outcome != "" && (now < next || len(r.users) > 1) {
		w.violated(backOffIsKept, "request of %v for %d users, %v too soon", r.began, len(r.users), next-now)
	}
}

// turn checks that requests do not pass over small owners whose users could go together.
func (x *checks) turn(k *simKey, r *request) {
	w, s, a := x.w, k.seen, k.shell.account
	now, isOpen, passed := k.accountTime(w.now), a.gate.isOpen() || w.options.Linger == 0, ""
	for _, o := range a.queue.ready {
		if !isOpen && o.waiting > 0 && o.waiting < a.maxUsers(now) && o.readyAt() <= now && !slices.Contains(r.owners, o) {
			passed = fmt.Sprintf("%d users of %s", o.waiting, o.id.Name)
		}
	}
	if isShared(a, r) || passed == "" {
		s.passed = 0
	} else if s.passed++; s.passed >= 3 {
		w.violated(smallGoSoon, "request of %v passes over %s", r.began, passed)
	}
}

// isShared reports whether the last request of an account carries whoever waited.
func isShared(a *account, r *request) bool { return a.turns.wasShared && a.turns.sharedAt == r.began }

func describe(a *account, r *request) string {
	if r.edit != nil {
		return fmt.Sprintf("edit of %s: %+v", r.edit.owner.id.Name, r.asked)
	}
	if r.read != nil {
		return fmt.Sprintf("read, in list %v: %s", r.read.way == inList, slices.Sorted(maps.Keys(r.read.wanted)))
	}
	kind := "full"
	if isShared(a, r) {
		kind = "shared"
	} else if r.isolation != nil {
		kind = fmt.Sprintf("isolated (paused %v, %d held)", r.isolation.isPaused(), len(r.isolation.held))
	}
	var rows []string
	for _, row := range r.rows {
		rows = append(rows, fmt.Sprintf("%s/%s for %s", row.user.Username, row.user.FullName, row.owner.id.Name))
	}
	return kind + ": " + strings.Join(rows, ", ")
}
