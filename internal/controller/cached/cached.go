// Package cached trims objects for the informer cache: it removes lists of users unless they are short. A caller that needs a
// longer list reads the object from the API server.
package cached

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
)

// keptUsers is the maximum length of a list that stays in the cache. Ten users take about 1 KB, as much as the conditions.
const keptUsers = 10

// annotation marks a trimmed object. Its value begins with a secret of this process, so that nobody can forge it on a stored
// object; on a slice the digest of its spec follows.
const annotation = "embedded.runalloy.com/cached"

var secret = rand.Text()

func mark(metadata *metav1.ObjectMeta, digest string) {
	metav1.SetMetaDataAnnotation(metadata, annotation, secret+digest)
}

// Transform trims an object for the cache. It is a cache.TransformFunc: it modifies the object and is idempotent.
func Transform(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	switch o := object.(type) {
	case *metav1.PartialObjectMetadata: // kubectl's last-applied-configuration annotation holds the data of a Secret
		o.Annotations, o.Labels, o.OwnerReferences = nil, nil, nil
	case *v1alpha1.EmbeddedUserBatch:
		delete(o.Annotations, corev1.LastAppliedConfigAnnotation)
		if len(o.Spec.Users) > keptUsers {
			if o.Status.ObservedGeneration != o.Generation {
				recent.put(o.UID, lists{version: o.ResourceVersion, users: o.Spec.Users})
			}
			o.Spec.Users = nil
			mark(&o.ObjectMeta, "")
		}
	case *v1alpha1.EmbeddedUserSlice:
		if !IsWhole(o) {
			break
		}
		if len(o.Spec.Users) > keptUsers || len(o.Status.Results) > keptUsers {
			removed := lists{version: o.ResourceVersion, users: o.Spec.Users, results: o.Status.Results, counts: o.Status.Counts}
			if trim(o); o.Status.Counts.Pending > 0 {
				recent.put(o.UID, removed)
			}
		}
	}
	return object, nil
}

// WholeBatch returns a batch with its list, if the batch is whole or its list is still in memory.
func WholeBatch(batch *v1alpha1.EmbeddedUserBatch) (*v1alpha1.EmbeddedUserBatch, bool) {
	if IsWhole(batch) {
		return batch, true
	}
	removed, ok := recent.get(batch.UID, batch.ResourceVersion)
	if !ok {
		return nil, false
	}
	whole := batch.DeepCopy()
	delete(whole.Annotations, annotation)
	whole.Spec.Users = removed.users
	return whole, true
}

// WholeSlice returns a slice with its lists, if the slice is whole or its lists are still in memory.
func WholeSlice(slice *v1alpha1.EmbeddedUserSlice) (*v1alpha1.EmbeddedUserSlice, bool) {
	if IsWhole(slice) {
		return slice, true
	}
	removed, ok := recent.get(slice.UID, slice.ResourceVersion)
	if !ok {
		return nil, false
	}
	whole := slice.DeepCopy()
	delete(whole.Annotations, annotation)
	whole.Spec.Users, whole.Status.Results, whole.Status.Counts = removed.users, removed.results, removed.counts
	return whole, true
}

// trim replaces the lists of a slice by their digest, counts and refused users.
func trim(slice *v1alpha1.EmbeddedUserSlice) {
	digest, counts, refused := SpecDigest(slice), Counts(slice), Refused(slice)
	mark(&slice.ObjectMeta, digest)
	slice.Spec.Users = nil
	slice.Status.Counts, slice.Status.Results = counts, refused
}

// View returns a trimmed copy of a slice.
func View(slice *v1alpha1.EmbeddedUserSlice) v1alpha1.EmbeddedUserSlice {
	view := *slice
	view.ManagedFields = nil
	if IsWhole(slice) && (len(slice.Spec.Users) > keptUsers || len(slice.Status.Results) > keptUsers) {
		view.Annotations = maps.Clone(slice.Annotations)
		trim(&view)
	}
	return view
}

// IsWhole reports whether a batch or slice has its lists.
func IsWhole(object client.Object) bool {
	return !strings.HasPrefix(object.GetAnnotations()[annotation], secret)
}

// Counts counts the users of a slice by state, whether it is whole or not.
func Counts(slice *v1alpha1.EmbeddedUserSlice) v1alpha1.UserCounts {
	if !IsWhole(slice) {
		return slice.Status.Counts
	}
	return ledger.Count(slice, slice.Status.Results)
}

// SpecDigest returns a digest of what the planner writes into a slice: the users, the reference to the key, and the label.
func SpecDigest(slice *v1alpha1.EmbeddedUserSlice) string {
	if !IsWhole(slice) {
		return strings.TrimPrefix(slice.Annotations[annotation], secret)
	}
	hash := sha256.New()
	write := func(text string) {
		_, _ = io.WriteString(hash, text) // a hash never fails
		_, _ = hash.Write([]byte{0})
	}
	write(slice.Labels[v1alpha1.LabelBatch])
	write(slice.Spec.APIKeySecretRef.Name)
	write(slice.Spec.APIKeySecretRef.Key)
	for _, user := range slice.Spec.Users {
		write(user.Username)
		write(user.FullName)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// Refused returns the results of users that the API did not accept and that have not been corrected since, at most as many as
// a batch can show.
func Refused(slice *v1alpha1.EmbeddedUserSlice) []v1alpha1.UserResult {
	if !IsWhole(slice) {
		return slice.Status.Results
	}
	var refused []v1alpha1.UserResult
	ledger.Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, _ bool) {
		if result.Result == v1alpha1.ResultInvalid && ledger.Settled(user, result) && len(refused) < v1alpha1.MaxInvalidUsers {
			refused = append(refused, result)
		}
	})
	return refused
}

// IsEmpty reports whether a slice has neither users nor results.
func IsEmpty(slice *v1alpha1.EmbeddedUserSlice) bool {
	return IsWhole(slice) && len(slice.Spec.Users) == 0 && len(slice.Status.Results) == 0
}
