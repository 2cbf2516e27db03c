// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// settle clears all faults and waits until every user has a result. If users were deleted, it then has all of them looked up: not
// before, because a look-up is about users that have a result, and that of an answer from before the deletion may be recorded late.
func (w *world) settle() {
	w.Helper()
	w.step("settle")
	w.Sim.ClearFaults()
	w.SetKey(w.Key)
	w.apply()
	w.suspend(false)
	w.awaitSettled()
	if len(w.later.deleted) > 0 {
		w.lookUpAll()
		w.awaitSettled()
	}
}

func (w *world) awaitSettled() {
	w.Helper()
	if err := testenv.Await(context.Background(), w.settled); err != nil {
		w.Fatal("did not settle:", err)
	}
	w.step("settled")
}

// settled returns an error unless every user of every batch has a result, and the slices of the large batch have each user once.
// The batch's status alone is not enough, because the operator may not have noticed a damaged slice yet.
func (w *world) settled(ctx context.Context) error {
	var batches v1alpha1.EmbeddedUserBatchList
	if err := w.List(ctx, &batches, client.InNamespace(w.Namespace)); err != nil {
		return err
	}
	for _, batch := range batches.Items {
		large := batch.Name == batchName
		status := batch.Status
		if status.ObservedGeneration != batch.Generation || status.Counts.Pending > 0 || status.Counts.Total == 0 && !large ||
			status.Slices.Total != status.Slices.Ready && large {
			return fmt.Errorf("%s: %+v", batch.Name, status)
		}
		if asked := batch.Annotations[v1alpha1.AnnotationReconcileAt]; asked != status.LastHandledReconcileAt {
			return fmt.Errorf("%s: the look-up %q is not over: %+v", batch.Name, asked, status)
		}
	}
	owned, err := w.owned(ctx)
	if err != nil {
		return err
	}
	users, results := 0, 0
	for _, slice := range owned {
		if slice.Status.ObservedGeneration != slice.Generation || slice.Labels[v1alpha1.LabelBatch] != batchName {
			return fmt.Errorf("%s, labels %v: %+v", slice.Name, slice.Labels, slice.Status)
		}
		users += len(slice.Spec.Users)
		results += len(slice.Status.Results)
	}
	if users != len(w.wanted.list) || results != len(w.wanted.list) {
		return fmt.Errorf("%d results for %d users in slices, not %d", results, users, len(w.wanted.list))
	}
	return nil
}

// check compares the users in the API, the results in the slices, and the counts in the batch.
func (w *world) check() {
	w.Helper()
	held := map[string]struct{}{}
	for _, user := range w.Sim.Users(w.Key) {
		held[user.Username] = struct{}{}
		if _, wanted := w.wanted.ever[user.Username]; !wanted {
			w.Errorf("the API has %s, which was never wanted", user.Username)
		}
	}
	proved := map[string]struct{}{}
	requests := w.Sim.Requests()
	for _, r := range requests {
		if r.Overlapped && !w.recreated {
			w.Errorf("two requests with the same user ran at once")
		}
		if r.Answered && r.Status == 200 {
			for _, username := range r.Created {
				proved[username] = struct{}{}
			}
		}
	}
	w.checkList(held, proved)
	for _, what := range w.resent.users {
		w.Errorf("sent although its result was stored: %s", what)
	}
	w.checkOthers(held)
	w.checkQuiet(len(requests))
}

// checkList checks that the users of the list exist, and that what their results say was proved.
func (w *world) checkList(held, proved map[string]struct{}) {
	w.Helper()
	results := w.listResults()
	w.checkNames(results)
	counts := v1alpha1.UserCounts{}
	for _, user := range w.wanted.list {
		if result := results[user.Username]; w.later.updates && ledger.Exists(result) && !ledger.Owns(result) {
			counts.NotOwned++
		}
		bad := strings.HasPrefix(user.Username, "bad-")
		_, exists := held[user.Username]
		if !bad && !exists {
			w.Errorf("the API does not hold %s", user.Username)
		}
		counts.Total++
		switch results[user.Username].Result {
		case v1alpha1.ResultCreated:
			counts.Created++
			if _, ok := proved[user.Username]; !ok && !w.options.SkipExisting && !w.options.CheckThenCreate {
				w.Errorf("%s is Created, and no answer proved it", user.Username)
			}
		case v1alpha1.ResultExisting:
			counts.Existing++
			if !exists && !w.options.MixedAllExist {
				w.Errorf("%s is Existing, and does not exist", user.Username)
			}
		case v1alpha1.ResultInvalid:
			counts.Invalid++
			if exists && w.options.ReadLag == 0 {
				w.Errorf("%s is Invalid, and exists", user.Username)
			}
		default:
			counts.Pending++
			w.Errorf("%s has no result", user.Username)
		}
	}
	if got := w.Load(batchName).Status.Counts; counts != got {
		w.Errorf("the slices count %+v, the batch says %+v", counts, got)
	}
}

