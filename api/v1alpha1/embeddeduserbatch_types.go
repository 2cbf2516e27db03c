package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Bounds of an EmbeddedUserBatch.
const (
	// MaxInlineUsers is the most users that spec.users takes. Measured: 10,000 users of 80 bytes are stored as 817 KB, well
	// below etcd's default limit of 1.5 MiB for one object.
	MaxInlineUsers = 10_000

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

	// users that must exist, at most 10000 and about 1.4 MiB together.
	// Use `kubectl apply --server-side` for more than about 3000.
	// A user that is removed from the list is left alone in Alloy.
	// The same username twice with the same fullName counts once.
	// With another fullName the first one is used and the other row is invalid.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10000
	Users []User `json:"users,omitempty"`

	// invalidUserPolicy says what a user that cannot be created means for the batch.
	// Fail (the default): the batch is Stalled and not Ready. Ignore: it is Ready once every other user exists.
	// The other users are created either way.
	// +optional
	// +kubebuilder:default=Fail
	InvalidUserPolicy InvalidUserPolicy `json:"invalidUserPolicy,omitempty"`
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

	// row is the index of the user in spec.users, counted from 0.
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

	// invalidUsers lists the users that cannot be created as they stand, in the order of spec.users, at most 100.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	InvalidUsers []InvalidUser `json:"invalidUsers,omitempty"`

	// invalidUsersOmitted counts the invalid users for which invalidUsers has no room.
	// +optional
	InvalidUsersOmitted int32 `json:"invalidUsersOmitted,omitempty"`

	// conditions of the batch: Ready, UsersCreated, UsersInvalid and CredentialsValid.
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
