// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// decides lets pass that a batch was deleted, or that its deletion began, and what decides whether its users are sent. A batch that is
// seen for the first time may send again what it did not when its slices were looked at, with a copy that is not in the cache.
var decides = predicate.Funcs{
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, isBatch := e.ObjectOld.(*cached.Batch)
		after, isToo := e.ObjectNew.(*cached.Batch)
		return isBatch && isToo && (before.DeletionTimestamp.IsZero() && !after.DeletionTimestamp.IsZero() ||
			before.SendsNothing() != after.SendsNothing() ||
			before.Status.KeyFingerprint != "" && before.Status.KeyFingerprint != after.Status.KeyFingerprint)
	},
}

// start takes the queue, into which Wake puts slices.
func (r *Reconciler) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.queue = queue
	r.window = budget.NewWindow(ledger.MaxSubmitted, r.enqueue)
	return nil
}

// recordPause is how long more news may follow before those of a slice are recorded for which there is more to do.
const recordPause = time.Second

// Wake has a slice reconciled because the sender has news for it.
func (r *Reconciler) Wake(id sender.ID) {
	name := types.NamespacedName{Namespace: id.Namespace, Name: id.Name}
	if r.Sender.Report(id).InFlight {
		r.queue.AddAfter(reconcile.Request{NamespacedName: name}, recordPause)
		return
	}
	r.enqueue(name)
}

func (r *Reconciler) enqueue(name types.NamespacedName) {
	r.queue.Add(reconcile.Request{NamespacedName: name})
}

// handler enqueues slices, and notes those that were there before this process led, or watched their namespace.
func (r *Reconciler) handler() handler.EventHandler {
	enqueue := func(o client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o)})
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if e.IsInInitialList && metav1.GetControllerOf(e.Object) != nil { // a batch that adopts a slice plans its pending users anew
				r.inherited.add(e.Object.GetUID(), time.Now().Add(r.Options.RequestTimeout))
			}
			enqueue(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.ObjectNew, q)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			r.inherited.drop(e.Object.GetUID())
			enqueue(e.Object, q)
		},
	}
}

// slicesOfSecret returns the slices whose key a Secret holds that was changed or deleted.
func (r *Reconciler) slicesOfSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	r.Credentials.Forget(secret.GetNamespace(), secret.GetName())
	return requests(r.list(ctx, client.InNamespace(secret.GetNamespace()), client.MatchingFields{index.KeyRef: secret.GetName()}))
}

// slicesOfBatch returns the slices of a batch that is gone or going, or that stops or starts to send its users. If it stops, nothing
// of them is sent any more.
func (r *Reconciler) slicesOfBatch(ctx context.Context, object client.Object) []reconcile.Request {
	slices := r.list(ctx, client.InNamespace(object.GetNamespace()), client.MatchingFields{index.Batch: object.GetName()})
	if batch, ok := object.(*cached.Batch); ok && batch.SendsNothing() {
		for i := range slices {
			if metav1.IsControlledBy(&slices[i], batch) {
				r.Sender.Withdraw(idOf(&slices[i]))
			}
		}
	}
	return requests(slices)
}

// list returns the slices that match.
func (r *Reconciler) list(ctx context.Context, which ...client.ListOption) []cached.Slice {
	var list cached.SliceList
	if err := r.Cache.List(ctx, &list, which...); err != nil {
		log.FromContext(ctx).Error(err, "Failed to list slices")
	}
	return list.Items
}

func requests(slices []cached.Slice) []reconcile.Request {
	requests := make([]reconcile.Request, len(slices))
	for i := range slices {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&slices[i])
	}
	return requests
}