// checkNames checks that the users that the operator owns have the full names of the list, and that it has not changed others.
func (w *world) checkNames(results map[string]v1alpha1.UserResult) {
	w.Helper()
	users := map[string]simulator.User{}
	for _, user := range w.Sim.Users(w.Key) {
		users[user.Username] = user
	}
	owned := 0
	for _, user := range w.wanted.list {
		result := results[user.Username]
		switch held := users[user.Username]; {
		case result.UserID == "" || result.UserID != held.ID:
		case held.FullName != user.FullName:
			w.Errorf("%s has the full name %q, and not %q", user.Username, held.FullName, user.FullName)
		default:
			owned++
		}
	}
	changed := map[string]bool{}
	for _, r := range w.Sim.Requests() {
		if r.Operation == simulator.Update {
			changed[r.Usernames[0]] = true
		}
	}
	w.Logf("%d users are owned, the full names of %d were written", owned, len(changed))
	if !w.later.updates && len(changed) > 0 {
		w.Errorf("the full names of %d users were written, which nobody has asked for", len(changed))
	}
}

// listResults returns the results in the slices of the large batch by username.
func (w *world) listResults() map[string]v1alpha1.UserResult {
	w.Helper()
	var owned []v1alpha1.EmbeddedUserSlice
	err := testenv.Await(context.Background(), func(ctx context.Context) (err error) { owned, err = w.owned(ctx); return err })
	w.Must(err)
	results := map[string]v1alpha1.UserResult{}
	for _, slice := range owned {
		for _, result := range slice.Status.Results {
			if _, dup := results[result.Username]; dup {
				w.Errorf("%s has two results", result.Username)
			}
			results[result.Username] = result
		}
	}
	return results
}

// checkOthers checks that every user of the small batches exists, and that at most one slice records it as Created, unless it was
// deleted in between.
func (w *world) checkOthers(held map[string]struct{}) {
	w.Helper()
	created := map[string]string{}
	for _, slice := range w.Slices() {
		for _, result := range slice.Status.Results {
			if result.Result == v1alpha1.ResultCreated {
				other, twice := created[result.Username]
				if twice && !w.later.deleted[result.Username] && !w.options.SkipExisting && !w.options.CheckThenCreate {
					w.Errorf("%s is Created in %s and in %s", result.Username, other, slice.Name)
				}
				created[result.Username] = slice.Name
			}
			_, exists := held[result.Username]
			if strings.HasPrefix(slice.Name, "small-") && !exists && !strings.HasPrefix(result.Username, "bad-") && !w.options.MixedAllExist {
				w.Errorf("%s of %s is %s, and does not exist", result.Username, slice.Name, result.Result)
			}
		}
		if strings.HasPrefix(slice.Name, "small-") && len(slice.Status.Results) != len(slice.Spec.Users) {
			w.Errorf("%s has %d results for %d users", slice.Name, len(slice.Status.Results), len(slice.Spec.Users))
		}
	}
}

// checkQuiet checks that nothing more is sent.
func (w *world) checkQuiet(before int) {
	<-time.After(700 * time.Millisecond) // longer than any delay before a retry
	if after := len(w.Sim.Requests()); after != before {
		w.Errorf("%d requests were sent after all users were settled", after-before)
	}
	w.Logf("%d users, %d requests (%d to create), %d steps", len(w.wanted.list), before, w.Sim.Count(simulator.Create), len(w.steps))
}
