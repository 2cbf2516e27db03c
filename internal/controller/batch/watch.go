// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
)

// sumPriority is the priority of a batch of which only a slice has changed. It is below that of the initial list, so that
// planning comes first: users that are planned together share requests.
const sumPriority = handler.LowPriority - 100

// batchOf enqueues the batch to which a slice belongs, or did before.
func batchOf() handler.EventHandler {
	enqueue := func(queue workqueue.TypedRateLimitingInterface[reconcile.Request], changed ...client.Object) {
		for _, slice := range changed {
			for _, name := range index.Batches(slice) {
				request := reconcile.Request{NamespacedName: client.ObjectKey{Namespace: slice.GetNamespace(), Name: name}}
				if prioritized, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
					prioritized.AddWithOpts(priorityqueue.AddOpts{Priority: new(sumPriority)}, request)
				} else {
					queue.Add(request)
				}
			}
		}
	}
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { enqueue(q, e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { enqueue(q, e.ObjectOld, e.ObjectNew) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { enqueue(q, e.Object) },
	}
}

// batchesBy maps an object to the batches that refer to it, according to the given indexes.
func (r *Reconciler) batchesBy(indexes ...string) handler.MapFunc {
	return func(ctx context.Context, referred client.Object) []reconcile.Request {
		var requests []reconcile.Request
		for _, field := range indexes {
			var list cached.BatchList
			referring := client.MatchingFields{field: referred.GetName()}
			if err := r.Cache.List(ctx, &list, client.InNamespace(referred.GetNamespace()), referring); err != nil {
				log.FromContext(ctx).Error(err, "Failed to list the batches that refer to an object")
				return nil
			}
			for i := range list.Items {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
			}
		}
		return requests
	}
}
