// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/parts"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// resourceOf returns the resource of a kind of object that an import writes.
func resourceOf(kind string) string {
	if kind == v1alpha1.EmbeddedUserBatchKind {
		return access.Batches
	}
	return access.ListResource(kind)
}

// applier applies an import to a cluster.
type applier struct {
	*options

	kube    client.Client
	to      target
	earlier map[string]*metav1.PartialObjectMetadata // lists of the batch in the cluster, by kind and name
}

// applyAll applies the lists, then the batch, and then deletes the lists that the batch does not name any more.
func (o *options) applyAll(ctx context.Context, to target, list []parts.Part) error {
	kube, namespace, err := o.Connect()
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	to.namespace = namespace
	a := &applier{options: o, kube: kube, to: to, earlier: map[string]*metav1.PartialObjectMetadata{}}
	batch := &v1alpha1.EmbeddedUserBatch{}
	key := client.ObjectKey{Namespace: to.namespace, Name: to.name}
	if err := kube.Get(ctx, key, batch); client.IgnoreNotFound(err) != nil {
		return access.Explain(fmt.Errorf("reading the batch: %w", err), "get", access.Batches, key) //nolint:wrapcheck // names the right
	}
	a.prepare(batch)
	for _, kind := range []string{usersource.ConfigMap, usersource.Secret} {
		if err := a.find(ctx, kind); err != nil {
			return err
		}
	}
	if err := a.send(ctx, a.to.batch(list), client.DryRunAll); err != nil { // so that no lists are left of a batch that is refused
		return err
	}
	for _, part := range distinct(list) {
		object := a.to.objectOf(part)
		before, isThere := a.earlier[nameOf(object)]
		if !isThere {
			before = &metav1.PartialObjectMetadata{}
		}
		delete(a.earlier, nameOf(object))
		if err := a.apply(ctx, object, before); err != nil {
			return err
		}
	}
	if err := a.apply(ctx, a.to.batch(list), batch); err != nil {
		return err
	}
	if err := a.deleteEarlier(ctx); err != nil {
		return err
	}
	if o.output != outputName {
		terminal.Note(o.ErrOut, "To follow it: kubectl eub status %s --watch", advice.Target(to.namespace, to.name))
	}
	return nil
}

// prepare chooses the API key of a batch, which is empty if it does not exist, and says what an import leaves as it is.
func (a *applier) prepare(batch *v1alpha1.EmbeddedUserBatch) {
	switch {
	case a.to.apiKey.Name != "":
	case batch.UID == "":
		a.to.apiKey.Name = defaultAPIKeySecret
	case managesKey(batch): // of an earlier import, and would be removed
		a.to.apiKey = batch.Spec.APIKeySecretRef
	}
	if n := len(batch.Spec.Users); n > 0 {
		terminal.Note(a.ErrOut, "The batch keeps %s in spec.users, which the operator takes first.", terminal.Count(n, "row", "rows"))
	}
}

// managesKey reports whether an earlier import applied the reference to the API key. If somebody else did, the import leaves it out, so
// that the other can change it without a conflict.
func managesKey(batch *v1alpha1.EmbeddedUserBatch) bool {
	for _, entry := range batch.ManagedFields {
		var fields struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if entry.Manager == command.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.FieldsV1 != nil &&
			json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec["f:apiKeySecretRef"] != nil {
			return true
		}
	}
	return false
}

// find finds the lists of earlier imports.
func (a *applier) find(ctx context.Context, kind string) error {
	var found metav1.PartialObjectMetadataList
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
	err := a.kube.List(ctx, &found, client.InNamespace(a.to.namespace), client.MatchingLabels{LabelImport: a.to.name})
	if err != nil {
		err = fmt.Errorf("listing earlier lists: %w", err)
		return access.Explain(err, "list", resourceOf(kind), client.ObjectKey{Namespace: a.to.namespace}) //nolint:wrapcheck // wrapped
	}
	for i := range found.Items {
		found.Items[i].SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		object := a.to.object("v1", kind, found.Items[i].Name)
		a.earlier[nameOf(object)] = &found.Items[i]
	}
	return nil
}

// apply applies an object, and says whether that changed it. before is what it was; empty if it did not exist.
func (a *applier) apply(ctx context.Context, object *unstructured.Unstructured, before metav1.Object) error {
	if err := a.send(ctx, object); err != nil {
		return err
	}
	a.say(object, outcome(before, object))
	return nil
}

func (a *applier) send(ctx context.Context, object *unstructured.Unstructured, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner(command.FieldManager))
	if a.conflicts {
		options = append(options, client.ForceOwnership)
	}
	err := a.kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), options...)
	if apierrors.IsConflict(err) {
		return fmt.Errorf("somebody else manages a field of %s; --force-conflicts takes it over: %w", nameOf(object), err)
	}
	if err != nil {
		err = fmt.Errorf("applying %s: %w", nameOf(object), err)
		return access.Explain(err, "patch", resourceOf(object.GetKind()), client.ObjectKeyFromObject(object)) //nolint:wrapcheck // wrapped
	}
	return nil
}

// outcome says what applying an object did to it. Of a batch only the generation counts, because the operator may have written the status
// meanwhile; a list has none.
func outcome(before, after metav1.Object) string {
	switch {
	case before.GetUID() == "":
		return "created"
	case before.GetResourceVersion() == after.GetResourceVersion(),
		before.GetGeneration() > 0 && before.GetGeneration() == after.GetGeneration():
		return "unchanged"
	default:
		return "changed"
	}
}

// say prints what happened to an object: its name alone for scripts, as kubectl does.
func (a *applier) say(object *unstructured.Unstructured, what string) {
	if a.output == outputName {
		what = ""
	} else {
		what = " " + what
	}
	_, _ = fmt.Fprintln(a.Out, nameOf(object)+what) // what happened has happened
}

// deleteEarlier deletes the lists of earlier imports that are not of this one.
func (a *applier) deleteEarlier(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(a.earlier)) {
		metadata := a.earlier[name]
		uid := metadata.UID
		err := a.kube.Delete(ctx, metadata, client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			err = fmt.Errorf("deleting %s: %w", name, err)
			return access.Explain(err, "delete", resourceOf(metadata.Kind), client.ObjectKeyFromObject(metadata)) //nolint:wrapcheck // wrapped
		}
		_, _ = fmt.Fprintln(a.Out, name+" deleted")
	}
	return nil
}
