// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/digest"
)

// failing has a batch, and fails some times when it is asked for its list, which does not exist.
type failing struct {
	client.WithWatch

	batch    *v1alpha1.EmbeddedUserBatch
	failures int
}

func (f *failing) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if batch, isBatch := object.(*v1alpha1.EmbeddedUserBatch); isBatch {
		f.batch.DeepCopyInto(batch)
		return nil
	}
	if f.failures--; f.failures >= 0 {
		return errors.New("the API server starts")
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, "list")
}

func (*failing) Watch(ctx context.Context, _ client.ObjectList, _ ...client.ListOption) (watch.Interface, error) {
	changes := watch.NewFake()
	context.AfterFunc(ctx, changes.Stop)
	return changes, nil
}

func TestWatch_SaysOnceThatAListCannotBeLookedUp(t *testing.T) {
	batch := batch("customers", v1alpha1.UserCounts{}, condition("Ready", "True", "Succeeded", "x"),
		condition("SourcesRead", "True", "SourcesRead", "x"))
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{
		{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv", Optional: true}},
	}
	batch.Status.Plan = &v1alpha1.PlanStatus{Sources: digest.Of("")}
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		w := &watcher{cluster: &cluster{client: &failing{batch: batch, failures: 5}}, display: &lines{out: io.Discard}, warn: &told}
		last, err := w.run(t.Context())
		if err != nil || last.State != Ready || strings.Count(told.String(), "the API server starts") != 1 {
			t.Errorf("%s, %v: %s", last.State, err, &told)
		}
	})
}
