// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

const (
	// absenceKept is how old a list may be that shows that users do not exist: the API's answer to their creation says so again.
	absenceKept = time.Hour
	// unusableKept is how old a list may be that cannot be used.
	unusableKept = time.Minute
	// listSafetyNet is when a slice that waits for a list asks again although nothing happened.
	listSafetyNet = time.Minute
)

// submit hands the pending users of a slice to the sender, unless so many slices of its key wait there that this one has to wait
// for them.
func (r *Reconciler) submit(req reconcile.Request, s state, key alloy.Key) reconcile.Result {
	again := reconcile.Result{RequeueAfter: safetyNet}
	creations, edits := s.divide()
	if len(creations)+len(edits) == 0 { // the batch controller learns many userIds from one list
		r.window.Leave(req.NamespacedName)
		r.Sender.Withdraw(idOf(s.slice))
		return again
	}
	work := sender.Work{ID: idOf(s.slice), Key: key, KeyAccepted: s.keyIs(v1alpha1.KeyAccepted), Users: creations, Edits: edits}
	if len(creations) > 0 && s.slice.Spec.UpdatePolicy == v1alpha1.UpdatePolicyUpdate {
		list := r.newest(req.NamespacedName, s, key)
		switch {
		case list != nil:
			work.Absent = absent(s.results, creations, list)
		case s.report.InFlight, len(edits) == 0:
			return reconcile.Result{RequeueAfter: listSafetyNet}
		default: // full names need not wait
			work.Users, again.RequeueAfter = nil, listSafetyNet
		}
	}
	if s.untried() < fewUsers {
		r.window.Leave(req.NamespacedName)
	} else if !r.window.Enter(req.NamespacedName, string(metav1.GetControllerOf(s.slice).UID), s.fingerprint) && !s.report.InFlight {
		return again
	}
	work.Known = unconfirmed(s.results)
	work.InDoubt, work.NotBefore = r.inherited.claim(s.slice.UID, s.nextAttempt())
	r.Sender.Submit(work)
	return again
}

// newest returns a list that is new enough to show which users do not exist; else nil. If it is nil, or cannot be used any more, the
// slice is reconciled once there is another one.
func (r *Reconciler) newest(name types.NamespacedName, s state, key alloy.Key) *sender.Listing {
	r.waiting.Add(s.fingerprint, name) // before the list may come
	list := r.Sender.List(key, s.now.Add(-absenceKept), false)
	switch {
	case list == nil:
	case !list.IsUsable() && s.now.Sub(list.Began()) > unusableKept:
		if newer := r.Sender.List(key, s.now.Add(-unusableKept), false); newer != nil {
			list = newer
		}
	default:
		r.waiting.Remove(s.fingerprint, name)
	}
	return list
}

// Listed has the slices reconciled that wait for the list of an account, given by the fingerprint of its key.
func (r *Reconciler) Listed(fingerprint string) {
	for name := range r.waiting.Take(fingerprint) {
		r.enqueue(name)
	}
}

// divide returns the pending users that are to be created or confirmed, and what is wanted of the others.
func (s state) divide() (creations []users.User, edits []sender.Edit) {
	reads := 0
	ledger.Each(s.slice, s.results, func(user v1alpha1.User, result v1alpha1.UserResult, known bool) {
		switch {
		case known && ledger.Settled(s.slice.Spec.UpdatePolicy, user, result):
		case !known || ledger.IsSent(user, result):
			creations = append(creations, users.User(user))
		default:
			if result.UserID == "" {
				reads++
			}
			edits = append(edits, sender.Edit{User: users.User(user), UserID: result.UserID})
		}
	})
	if reads > ledger.MaxReads {
		edits = slices.DeleteFunc(edits, func(e sender.Edit) bool { return e.UserID == "" })
	}
	return creations, edits
}

// absent returns those users that a list shows not to exist. It shows that of nobody if it lacks users that exist by their results,
// because it may be incomplete.
func absent(results []v1alpha1.UserResult, creations []users.User, list *sender.Listing) (usernames []string) {
	if !list.IsUsable() {
		return nil
	}
	for i := range results {
		if ledger.Exists(results[i]) && results[i].Pending == "" && !list.Has(results[i].Username) {
			return nil
		}
	}
	for _, user := range creations {
		if !list.Has(user.Username) {
			usernames = append(usernames, user.Username)
		}
	}
	return usernames
}
