package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Bounds of an EmbeddedUserSlice.
const (
	// MaxSliceUsers is the most users that a slice holds, and the most that POST /users/batch takes
	// (https://docs.runalloy.com/reference/embedded/batch-create-users).
	MaxSliceUsers = 1000

	// MaxSliceBytes is the most bytes of JSON that the users of a slice take together. With the results, which repeat the
	// usernames, a slice stays below 400 KB.
	MaxSliceBytes = 128 << 10

	// MaxResultMessages is the most results of a slice that carry a message, as many as a batch can show.
	MaxResultMessages = MaxInvalidUsers
)

// EmbeddedUserSliceSpec is written by the controller of the EmbeddedUserBatch that owns the slice.
type EmbeddedUserSliceSpec struct {
	// apiKeySecretRef is copied from the batch.
	// +required
	APIKeySecretRef APIKeySecretReference `json:"apiKeySecretRef,omitzero"`

	// users of the batch that this slice accounts for, at most 1000.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Users []User `json:"users,omitempty"`
}

// Result says what became of a user.
// +kubebuilder:validation:Enum=Created;Existing;Invalid
type Result string

const (
	// ResultCreated means that an answer of the API proved that it created the user on a request of this operator.
	ResultCreated Result = "Created"

	// ResultExisting means that the user exists, and nothing proves that this operator created it.
	ResultExisting Result = "Existing"

	// ResultInvalid means that the API does not take the user as it stands.
	ResultInvalid Result = "Invalid"
)

// ReasonUnconfirmedAttempt is on an Existing result whose user may have been created by a request of this operator whose
// answer was lost.
const ReasonUnconfirmedAttempt = "UnconfirmedAttempt"

// UserResult is what became of one user.
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
	// UnconfirmedAttempt: an Existing user that a request of the operator, whose answer was lost, may have created.
	// RejectedByAPI: an Invalid user that the API did not take.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message is what the API said of an Invalid user. At most 100 results of a slice have one.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	Message string `json:"message,omitempty"`

	// hash of the user as it was sent, only for Invalid: a user that was changed since is tried again.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Hash string `json:"hash,omitempty"`
}

// KeyResult says what the API made of an API key.
// +kubebuilder:validation:Enum=Accepted;Rejected
type KeyResult string

const (
	// KeyAccepted means that the API served a request with the key.
	KeyAccepted KeyResult = "Accepted"

	// KeyRejected means that the API answered 401 or 403.
	KeyRejected KeyResult = "Rejected"
)

// KeyCheck is what the API last said of an API key.
type KeyCheck struct {
	// fingerprint identifies the key without revealing it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Fingerprint string `json:"fingerprint,omitempty"`

	// result is Accepted or Rejected.
	// +required
	Result KeyResult `json:"result,omitempty"`

	// time when the API said so.
	// +required
	Time metav1.Time `json:"time,omitzero"`
}

// Attempt is one try to create the pending users of a slice that did not settle them.
type Attempt struct {
	// time when the attempt ended.
	// +required
	Time metav1.Time `json:"time,omitzero"`

	// outcome of the attempt: the reason of the Ready condition that it led to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Outcome string `json:"outcome,omitempty"`
}

// EmbeddedUserSliceStatus is the ledger of a slice.
type EmbeddedUserSliceStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of; -1 until something was recorded.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// results, one for each user about whom something is known, in the order of spec.users.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Results []UserResult `json:"results,omitempty"`

	// counts of the slice's users by state.
	// +optional
	Counts UserCounts `json:"counts"`

	// lastAttempt is the last try that failed; absent when none did since the last success.
	// +optional
	LastAttempt *Attempt `json:"lastAttempt,omitempty"`

	// nextAttemptTime is when the pending users are tried again, after an attempt that failed.
	// +optional
	NextAttemptTime *metav1.Time `json:"nextAttemptTime,omitempty"`

	// keyCheck is what the API last said of the API key that it was sent for this slice.
	// A key that it rejected is not tried again until 15 minutes later.
	// +optional
	KeyCheck *KeyCheck `json:"keyCheck,omitempty"`

	// conditions of the slice: Ready, and while they apply Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EmbeddedUserSlice accounts for at most 1000 users of an EmbeddedUserBatch. It is created, changed and deleted by the
// operator only.
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

	// spec is the part of the batch's users that this slice accounts for.
	// +required
	Spec EmbeddedUserSliceSpec `json:"spec,omitzero"`

	// status is what became of these users.
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
