// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
	"github.com/embedded-user-operator/embedded-user-operator/internal/digest"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// cluster reads what a report is made of.
type cluster struct {
	client client.WithWatch
	tables rest.Interface
}

func newCluster(c client.WithWatch, config *rest.Config) (*cluster, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &v1alpha1.SchemeGroupVersion, "/apis"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	tables, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client for tables: %w", err)
	}
	return &cluster{c, tables}, nil
}

// details are what a report has besides the batch.
type details struct {
	slices  []SliceRow
	events  []corev1.Event
	missing []string
}

// load returns the details of a batch. What the caller has no right to see is missing, and named.
func (c *cluster) load(ctx context.Context, batch *v1alpha1.EmbeddedUserBatch) (d details, err error) {
	if batch.Status.Counts.Pending > 0 {
		d.slices, err = c.sliceRows(ctx, batch)
		if apierrors.IsForbidden(err) {
			d.missing = append(d.missing, "the slices that are held up: "+access.Missing("list", access.Slices, batch.Namespace))
		} else if err != nil {
			return d, err
		}
	}
	var events corev1.EventList
	err = c.client.List(ctx, &events, &client.ListOptions{
		Namespace: batch.Namespace, FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(batch.UID)),
	})
	if apierrors.IsForbidden(err) {
		d.missing = append(d.missing, "the events: "+access.Missing("list", access.Events, batch.Namespace))
	} else if err != nil {
		return d, fmt.Errorf("listing the events: %w", err)
	}
	d.events = events.Items
	return d, nil
}

// look finds out whether the status of a batch is that of its lists and annotations as they are now.
func (c *cluster) look(ctx context.Context, batch *v1alpha1.EmbeddedUserBatch) (sight, error) {
	if isAsked(batch) && !lacksKey(batch) {
		return sight{batch: batch, outdated: advice.LookupDue}, nil
	}
	if !dependsOnLists(batch) {
		return sight{batch: batch}, nil
	}
	versions := make([]string, len(batch.Spec.UsersFrom))
	for i := range batch.Spec.UsersFrom {
		kind, ref := usersource.Reference(&batch.Spec.UsersFrom[i])
		var list metav1.PartialObjectMetadata
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		err := c.client.Get(ctx, client.ObjectKey{Namespace: batch.Namespace, Name: ref.Name}, &list)
		if apierrors.IsForbidden(err) {
			missing := "whether a list has changed since the operator read it: " +
				access.Missing("get", access.ListResource(kind), batch.Namespace)
			return sight{batch: batch, missing: []string{missing}}, nil
		}
		if client.IgnoreNotFound(err) != nil {
			return sight{}, fmt.Errorf("looking up %s %s: %w", kind, ref.Name, err)
		}
		versions[i] = usersource.Version(&list)
	}
	if digest.Of(versions...) == batch.Status.Plan.Sources {
		return sight{batch: batch}, nil
	}
	return sight{batch: batch, outdated: advice.ListChanged}, nil
}

const (
	asTable       = "application/json;as=Table;v=v1;g=meta.k8s.io"
	slicesPerPage = 500
)

func (c *cluster) sliceRows(ctx context.Context, batch *v1alpha1.EmbeddedUserBatch) ([]SliceRow, error) {
	var rows []SliceRow
	for next := ""; ; {
		text, err := c.tables.Get().Namespace(batch.Namespace).Resource(access.Slices).SetHeader("Accept", asTable).
			Param("includeObject", string(metav1.IncludeNone)).Param("labelSelector", v1alpha1.LabelBatch+"="+batch.Name).
			Param("limit", strconv.Itoa(slicesPerPage)).Param("continue", next).DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the slices: %w", err)
		}
		var page metav1.Table
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, fmt.Errorf("decoding the table of slices: %w", err)
		}
		of, err := sliceRows(&page)
		if err != nil {
			return nil, err
		}
		rows = append(rows, of...)
		if next = page.Continue; next == "" {
			return rows, nil
		}
	}
}

// batchesPerPage bounds the memory for batches, of which each may have 10,000 users.
const batchesPerPage = 20

// fleet returns a report, without details, on each batch of a namespace; of all namespaces if it is empty. The invalid users take most of
// the memory, and are left out unless they are asked for.
func (c *cluster) fleet(ctx context.Context, namespace string, invalidUsers bool) ([]Report, error) {
	reports := []Report{}
	for next := ""; ; {
		var page v1alpha1.EmbeddedUserBatchList
		err := c.client.List(ctx, &page, client.InNamespace(namespace), client.Limit(batchesPerPage), client.Continue(next))
		if err != nil {
			err = fmt.Errorf("listing the batches: %w", err)
			return nil, access.Explain(err, "list", access.Batches, client.ObjectKey{Namespace: namespace}) //nolint:wrapcheck // wrapped
		}
		for i := range page.Items {
			if !invalidUsers {
				page.Items[i].Status.InvalidUsers = nil
			}
			reports = append(reports, New(&page.Items[i], nil, nil, nil))
		}
		if next = page.Continue; next == "" {
			return reports, nil
		}
	}
}
