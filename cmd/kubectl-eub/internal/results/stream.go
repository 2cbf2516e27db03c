// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/pages"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// stream visits what became of each user of a batch: the rows that are invalid by themselves, and then the users of each slice, in
// the order of the slices' names. It holds few slices at a time, so that a list of any length takes the same memory.
//
// The rows are those that the status names, of which there are at most 100. With readsLists they are found in the lists, and so is the row
// of every user.
func stream(ctx context.Context, reader client.Reader, batch *v1alpha1.EmbeddedUserBatch, readsLists bool, visit func(Row) error) error {
	known := placesOf(batch)
	locate := known.locate
	if readsLists {
		lists, err := readLists(ctx, reader, batch, visit)
		if err != nil {
			return err
		}
		locate = func(row *Row) { known.locate(row); lists.locate(row) }
	} else {
		for _, user := range known.rows {
			if err := visit(invalidRow(user)); err != nil {
				return err
			}
		}
	}
	batch.Spec.Users = nil // not needed any more, and large
	//nolint:wrapcheck // says what failed
	return pages.EachSlice(ctx, reader, batch, func(slice *v1alpha1.EmbeddedUserSlice) (err error) {
		ledger.Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, has bool) {
			if err == nil {
				row := rowOf(slice.Spec.UpdatePolicy, user, result, has)
				locate(&row)
				err = visit(row)
			}
		})
		return err
	})
}
