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

// gone lets pass that a batch was deleted, or that its deletion began.
var gone = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero()
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
	return r.requests(ctx, client.InNamespace(secret.GetNamespace()), client.MatchingFields{index.KeyRef: secret.GetName()})
}

// slicesOfGone are the slices of a batch that is gone or going: nothing of them is to be sent any more, although they are
// there until the garbage collector takes them.
func (r *Reconciler) slicesOfGone(ctx context.Context, batch client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(batch.GetNamespace()), client.MatchingFields{index.Batch: batch.GetName()})
}

func (r *Reconciler) requests(ctx context.Context, which ...client.ListOption) []reconcile.Request {
	var list cached.SliceList
	if err := r.Cache.List(ctx, &list, which...); err != nil {
		log.FromContext(ctx).Error(err, "Failed to list slices")
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}
