// SPDX-License-Identifier: Apache-2.0

package pages_test

import (
	"context"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/pages"
)

// forgetful is an API server that forgets the version of a list after each page, and says how to go on in a newer one.
type forgetful struct {
	client.Reader

	slices []v1alpha1.EmbeddedUserSlice
	at     int
}

func (f *forgetful) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(options)
	if o.Continue == "old" {
		expired := apierrors.NewResourceExpired("the provided continue parameter is too old")
		expired.ErrStatus.Continue = "newer"
		return expired
	}
	page := into.(*v1alpha1.EmbeddedUserSliceList) //nolint:forcetypeassert // there is no other kind
	page.Items = f.slices[f.at : f.at+1]
	if f.at++; f.at < len(f.slices) {
		page.Continue = "old"
	}
	return nil
}

// Somebody reads results in a pager for longer than the API server remembers a list.
func TestEachSlice_GoesOnInANewerList(t *testing.T) {
	batch := &v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{Name: "customers", UID: "a"}}
	yes := true
	slice := func(name string, owner types.UID) v1alpha1.EmbeddedUserSlice {
		return v1alpha1.EmbeddedUserSlice{ObjectMeta: metav1.ObjectMeta{
			Name: name, OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: &yes}},
		}}
	}
	server := &forgetful{slices: []v1alpha1.EmbeddedUserSlice{slice("0", "a"), slice("1", "a"), slice("theirs", "b"), slice("2", "a")}}
	var got []string
	err := pages.EachSlice(t.Context(), server, batch, func(s *v1alpha1.EmbeddedUserSlice) error { got = append(got, s.Name); return nil })
	if want := []string{"0", "1", "2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %v", got, err)
	}
}
