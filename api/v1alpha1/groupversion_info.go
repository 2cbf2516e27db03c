// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the first version of the API group embedded.runalloy.com: lists of users that must exist in an Alloy
// Embedded account, and the ledger of their outcomes.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package=applyconfiguration
// +groupName=embedded.runalloy.com
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds of this group.
const (
	EmbeddedUserBatchKind = "EmbeddedUserBatch"
	EmbeddedUserSliceKind = "EmbeddedUserSlice"
)

// LabelBatch labels every EmbeddedUserSlice with the name of the EmbeddedUserBatch that owns it.
const LabelBatch = "embedded.runalloy.com/batch"

var (
	// SchemeGroupVersion is the group and version of the kinds in this package.
	SchemeGroupVersion = schema.GroupVersion{Group: "embedded.runalloy.com", Version: "v1alpha1"}

	// SchemeBuilder registers the kinds of this package.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the kinds of this package to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion,
		&EmbeddedUserBatch{}, &EmbeddedUserBatchList{},
		&EmbeddedUserSlice{}, &EmbeddedUserSliceList{},
	)
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}
