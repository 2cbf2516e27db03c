// SPDX-License-Identifier: Apache-2.0

package cached

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// BatchList is a list of Batches.
type BatchList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []Batch `json:"items"`
}

// SliceList is a list of Slices.
type SliceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []Slice `json:"items"`
}

// DeepCopyObject implements runtime.Object. The copy shares the items, because nobody modifies them.
func (l *BatchList) DeepCopyObject() runtime.Object {
	shared := *l
	return &shared
}

// DeepCopyObject implements runtime.Object. The copy shares the items, because nobody modifies them.
func (l *SliceList) DeepCopyObject() runtime.Object {
	shared := *l
	return &shared
}

// AddToScheme registers the types under the kinds of the API. A scheme cannot have these and the types of package v1alpha1.
func AddToScheme(scheme *runtime.Scheme) error {
	const batch, slice, list = v1alpha1.EmbeddedUserBatchKind, v1alpha1.EmbeddedUserSliceKind, "List"
	version := v1alpha1.SchemeGroupVersion
	scheme.AddKnownTypeWithName(version.WithKind(batch), &Batch{})
	scheme.AddKnownTypeWithName(version.WithKind(batch+list), &BatchList{})
	scheme.AddKnownTypeWithName(version.WithKind(slice), &Slice{})
	scheme.AddKnownTypeWithName(version.WithKind(slice+list), &SliceList{})
	metav1.AddToGroupVersion(scheme, version)
	return nil
}

// SecretKind is the kind of Secrets, of which the cache keeps only Metadata.
var SecretKind = corev1.SchemeGroupVersion.WithKind("Secret")

// Metadata returns an empty object of a kind, of which the caches and the API server give only the metadata.
func Metadata(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}
