// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Limits of an EmbeddedUserSlice.
const (
	// MaxSliceUsers is the maximum number of users in a slice, which is what POST /users/batch accepts
	// (https://docs.runalloy.com/reference/embedded/batch-create-users).
	MaxSliceUsers = 1000

	// MaxSliceBytes is the maximum size of the users of a slice as JSON. It keeps a slice below 400 KB, although the results
	// repeat the usernames.
	MaxSliceBytes = 128 << 10

	// MaxUserID is the maximum length of a userId in bytes. Alloy's have 24. A user with a longer one is not owned.
	MaxUserID = 64

	// MaxResultMessages is the maximum number of results of a slice that have a message. A batch cannot show more.
	MaxResultMessages = MaxInvalidUsers
)

// EmbeddedUserSliceSpec is written by the controller of the EmbeddedUserBatch that owns the slice.
type EmbeddedUserSliceSpec struct {
	// apiKeySecretRef is copied from the batch, and names the key even if the batch does not.
	// +required
	APIKeySecretRef APIKeySecretReference `json:"apiKeySecretRef,omitzero"`

	// updatePolicy is copied from the batch if it is Update.
	// +optional
	UpdatePolicy UpdatePolicy `json:"updatePolicy,omitempty"`

	// users of the batch that this slice holds, at most 1000.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Users []User `json:"users,omitempty"`
}

// Result is the outcome of creating a user.
// +kubebuilder:validation:Enum=Created;Existing;Invalid
type Result string

const (
	// ResultCreated means that an answer of the API proves that this operator created the user.
	ResultCreated Result = "Created"

	// ResultExisting means that the user exists without proof that this operator created it.
	ResultExisting Result = "Existing"

	// ResultInvalid means that the API does not accept the user.
	ResultInvalid Result = "Invalid"
)

// ReasonUnconfirmedAttempt marks an Existing user that this operator may have created with a request whose answer was lost.
const ReasonUnconfirmedAttempt = "UnconfirmedAttempt"

// ReasonRestored marks an Existing user that an earlier batch of this name had created: its slice came from a backup, or was
// left over when that batch was deleted.
const ReasonRestored = "Restored"

// PendingReason says why a user that has a result is pending all the same: it is sent again, and the answer decides.
// +kubebuilder:validation:Enum=Missing;Unconfirmed;Retry
type PendingReason string

const (
	// PendingMissing means that the account's list of users lacks a user that exists by its result.
	PendingMissing PendingReason = "Missing"

	// PendingUnconfirmed means that a user that exists by its result is to be confirmed, and that the account's list of users cannot
	// be read.
	PendingUnconfirmed PendingReason = "Unconfirmed"

	// PendingRetry means that a user that the API rejected is tried once more.
	PendingRetry PendingReason = "Retry"
)

// UserResult is the outcome of one user.
type UserResult struct {
	// username of the user.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Username string `json:"username"`

	// result is Created, Existing or Invalid.
	// +required
	Result Result `json:"result,omitempty"`

	// reason of the result.
	// UnconfirmedAttempt: the operator may have created this Existing user with a request whose answer was lost.
	// Restored: an earlier batch of this name created this Existing user; the slice is from a backup or was left over.
	// RejectedByAPI: the API did not accept this Invalid user.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message is what the API said about an Invalid user, or why the user could not be read. At most 100 results of a slice have one.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	Message string `json:"message,omitempty"`

	// hash of an Invalid user as it was sent: the operator retries the user once its row has another hash.
	// A Created user that the operator owns has one too, of the row with the fullName that Alloy has: with the updatePolicy Update
	// the operator writes the fullName once the row has another hash.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Hash string `json:"hash,omitempty"`

	// userId of a Created user that the operator owns: the account's list lacked the user before it was created, and showed this
	// userId afterwards.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UserID string `json:"userId,omitempty"`

	// pending says why the user is sent again although it has a result: the account's list lacks it (Missing), it is to be confirmed
	// without a list (Unconfirmed), or the API rejected it and is asked once more (Retry).
	// +optional
	Pending PendingReason `json:"pending,omitempty"`

	// retried is true when the API rejected an Invalid user a second time.
	// +optional
	Retried bool `json:"retried,omitempty"`
}

