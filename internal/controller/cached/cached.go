// Package cached says what of the objects stays in the operator's memory: their lists of users do not, unless they are so
// short that they weigh no more than the rest of an object. Whoever needs a longer one reads the object from the API server.
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

// keptUsers is the most users of an object that stay in memory. Ten take about 1 KB, as much as the conditions beside them.
const keptUsers = 10

// annotation marks a copy in memory whose lists are missing. Its value begins with a secret of this process, so that nobody can
// mark a stored object with it; of a slice the digest of its spec follows.
const annotation = "embedded.runalloy.com/cached"

var secret = rand.Text()

// mark marks a copy.
func mark(metadata *metav1.ObjectMeta, digest string) {
	metav1.SetMetaDataAnnotation(metadata, annotation, secret+digest)
}

// Transform makes of an object what stays in memory. It is a cache's transform: it changes the object, and may be given one
// that went through it before.
func Transform(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	switch o := object.(type) {
	case *metav1.PartialObjectMetadata: // an annotation of a Secret can hold its data: kubectl's last-applied-configuration does
		o.Annotations, o.Labels, o.OwnerReferences = nil, nil, nil
	case *v1alpha1.EmbeddedUserBatch:
		delete(o.Annotations, corev1.LastAppliedConfigAnnotation)
		if len(o.Spec.Users) > keptUsers {
			if o.Status.ObservedGeneration != o.Generation {
				arrivals.put(o.UID, lists{version: o.ResourceVersion, users: o.Spec.Users})
			}
			o.Spec.Users = nil
			mark(&o.ObjectMeta, "")
		}
	case *v1alpha1.EmbeddedUserSlice:
		if !IsWhole(o) {
			break
		}
		if len(o.Spec.Users) > keptUsers || len(o.Status.Results) > keptUsers {
			arrived := lists{version: o.ResourceVersion, users: o.Spec.Users, results: o.Status.Results, counts: o.Status.Counts}
			if trim(o); o.Status.Counts.Pending > 0 {
				arrivals.put(o.UID, arrived)
			}
		}
	}
	return object, nil
}

// WholeBatch returns a batch with its list, if it has it or has arrived just now.
func WholeBatch(batch *v1alpha1.EmbeddedUserBatch) (*v1alpha1.EmbeddedUserBatch, bool) {
	if IsWhole(batch) {
		return batch, true
	}
	arrived, ok := arrivals.take(batch.UID, batch.ResourceVersion)
	if !ok {
		return nil, false
	}
	whole := batch.DeepCopy()
	delete(whole.Annotations, annotation)
	whole.Spec.Users = arrived.users
	return whole, true
}

// WholeSlice returns a slice with its lists, if it has them or has arrived just now.
func WholeSlice(slice *v1alpha1.EmbeddedUserSlice) (*v1alpha1.EmbeddedUserSlice, bool) {
	if IsWhole(slice) {
		return slice, true
	}
	arrived, ok := arrivals.take(slice.UID, slice.ResourceVersion)
	if !ok {
		return nil, false
	}
	whole := slice.DeepCopy()
	delete(whole.Annotations, annotation)
	whole.Spec.Users, whole.Status.Results, whole.Status.Counts = arrived.users, arrived.results, arrived.counts
	return whole, true
}

// trim replaces the lists of a slice by what is known of them: the digest, the counts and the refused users.
func trim(slice *v1alpha1.EmbeddedUserSlice) {
	digest, counts, refused := SpecDigest(slice), Counts(slice), Refused(slice)
	mark(&slice.ObjectMeta, digest)
	slice.Spec.Users = nil
	slice.Status.Counts, slice.Status.Results = counts, refused
}

// View is a slice as it stays in memory; the slice itself is not changed.
func View(slice *v1alpha1.EmbeddedUserSlice) v1alpha1.EmbeddedUserSlice {
	view := *slice
	view.ManagedFields = nil
	if IsWhole(slice) && (len(slice.Spec.Users) > keptUsers || len(slice.Status.Results) > keptUsers) {
		view.Annotations = maps.Clone(slice.Annotations)
		trim(&view)
	}
	return view
}

// IsWhole tells whether a batch or slice has its lists.
func IsWhole(object client.Object) bool {
	return !strings.HasPrefix(object.GetAnnotations()[annotation], secret)
}

// Counts counts the users of a slice by what its results say of them, whole or not.
func Counts(slice *v1alpha1.EmbeddedUserSlice) v1alpha1.UserCounts {
	if !IsWhole(slice) {
		return slice.Status.Counts
	}
	return ledger.Count(slice, slice.Status.Results)
}

// SpecDigest stands for what the planner wrote into a slice: its users, the reference to the key, and the label.
func SpecDigest(slice *v1alpha1.EmbeddedUserSlice) string {
	if !IsWhole(slice) {
		return strings.TrimPrefix(slice.Annotations[annotation], secret)
	}
	hash := sha256.New()
	write := func(text string) {
		_, _ = io.WriteString(hash, text) // a hash takes everything
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

// Refused are the results of users that the API did not take and that have not been corrected since, at most as many as a
// batch can show.
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

// IsEmpty tells that a slice holds neither users nor results.
func IsEmpty(slice *v1alpha1.EmbeddedUserSlice) bool {
	return IsWhole(slice) && len(slice.Spec.Users) == 0 && len(slice.Status.Results) == 0
}
