// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

var (
	resource  = schema.GroupResource{Group: v1alpha1.SchemeGroupVersion.Group, Resource: "embeddeduserbatches"}
	forbidden = apierrors.NewForbidden(resource, "customers", errors.New("no"))
)

// server answers each request for a batch with the next UID, and each watch with the next error, or with a watch that ends at once.
type server struct {
	client.WithWatch

	uids   []types.UID
	errors []error
}

func (s *server) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	object.SetUID(s.uids[0])
	s.uids = s.uids[1:]
	return nil
}

func (s *server) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	err := s.errors[0]
	s.errors = s.errors[1:]
	changes := watch.NewFake()
	changes.Stop()
	return changes, err
}

func TestBatch(t *testing.T) {
	for name, test := range map[string]struct {
		server       server
		visits, lost int
		want         func(error) bool
	}{
		"somebody who may read and not watch is told at once": {
			server{uids: []types.UID{"a"}, errors: []error{forbidden}}, 1, 0, apierrors.IsForbidden,
		},
		"a refusal later may be that of an API server that starts": {
			server{uids: []types.UID{"a", "a", "a", "b"}, errors: []error{nil, forbidden, forbidden}}, 3, 1,
			func(err error) bool { return errors.Is(err, ErrDeleted) },
		},
		"another batch of the same name is not the one that was watched": {
			server{uids: []types.UID{"a", "b"}, errors: []error{nil}}, 1, 0, func(err error) bool { return errors.Is(err, ErrDeleted) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			pause = 0
			visits, lost := 0, 0
			err := Batch(t.Context(), &test.server, client.ObjectKey{Name: "customers"},
				func(*v1alpha1.EmbeddedUserBatch) bool { visits++; return false }, func(error) { lost++ })
			if !test.want(err) || visits != test.visits || lost != test.lost {
				t.Errorf("after %d visits, and %d times lost: %v", visits, lost, err)
			}
		})
	}
}
