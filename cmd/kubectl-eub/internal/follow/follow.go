// SPDX-License-Identifier: Apache-2.0

// Package follow watches a batch until something holds of it.
package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// ErrDeleted is the error for a batch that was deleted while it was watched.
var ErrDeleted = errors.New("the batch was deleted")

// pause is the time between two tries to watch.
var pause = time.Second // a test does not wait

// Batch calls visit with a batch, and again whenever it has changed, until visit returns true or the context ends; then the error is that
// of the context. It goes on while the API server is away: lost is called with the error, once until it is back.
func Batch(
	ctx context.Context, c client.WithWatch, key client.ObjectKey, visit func(*v1alpha1.EmbeddedUserBatch) bool, lost func(error),
) error {
	f := &follower{client: c, key: key, visit: visit}
	isLost := false
	for {
		watches := f.watches
		done, err := f.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err() //nolint:wrapcheck // the caller knows why it ended the context
		case done:
			return nil
		case errors.Is(err, ErrDeleted), isGone(err) && f.uid != "":
			return ErrDeleted
		case isFinal(err) && f.watches == 0:
			return err
		case f.watches > watches:
			isLost = false
		}
		if err != nil && !isLost {
			isLost = true
			lost(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// isGone reports whether the API server says that it has no such batch, rather than that it does not know the kind yet, as while it starts.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isFinal reports whether trying again cannot help somebody who has never watched the batch. Whoever has may be refused while the API
// server starts, before it has read the roles.
func isFinal(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
}

type follower struct {
	client  client.WithWatch
	key     client.ObjectKey
	visit   func(*v1alpha1.EmbeddedUserBatch) bool
	uid     types.UID // of the batch; empty until it was read
	watches int       // how often a watch began
}

// once reads a batch and follows it until the API server ends the watch, as it does after some minutes.
func (f *follower) once(ctx context.Context) (done bool, err error) {
	batch := &v1alpha1.EmbeddedUserBatch{}
	if err := f.client.Get(ctx, f.key, batch); err != nil {
		return false, fmt.Errorf("reading batch %s: %w", f.key.Name, err)
	}
	if f.uid != "" && batch.UID != f.uid {
		return false, ErrDeleted // and created again
	}
	f.uid = batch.UID
	if f.visit(batch) {
		return true, nil
	}
	changes, err := f.client.Watch(ctx, &v1alpha1.EmbeddedUserBatchList{}, &client.ListOptions{
		Namespace: f.key.Namespace, FieldSelector: fields.OneTermEqualSelector("metadata.name", f.key.Name),
		Raw: &metav1.ListOptions{ResourceVersion: batch.ResourceVersion},
	})
	if err != nil {
		return false, fmt.Errorf("watching batch %s: %w", f.key.Name, err)
	}
	f.watches++
	defer changes.Stop()
	for change := range changes.ResultChan() {
		batch, isBatch := change.Object.(*v1alpha1.EmbeddedUserBatch)
		switch {
		case change.Type == watch.Deleted:
			return false, ErrDeleted
		case change.Type == watch.Error:
			return false, nil // as when the watch ends: the batch is read again
		case !isBatch || change.Type == watch.Bookmark:
		default:
			if f.visit(batch) {
				return true, nil
			}
		}
	}
	return false, nil
}