// KeyResult is the API's verdict on an API key.
// +kubebuilder:validation:Enum=Accepted;Rejected
type KeyResult string

const (
	// KeyAccepted means that the API accepted a request with the key.
	KeyAccepted KeyResult = "Accepted"

	// KeyRejected means that the API answered 401, or 403 before it served a request with the key.
	KeyRejected KeyResult = "Rejected"
)

// KeyCheck is the API's last verdict on an API key.
type KeyCheck struct {
	// fingerprint identifies the key without revealing it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Fingerprint string `json:"fingerprint,omitempty"`

	// result is Accepted or Rejected.
	// +required
	Result KeyResult `json:"result,omitempty"`

	// time of the API's answer.
	// +required
	Time metav1.Time `json:"time,omitzero"`
}

// Attempt is a failed attempt to create the pending users of a slice.
type Attempt struct {
	// time at which the attempt ended.
	// +required
	Time metav1.Time `json:"time,omitzero"`

	// outcome of the attempt, as the reason of the Ready condition gives it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Outcome string `json:"outcome,omitempty"`
}

// EmbeddedUserSliceStatus records the outcome of the users of a slice.
type EmbeddedUserSliceStatus struct {
	// observedGeneration is the metadata.generation that this status describes; -1 until something was recorded.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// results of the users that are not pending, in the order of spec.users.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Results []UserResult `json:"results,omitempty"`

	// counts of the slice's users by state.
	// +optional
	Counts UserCounts `json:"counts"`

	// lastAttempt is the last failed attempt; absent once an attempt succeeds.
	// +optional
	LastAttempt *Attempt `json:"lastAttempt,omitempty"`

	// nextAttemptTime is the earliest time of the next request after a failed attempt. It may carry a user of another slice.
	// +optional
	NextAttemptTime *metav1.Time `json:"nextAttemptTime,omitempty"`

	// retryTime is when users that the API rejected are sent a second time, ten minutes after the first; absent if there are none.
	// +optional
	RetryTime *metav1.Time `json:"retryTime,omitempty"`

	// keyCheck is the API's last verdict on the API key of this slice.
	// The operator retries a rejected key after 10 seconds, doubling to 15 minutes, and at once when the Secret has another key.
	// +optional
	KeyCheck *KeyCheck `json:"keyCheck,omitempty"`

	// conditions of the slice: Ready, and Reconciling or Stalled while they apply.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EmbeddedUserSlice holds at most 1000 users of an EmbeddedUserBatch and their results. Only the operator writes it; do not
// edit it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=eus,categories=alloy
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Created",type=integer,JSONPath=`.status.counts.created`
// +kubebuilder:printcolumn:name="Existing",type=integer,JSONPath=`.status.counts.existing`
// +kubebuilder:printcolumn:name="Invalid",type=integer,JSONPath=`.status.counts.invalid`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.counts.pending`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Batch",type=string,JSONPath=`.metadata.labels.embedded\.runalloy\.com/batch`,priority=1
// +kubebuilder:printcolumn:name="Next",type=string,JSONPath=`.status.nextAttemptTime`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type EmbeddedUserSlice struct {
	metav1.TypeMeta `json:",inline"`

	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec holds some of the batch's users.
	// +required
	Spec EmbeddedUserSliceSpec `json:"spec,omitzero"`

	// status records the outcome of these users.
	// +optional
	// +kubebuilder:default={observedGeneration:-1}
	Status EmbeddedUserSliceStatus `json:"status,omitzero"`
}

// EmbeddedUserSliceList is a list of EmbeddedUserSlice.
// +kubebuilder:object:root=true
type EmbeddedUserSliceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []EmbeddedUserSlice `json:"items"`
}
