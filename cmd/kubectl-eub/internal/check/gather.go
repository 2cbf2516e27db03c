// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
)

const (
	operatorLabel     = "app.kubernetes.io/name=embedded-user-operator"
	operatorContainer = "manager"
	slicesQuota       = "count/embeddeduserslices.embedded.runalloy.com"
	// batchesPerPage bounds the memory for batches, of which each may have 10,000 users.
	batchesPerPage = 20
)

// gatherer finds out about a cluster.
type gatherer struct {
	client    client.Client
	discovery discovery.DiscoveryInterface
}

// gather finds out about a namespace, and about one of its batches or, without a name, all. It writes nothing but access reviews, which
// are not stored. It fails if the API server cannot be reached, or the batches cannot be read.
func (g *gatherer) gather(ctx context.Context, namespace, name, plugin string) (*facts, error) {
	f := &facts{namespace: namespace, now: time.Now(), plugin: plugin, denied: map[right]bool{}}
	version, err := g.discovery.ServerVersion()
	if err != nil {
		err = fmt.Errorf("asking for the version of the API server: %w", err)
		return nil, access.Explain(err, "get", "its version", client.ObjectKey{}) //nolint:wrapcheck // wrapped
	}
	f.kubernetes = version.GitVersion
	if f.hasGroup, err = g.hasGroup(); err != nil || !f.hasGroup {
		return f, err
	}
	f.served, f.schemaErr = g.served()
	f.operators, f.operatorsErr = g.operators(ctx)
	if err := g.review(ctx, f); err != nil {
		return nil, err
	}
	if err := g.batches(ctx, f, name); err != nil {
		return nil, err
	}
	f.quotas = g.quotas(ctx, namespace)
	return f, nil
}

func (g *gatherer) hasGroup() (bool, error) {
	_, err := g.discovery.ServerResourcesForGroupVersion(v1alpha1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the operator's API: %w", err)
	}
	return true, nil
}

func (g *gatherer) served() (map[string][]string, error) {
	paths, err := g.discovery.OpenAPIV3().Paths()
	if err != nil {
		return nil, err //nolint:wrapcheck // a finding quotes it
	}
	path, has := paths["apis/"+v1alpha1.SchemeGroupVersion.String()]
	if !has {
		return nil, fmt.Errorf("the API server has none for %s", v1alpha1.SchemeGroupVersion)
	}
	document, err := path.Schema("application/json")
	if err != nil {
		return nil, err //nolint:wrapcheck // a finding quotes it
	}
	return servedFields(document)
}

func (g *gatherer) operators(ctx context.Context) ([]Operator, error) {
	var list appsv1.DeploymentList
	name, value, _ := strings.Cut(operatorLabel, "=")
	if err := g.client.List(ctx, &list, client.MatchingLabels{name: value}); err != nil {
		return nil, err //nolint:wrapcheck // a finding quotes it
	}
	var found []Operator
	for i := range list.Items {
		d := &list.Items[i]
		wanted := int32(1)
		if d.Spec.Replicas != nil {
			wanted = *d.Spec.Replicas
		}
		found = append(found, Operator{
			Namespace: d.Namespace, Name: d.Name, Version: versionOf(d), Ready: d.Status.ReadyReplicas, Wanted: wanted,
		})
	}
	return found, nil
}

// versionOf returns the tag of the image of an operator; empty if it has none.
func versionOf(d *appsv1.Deployment) string {
	for _, container := range d.Spec.Template.Spec.Containers {
		if container.Name != operatorContainer {
			continue
		}
		image, _, _ := strings.Cut(container.Image, "@")
		if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
			return image[i+1:]
		}
	}
	return ""
}

// review asks the API server for every right of every command.
func (g *gatherer) review(ctx context.Context, f *facts) error {
	asked := map[right]bool{}
	for _, c := range rights {
		for _, need := range c.needs {
			if asked[need] {
				continue
			}
			asked[need] = true
			group := ""
			if need.resource == access.Batches || need.resource == access.Slices {
				group = v1alpha1.SchemeGroupVersion.Group
			}
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: f.namespace, Verb: need.verb, Group: group, Resource: need.resource},
			}}
			if err := g.client.Create(ctx, review); err != nil {
				return fmt.Errorf("asking for your rights: %w", err)
			}
			f.denied[need] = !review.Status.Allowed
		}
	}
	return nil
}

func (g *gatherer) batches(ctx context.Context, f *facts, name string) error {
	add := func(batch *v1alpha1.EmbeddedUserBatch) {
		b := batchFacts{batch: batch, rows: len(batch.Spec.Users), secret: g.secret(ctx, batch)}
		batch.Spec.Users = nil
		f.batches = append(f.batches, b)
	}
	key := client.ObjectKey{Namespace: f.namespace, Name: name}
	if name != "" {
		batch := &v1alpha1.EmbeddedUserBatch{}
		if err := g.client.Get(ctx, key, batch); err != nil {
			return access.Explain(fmt.Errorf("reading batch %s: %w", name, err), "get", access.Batches, key) //nolint:wrapcheck // wrapped
		}
		add(batch)
		return nil
	}
	for next := ""; ; {
		var page v1alpha1.EmbeddedUserBatchList
		err := g.client.List(ctx, &page, client.InNamespace(f.namespace), client.Limit(batchesPerPage), client.Continue(next))
		if apierrors.IsForbidden(err) {
			f.denied[right{"list", access.Batches}] = true // as the review said, unless the rights have changed since
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing the batches: %w", err)
		}
		for i := range page.Items {
			add(page.Items[i].DeepCopy()) // the copy does not keep the page
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

// secret says whether the Secret of a batch exists. It reads the metadata only, so that the key does not leave the API server.
func (g *gatherer) secret(ctx context.Context, batch *v1alpha1.EmbeddedUserBatch) presence {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := g.client.Get(ctx, client.ObjectKey{Namespace: batch.Namespace, Name: batch.Spec.APIKeySecretRef.Name}, secret)
	switch {
	case err == nil:
		return exists
	case apierrors.IsNotFound(err):
		return isMissing
	default:
		return cannotTell
	}
}

// quotas returns the quotas for slices that can be seen.
func (g *gatherer) quotas(ctx context.Context, namespace string) []quota {
	var list corev1.ResourceQuotaList
	if err := g.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil // who may not see quotas is told by PlanRejected
	}
	var found []quota
	for i := range list.Items {
		q := &list.Items[i]
		if hard, limits := q.Status.Hard[slicesQuota]; limits {
			used := q.Status.Used[slicesQuota]
			found = append(found, quota{name: q.Name, used: used.Value(), hard: hard.Value()})
		}
	}
	return found
}
