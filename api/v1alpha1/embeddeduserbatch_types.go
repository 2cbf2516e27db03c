// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Limits of an EmbeddedUserBatch.
const (
	// MaxInlineUsers is the maximum length of spec.users. 10,000 users of 80 bytes are stored as 817 KB (measured), well below
	// etcd's default limit of 1.5 MiB for one object.
	MaxInlineUsers = 10_000

	// MaxUsersFrom is the maximum length of spec.usersFrom.
	MaxUsersFrom = 64

	// MaxReconcileAt is the maximum length of status.lastHandledReconcileAt. A longer value of the annotation is cut.
	MaxReconcileAt = 256

	// MaxInvalidUsers is the maximum length of status.invalidUsers; status.invalidUsersOmitted counts the rest.
	MaxInvalidUsers = 100
)

// InvalidUserPolicy decides whether invalid users keep a batch from becoming Ready.
// +kubebuilder:validation:Enum=Fail;Ignore
type InvalidUserPolicy string

const (
	// InvalidUserPolicyFail keeps a batch with an invalid user from becoming Ready.
	InvalidUserPolicyFail InvalidUserPolicy = "Fail"

	// InvalidUserPolicyIgnore makes a batch Ready once its valid users exist.
	InvalidUserPolicyIgnore InvalidUserPolicy = "Ignore"
)

// Mode decides whether a batch creates users or only shows what it would create.
// +kubebuilder:validation:Enum=Apply;Observe
type Mode string

const (
	// ModeApply creates the users of a batch.
	ModeApply Mode = "Apply"

	// ModeObserve looks up which users exist and creates none.
	ModeObserve Mode = "Observe"
)

// UpdatePolicy decides whether a changed fullName of a user that exists is written to Alloy.
// +kubebuilder:validation:Enum=CreateOnly;Update
type UpdatePolicy string

const (
	// UpdatePolicyCreateOnly leaves users that exist as they are.
	UpdatePolicyCreateOnly UpdatePolicy = "CreateOnly"

	// UpdatePolicyUpdate writes changed full names of users that the operator created.
	UpdatePolicyUpdate UpdatePolicy = "Update"
)

// EmbeddedUserBatchSpec lists the users that must exist in an Alloy Embedded account.
type EmbeddedUserBatchSpec struct {
	// apiKeySecretRef names the Secret in the batch's namespace that holds the API key.
	// The key selects the account and, within it, development or production.
	// +required
	APIKeySecretRef APIKeySecretReference `json:"apiKeySecretRef,omitzero"`

	// users lists the users that must exist: at most 10000, and about 1.4 MiB in total. Use usersFrom for longer lists.
	// Use `kubectl apply --server-side` for more than about 3000 users.
	// Removing a user from the list does not delete it in Alloy.
	// Rows with the same username and fullName count once; status.repeatedRows counts the others.
	// If a later row repeats a username with a different fullName, that row is invalid and the first one is used.
	// A row that is not a user is invalid too. An invalid row is not sent, status.invalidUsers names it, and the other users are
	// created.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10000
	Users []UserRow `json:"users,omitempty"`

	// usersFrom names lists of users in ConfigMaps and Secrets of the batch's namespace, at most 64.
	// They are read in this order, after users. The operator notices changes to them within seconds.
	// While a list cannot be read, the batch keeps the users it already has.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	UsersFrom []UsersSource `json:"usersFrom,omitempty"`

	// invalidUserPolicy decides what happens to the batch when a user cannot be created.
	// With Fail, the default, the batch is Stalled and not Ready. With Ignore, it is Ready once every other user exists.
	// The other users are created either way.
	// +optional
	// +kubebuilder:default=Fail
	InvalidUserPolicy InvalidUserPolicy `json:"invalidUserPolicy,omitempty"`

	// updatePolicy decides what becomes of a fullName that is changed after the user was created.
	// With CreateOnly, the default, it stays as it is in Alloy. With Update, the operator writes it, but only for users
	// that it created under this policy; counts.notOwned counts the others. A fullName that somebody changed in Alloy is corrected when
	// the users are next looked up (see resyncInterval). A row without a fullName changes nothing.
	// Another username is always another user.
	// +optional
	UpdatePolicy UpdatePolicy `json:"updatePolicy,omitempty"`

	// suspend stops the requests of the batch at once; a request that is running ends, and its results are recorded.
	// The list is still read and distributed over slices. Set it to false or remove it to go on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// mode is Apply, the default, or Observe.
	// With Observe the operator reads the list of the account's users and creates none: counts.existing says how many users exist
	// already, counts.pending how many Apply would create. Apply goes on from there.
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// resyncInterval is how often the operator checks that the users still exist. It creates those again that
	// were deleted, and tries users again that the API rejected.
	// It is written in hours, minutes and seconds, such as 24h or 1h30m. 0s means never; otherwise it is at least 1m.
	// Without it the operator's --resync-interval applies, which is never by default.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self != '' && self.matches('^(0|([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?)$') && (duration(self) == duration('0s') || duration(self) >= duration('1m'))",message="must be 0s, or at least 1m, in hours, minutes and seconds, such as 24h or 1h30m"
	ResyncInterval *metav1.Duration `json:"resyncInterval,omitempty"`
}

// UserRow is a row of spec.users. A username that is missing or cannot be one is reported in the status, so that it does not keep
// the other rows from being applied.
type UserRow struct {
	// username identifies the user. It is unique within the Alloy account and compared byte for byte.
	// It has 1 to 256 characters, no control characters, and neither white space nor a format character, such as a zero-width
	// space, at either end; a row without such a username is invalid. It need not be an email address.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Username string `json:"username,omitempty"`

	// fullName is the user's display name, at most 256 characters; a row with a longer one is invalid.
	// It is sent when the user is created; spec.updatePolicy decides whether later changes are sent too.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	FullName string `json:"fullName,omitempty"`
}

