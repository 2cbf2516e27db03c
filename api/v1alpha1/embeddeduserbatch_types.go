package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Bounds of an EmbeddedUserBatch.
const (
	// MaxInlineUsers is the most users that spec.users takes. Measured: 10,000 users of 80 bytes are stored as 817 KB, well
	// below etcd's default limit of 1.5 MiB for one object.
	MaxInlineUsers = 10_000

	// MaxUsersFrom is the most sources that spec.usersFrom takes.
	MaxUsersFrom = 64

	// MaxInvalidUsers is the most invalid users that status.invalidUsers names; the rest is counted in
	// status.invalidUsersOmitted.
	MaxInvalidUsers = 100
)

// InvalidUserPolicy says what invalid users mean for the whole batch.
// +kubebuilder:validation:Enum=Fail;Ignore
type InvalidUserPolicy string

const (
	// InvalidUserPolicyFail makes a batch with an invalid user not ready.
	InvalidUserPolicyFail InvalidUserPolicy = "Fail"

	// InvalidUserPolicyIgnore makes a batch ready once its valid users exist.
	InvalidUserPolicyIgnore InvalidUserPolicy = "Ignore"
)

// EmbeddedUserBatchSpec is the list of users that must exist in an Alloy Embedded account.
type EmbeddedUserBatchSpec struct {
	// apiKeySecretRef names the Secret, in the batch's own namespace, that holds the account's API key.
	// The key decides the account and, within it, development or production.
	// +required
	APIKeySecretRef APIKeySecretReference `json:"apiKeySecretRef,omitzero"`

	// users that must exist, at most 10000 and about 1.4 MiB together; usersFrom takes more.
	// Use `kubectl apply --server-side` for more than about 3000.
	// A user that is removed from the list is left alone in Alloy.
	// The same username twice with the same fullName counts once.
	// With another fullName the first one is used and the other row is invalid.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10000
	Users []User `json:"users,omitempty"`

	// usersFrom names lists of users in ConfigMaps and Secrets of the batch's namespace, at most 64.
	// They are read in this order, after users, and a change of theirs is noticed within seconds.
	// While one of them cannot be read, nothing is changed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	UsersFrom []UsersSource `json:"usersFrom,omitempty"`

	// invalidUserPolicy says what a user that cannot be created means for the batch.
	// Fail (the default): the batch is Stalled and not Ready. Ignore: it is Ready once every other user exists.
	// The other users are created either way.
	// +optional
	// +kubebuilder:default=Fail
	InvalidUserPolicy InvalidUserPolicy `json:"invalidUserPolicy,omitempty"`
}

// UsersSource is a list of users in a ConfigMap or a Secret.
// +kubebuilder:validation:XValidation:rule="has(self.configMapKeyRef) != has(self.secretKeyRef)",message="set exactly one of configMapKeyRef and secretKeyRef"
// +structType=atomic
type UsersSource struct {
	// configMapKeyRef names the key of a ConfigMap, in its data or binaryData.
	// +optional
	ConfigMapKeyRef *UsersKeyReference `json:"configMapKeyRef,omitempty"`

	// secretKeyRef names the key of a Secret.
	// +optional
	SecretKeyRef *UsersKeyReference `json:"secretKeyRef,omitempty"`

	// format of the list: CSV, JSON, NDJSON or YAML. By default the one that the key's extension stands for:
	// .csv, .json, .ndjson or .jsonl, .yaml or .yml, each perhaps followed by .gz. A list may be compressed with gzip.
	// CSV has a header with the columns username and fullName, in any order; JSON and YAML are a list of objects with these
	// fields; NDJSON has one such JSON object per line.
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
	Name string `json:"name"`

	// key that holds the list.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`

	// optional has a list that does not exist count as an empty one. Without it the batch waits until the list exists.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// UsersFormat is how a list of users is written.
// +kubebuilder:validation:Enum=CSV;JSON;NDJSON;YAML
type UsersFormat string

// SourceKey names a list of users that spec.usersFrom refers to.
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

// SliceCounts says how many EmbeddedUserSlices a batch has.
// +structType=atomic
type SliceCounts struct {
	// total number of slices; each holds at most 1000 users.
	// +optional
	Total int32 `json:"total"`

	// ready counts the slices in which no user is pending.
	// +optional
	Ready int32 `json:"ready"`
}

// InvalidUser is a user, or a row of the list, that cannot be created as it stands.
type InvalidUser struct {
	// username as it stands in the row.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Username string `json:"username,omitempty"`

	// source is the list in which the row stands; absent for spec.users.
	// +optional
	Source *SourceKey `json:"source,omitempty"`

	// row is the index of the user in spec.users or in the source, counted from 0. The header of a CSV and empty lines do not
	// count.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Row int32 `json:"row"`

	// reason in one word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason InvalidReason `json:"reason,omitempty"`

	// message says what is wrong and how to mend it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}

// EmbeddedUserBatchStatus says how far the batch is and what became of its users.
type EmbeddedUserBatchStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of; -1 until the batch has been looked at.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// counts of the batch's users by state.
	// +optional
	Counts UserCounts `json:"counts"`

	// slices counts the EmbeddedUserSlices that hold the batch's users and the result for each.
	// +optional
	Slices SliceCounts `json:"slices"`

	// invalidUsers lists the users that cannot be created as they stand, in the order of the list, at most 100.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	InvalidUsers []InvalidUser `json:"invalidUsers,omitempty"`

	// invalidUsersOmitted counts the invalid users for which invalidUsers has no room.
	// +optional
	InvalidUsersOmitted int32 `json:"invalidUsersOmitted,omitempty"`

	// digest stands for the list, its sources and the slices that this status speaks of.
	// While it is the same nothing has to be planned, and the operator need not read the users.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`

	// conditions of the batch: Ready, UsersCreated, UsersInvalid, CredentialsValid, and SourcesRead if there are usersFrom.
	// Beside these, while they apply, Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EmbeddedUserBatch is a list of users that must exist in an Alloy Embedded account. Users are created, never changed or
// deleted.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=eub,categories={alloy,all}
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must be at most 63 characters, because it becomes a label value"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Created",type=integer,JSONPath=`.status.counts.created`
// +kubebuilder:printcolumn:name="Existing",type=integer,JSONPath=`.status.counts.existing`
// +kubebuilder:printcolumn:name="Invalid",type=integer,JSONPath=`.status.counts.invalid`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.counts.pending`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Total",type=integer,JSONPath=`.status.counts.total`,priority=1
// +kubebuilder:printcolumn:name="Slices",type=integer,JSONPath=`.status.slices.total`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type EmbeddedUserBatch struct {
	metav1.TypeMeta `json:",inline"`

	// metadata of the object; its name has at most 63 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says which users must exist.
	// +required
	Spec EmbeddedUserBatchSpec `json:"spec,omitzero"`

	// status says how far the batch is and what became of its users.
	// +optional
	// +kubebuilder:default={observedGeneration:-1}
	Status EmbeddedUserBatchStatus `json:"status,omitzero"`
}

// EmbeddedUserBatchList is a list of EmbeddedUserBatch.
// +kubebuilder:object:root=true
type EmbeddedUserBatchList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []EmbeddedUserBatch `json:"items"`
}
