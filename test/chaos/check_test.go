package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// settle clears all faults and waits until every user has a result.
func (w *world) settle() {
	w.Helper()
	w.step("settle")
	w.sim.ClearFaults()
	w.setKey(goodKey)
	w.apply()
	var status string
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		batch, err := w.load()
		if err != nil {
			status = err.Error()
			continue
		}
		status = fmt.Sprintf("%+v", batch.Status)
		done := batch.Status.ObservedGeneration == batch.Generation && batch.Status.Counts.Pending == 0 && batch.Status.Slices.Total == batch.Status.Slices.Ready
		if done && w.slicesSettled() && w.othersSettled() {
			w.step("settled")
			return
		}
	}
	w.Fatalf("did not settle: %s", status)
}

// slicesSettled reports whether the slices have each user once, with a result. The batch's status alone is not enough, because
// the operator may not have noticed a damaged slice yet.
func (w *world) slicesSettled() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	slices, err := w.slices(ctx)
	if err != nil {
		return false
	}
	users, results := 0, 0
	for _, slice := range slices {
		if slice.Status.ObservedGeneration != slice.Generation || slice.Labels[v1alpha1.LabelBatch] != batchName {
			return false
		}
		users += len(slice.Spec.Users)
		results += len(slice.Status.Results)
	}
	return users == len(w.list) && results == len(w.list)
}

// othersSettled reports whether no user is pending in any batch.
func (w *world) othersSettled() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var list v1alpha1.EmbeddedUserBatchList
	if err := w.List(ctx, &list, client.InNamespace(w.namespace)); err != nil {
		return false
	}
	for _, batch := range list.Items {
		if counts := batch.Status.Counts; batch.Status.ObservedGeneration != batch.Generation || counts.Pending > 0 || counts.Total == 0 && batch.Name != batchName {
			return false
		}
	}
	return true
}

// checkOthers checks that every user of the small batches exists, and that at most one slice records it as Created.
func (w *world) checkOthers(held map[string]struct{}) {
	w.Helper()
	var list v1alpha1.EmbeddedUserSliceList
	w.must(func(ctx context.Context) error { return w.List(ctx, &list, client.InNamespace(w.namespace)) })
	created := map[string]string{}
	for _, slice := range list.Items {
		for _, result := range slice.Status.Results {
			if result.Result == v1alpha1.ResultCreated {
				if other, twice := created[result.Username]; twice && !w.options.SkipExisting && !w.options.CheckThenCreate {
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

func (w *world) load() (*v1alpha1.EmbeddedUserBatch, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var batch v1alpha1.EmbeddedUserBatch
	err := w.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: batchName}, &batch)
	return &batch, err
}

// check compares the users in the API, the results in the slices, and the counts in the batch.
func (w *world) check() {
	w.Helper()
	var batch *v1alpha1.EmbeddedUserBatch
	var slices []v1alpha1.EmbeddedUserSlice
	w.must(func(ctx context.Context) (err error) {
		if batch, err = w.load(); err == nil {
			slices, err = w.slices(ctx)
		}
		return err
	})
	held := map[string]struct{}{}
	for _, user := range w.sim.Users(goodKey) {
		held[user.Username] = struct{}{}
		if _, wanted := w.everWanted[user.Username]; !wanted {
			w.Errorf("the API has %s, which was never wanted", user.Username)
		}
	}
	proved := map[string]struct{}{}
	requests := w.sim.Requests()
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

	counts := v1alpha1.UserCounts{}
	results := map[string]v1alpha1.UserResult{}
	for _, slice := range slices {
		for _, result := range slice.Status.Results {
			if _, dup := results[result.Username]; dup {
				w.Errorf("%s has two results", result.Username)
			}
			results[result.Username] = result
		}
	}
	for _, user := range w.list {
		bad := strings.HasPrefix(user.Username, "bad-")
		_, exists := held[user.Username]
		if !bad && !exists {
			w.Errorf("the API does not hold %s", user.Username)
		}
		result := results[user.Username]
		counts.Total++
		switch result.Result {
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
	if counts != batch.Status.Counts {
		w.Errorf("the slices count %+v, the batch says %+v", counts, batch.Status.Counts)
	}
	for _, what := range w.resent {
		w.Errorf("sent although its result was stored: %s", what)
	}
	w.checkOthers(held)
	w.checkQuiet(len(requests))
}

// checkQuiet checks that nothing more is sent.
func (w *world) checkQuiet(before int) {
	<-time.After(700 * time.Millisecond) // longer than any delay before a retry
	if after := len(w.sim.Requests()); after != before {
		w.Errorf("%d requests were sent after all users were settled", after-before)
	}
	creates := 0
	for _, r := range w.sim.Requests() {
		if r.Operation == simulator.Create {
			creates++
		}
	}
	w.Logf("%d users, %d requests (%d to create), %d steps", len(w.list), before, creates, len(w.steps))
}
