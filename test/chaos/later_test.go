// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// later is what people do to batches and accounts once users exist. It has random numbers of its own, so that a seed breaks the same
// things as without it.
type later struct {
	rnd     *rand.Rand
	deleted map[string]bool // users that were deleted in the account
	asked   int             // times that somebody asked for a look-up

	suspended bool // the large batch was, when somebody last changed that
	updates   bool // the large batch has the updatePolicy Update
}

func newLater(seed int64) later {
	return later{
		rnd: rand.New(rand.NewPCG(uint64(seed), 2)), deleted: map[string]bool{},
		updates: rand.New(rand.NewPCG(uint64(seed), 3)).IntN(2) == 0,
	}
}

// interfere does at most one thing between two failures.
func (w *world) interfere() {
	w.Helper()
	switch w.later.rnd.IntN(8) {
	case 0:
		w.suspend(!w.later.suspended)
	case 1:
		w.step("ask for a look-up")
		w.lookUp(batchName)
	case 2, 3:
		w.deleteUsers(1 + w.later.rnd.IntN(5))
	}
}

func (w *world) suspend(suspended bool) {
	w.Helper()
	w.step("suspend: %t", suspended)
	w.later.suspended = suspended
	w.patch(batchName, `{"spec": {"suspend": %t}}`, suspended)
}

// patch changes a batch, whatever the operator writes meanwhile.
func (w *world) patch(name, format string, args ...any) {
	w.Helper()
	change := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, args...))
	w.Must(testenv.Await(context.Background(), func(ctx context.Context) error { return w.Patch(ctx, w.Batch(name), change) }))
}

// lookUp asks the operator to look up the users of some batches.
func (w *world) lookUp(names ...string) {
	w.Helper()
	w.later.asked++
	for _, name := range names {
		w.patch(name, `{"metadata": {"annotations": {%q: "%d"}}}`, v1alpha1.AnnotationReconcileAt, w.later.asked)
	}
}

// deleteUsers deletes users in the account, as somebody could in Alloy's dashboard.
func (w *world) deleteUsers(n int) {
	w.Helper()
	users := w.Sim.Users(w.Key)
	for range min(n, len(users)) {
		username := users[w.later.rnd.IntN(len(users))].Username
		w.step("delete %s", username)
		w.Sim.Delete(w.Key, username)
		w.later.deleted[username] = true
	}
}

// lookUpAll asks the operator to look up the users of every batch.
func (w *world) lookUpAll() {
	w.Helper()
	var batches v1alpha1.EmbeddedUserBatchList
	w.Must(testenv.Await(context.Background(), func(ctx context.Context) error {
		return w.List(ctx, &batches, client.InNamespace(w.Namespace))
	}))
	var names []string
	for i := range batches.Items {
		names = append(names, batches.Items[i].Name)
	}
	w.lookUp(names...)
}