// SliceCounts counts the EmbeddedUserSlices of a batch.
// +structType=atomic
type SliceCounts struct {
	// total number of slices; each holds at most 1000 users.
	// +optional
	Total int32 `json:"total"`

	// ready counts the slices without pending users.
	// +optional
	Ready int32 `json:"ready"`
}

// PlanStatus identifies a list of users and the slices over which it was distributed.
// +structType=atomic
type PlanStatus struct {
	// version of the rules by which lists are read and distributed. An operator with other rules plans again.
	// +optional
	Version int32 `json:"version,omitempty"`

	// generation of the batch that was planned.
	// +optional
	Generation int64 `json:"generation,omitempty"`

	// sources is a digest of the versions of the ConfigMaps and Secrets in spec.usersFrom.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Sources string `json:"sources,omitempty"`

	// slices is a digest of the users and settings of the slices.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Slices string `json:"slices,omitempty"`

	// rejected is a digest of the users that the API refused when their rows were last looked up for invalidUsers.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Rejected string `json:"rejected,omitempty"`

	// invalidRows counts the rows of the list that are invalid by themselves. They are in no slice.
	// +optional
	InvalidRows int32 `json:"invalidRows,omitempty"`
}

// InvalidUser is a row of the list whose user cannot be created.
type InvalidUser struct {
	// username as written in the row, cut to 256 characters, with U+FFFD for control characters. One from a list in usersFrom is
	// left out unless it is a valid username.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Username string `json:"username,omitempty"`

	// source is the list that contains the row; absent for spec.users.
	// +optional
	Source *SourceKey `json:"source,omitempty"`

	// row is the zero-based index of the row in spec.users or in the source. The header of a CSV, empty lines, and lines of nothing
	// but commas are not counted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Row int32 `json:"row"`

	// reason is DuplicateUsername, InvalidRow or RejectedByAPI.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason InvalidReason `json:"reason,omitempty"`

	// message says what is wrong and how to fix it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}

// EmbeddedUserBatchStatus is the progress of a batch and the outcome of its users.
type EmbeddedUserBatchStatus struct {
	// observedGeneration is the metadata.generation that this status describes; -1 until the first reconcile.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// counts of the batch's users by state.
	// +optional
	Counts UserCounts `json:"counts"`

	// slices counts the EmbeddedUserSlices, which hold the batch's users and their results.
	// +optional
	Slices SliceCounts `json:"slices"`

	// invalidUsers lists the users that cannot be created, in the order of the list, at most 100.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	InvalidUsers []InvalidUser `json:"invalidUsers,omitempty"`

	// invalidUsersOmitted counts the invalid users that do not fit into invalidUsers.
	// +optional
	InvalidUsersOmitted int32 `json:"invalidUsersOmitted,omitempty"`

	// repeatedRows counts the rows of the list that repeat an earlier one exactly. Such rows are not in counts. If there should be
	// none, look for usernames that became the same, such as long numbers that a spreadsheet turned into 1.23457E+11.
	// +optional
	RepeatedRows int32 `json:"repeatedRows,omitempty"`

	// plan identifies the list that was last distributed over the slices.
	// While it matches what is stored, the operator reads neither the list nor the slices again.
	// +optional
	Plan *PlanStatus `json:"plan,omitempty"`

	// keyFingerprint identifies the API key under which the users of this batch exist, without revealing it. When the Secret has
	// another key, the operator first checks that they exist under that key too.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	KeyFingerprint string `json:"keyFingerprint,omitempty"`

	// lastHandledReconcileAt is the value of the annotation embedded.runalloy.com/reconcile-at that was last handled: the users
	// were looked up, and those tried again that the API had rejected.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`

	// lastResyncTime is when all users were last found to exist.
	// +optional
	LastResyncTime *metav1.Time `json:"lastResyncTime,omitempty"`

	// approval is the value of the annotation embedded.runalloy.com/approve with which the operator would create the missing users
	// under another API key; absent unless the condition Ready has the reason AccountChanged.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Approval string `json:"approval,omitempty"`

	// conditions of the batch: Ready, UsersCreated, UsersInvalid and CredentialsValid; SourcesRead if usersFrom is set;
	// UsersConfirmed once users were looked up; Suspended, Reconciling or Stalled while they apply.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EmbeddedUserBatch is a list of users that must exist in an Alloy Embedded account. The operator creates users; it
// never deletes them, and changes a full name only with the updatePolicy Update.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=eub,categories=alloy
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must be at most 63 characters, because it becomes a label value"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Created",type=integer,JSONPath=`.status.counts.created`
// +kubebuilder:printcolumn:name="Existing",type=integer,JSONPath=`.status.counts.existing`
// +kubebuilder:printcolumn:name="Invalid",type=integer,JSONPath=`.status.counts.invalid`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.counts.pending`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`,priority=1
// +kubebuilder:printcolumn:name="Total",type=integer,JSONPath=`.status.counts.total`,priority=1
// +kubebuilder:printcolumn:name="Slices",type=integer,JSONPath=`.status.slices.total`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type EmbeddedUserBatch struct {
	metav1.TypeMeta `json:",inline"`

	// metadata of the object; the name must be at most 63 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec lists the users that must exist.
	// +required
	Spec EmbeddedUserBatchSpec `json:"spec,omitzero"`

	// status is the progress of the batch and the outcome of its users.
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
