// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// UsersSource is a list of users in a ConfigMap or a Secret.
// +kubebuilder:validation:XValidation:rule="has(self.configMapKeyRef) != has(self.secretKeyRef)",message="set exactly one of configMapKeyRef and secretKeyRef"
// +structType=atomic
type UsersSource struct {
	// configMapKeyRef selects a key in the data or binaryData of a ConfigMap.
	// +optional
	ConfigMapKeyRef *UsersKeyReference `json:"configMapKeyRef,omitempty"`

	// secretKeyRef selects a key of a Secret.
	// +optional
	SecretKeyRef *UsersKeyReference `json:"secretKeyRef,omitempty"`

	// format of the list: CSV, JSON, NDJSON or YAML. It defaults to the extension of the key: .csv, .json, .ndjson or .jsonl,
	// .yaml or .yml, optionally followed by .gz. A list may be compressed with gzip.
	// CSV has a header with the columns username and fullName, in any order. JSON and YAML hold a list of objects with these
	// fields, whose values are strings. NDJSON has one such JSON object per line.
	// +optional
	Format UsersFormat `json:"format,omitempty"`
}

// UsersKeyReference names a key of a ConfigMap or Secret that holds a list of users.
// +structType=atomic
type UsersKeyReference struct {
	// name of the ConfigMap or Secret, in the namespace of the batch.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`

	// key that holds the list.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`

	// optional treats a missing object or key as an empty list.
	// Without it the batch waits until the list exists, and is Stalled after two minutes.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// UsersFormat is the format of a list of users.
// +kubebuilder:validation:Enum=CSV;JSON;NDJSON;YAML
type UsersFormat string

// SourceKey identifies one of the lists in spec.usersFrom.
// +structType=atomic
type SourceKey struct {
	// kind is ConfigMap or Secret.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the ConfigMap or Secret.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// key that holds the list.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}
