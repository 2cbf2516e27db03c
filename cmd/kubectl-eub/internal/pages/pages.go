// SPDX-License-Identifier: Apache-2.0

// Package pages reads the slices of a batch a few at a time, so that a list of any length takes the same memory.
package pages

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// slicesPerPage bounds the memory for slices, each of which takes up to 400 KB, several times as much while it is decoded.
const slicesPerPage = 4

// EachSlice visits the slices of a batch. Like the operator it leaves out those that another object controls, and those that are being
// deleted, because their users are in other slices.
func EachSlice(
	ctx context.Context, reader client.Reader, batch *v1alpha1.EmbeddedUserBatch, visit func(*v1alpha1.EmbeddedUserSlice) error,
) error {
	for next := ""; ; {
		var page v1alpha1.EmbeddedUserSliceList
		err := reader.List(ctx, &page, client.InNamespace(batch.Namespace), client.MatchingLabels{v1alpha1.LabelBatch: batch.Name},
			client.Limit(slicesPerPage), client.Continue(next))
		if token := renewed(err); token != "" && token != next {
			next = token
			continue
		}
		if err != nil {
			return fmt.Errorf("listing the slices: %w", err)
		}
		for i := range page.Items {
			if slice := &page.Items[i]; metav1.IsControlledBy(slice, batch) && slice.DeletionTimestamp.IsZero() {
				if err := visit(slice); err != nil {
					return err
				}
			}
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

// renewed returns where to go on after the API server has forgotten the version of the list that was being read, as it does after five
// minutes; empty for another error. Users stay in their slices, so that the rest of a newer list does as well.
func renewed(err error) string {
	var status apierrors.APIStatus
	if apierrors.IsResourceExpired(err) && errors.As(err, &status) {
		return status.Status().Continue
	}
	return ""
}
