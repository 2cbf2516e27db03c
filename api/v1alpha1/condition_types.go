// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. Ready, Reconciling and Stalled follow kstatus, which Flux and `kubectl wait` read: a batch is done when
// Ready is True, makes progress while Reconciling is present, and needs a person while Stalled is present. Reconciling and
// Stalled are present only while True, and never together.
const (
	// ConditionReady is True when every user that must exist does. On EmbeddedUserBatch and EmbeddedUserSlice.
	ConditionReady = "Ready"

	// ConditionReconciling is present and True while the operator works on the object, will retry on its own, or waits for a Secret
	// or a list that may be about to be created.
	ConditionReconciling = "Reconciling"

	// ConditionStalled is present and True while the operator cannot proceed until somebody changes something. Its reason and
	// message are those of Ready.
	ConditionStalled = "Stalled"
)

// Reasons of ConditionReady, ConditionReconciling and ConditionStalled.
const (
	// ReasonProgressing is set while users are being planned or sent.
	ReasonProgressing = "Progressing"

	// ReasonRetrying is set when the last attempt failed for a reason that may pass: no connection, a timeout, too many
	// requests, a server error, or an unreadable answer.
	ReasonRetrying = "Retrying"

	// ReasonSucceeded is set when every user exists.
	ReasonSucceeded = "Succeeded"

	// ReasonSucceededWithInvalidUsers is set when every valid user exists, some users are invalid, and
	// spec.invalidUserPolicy is Ignore.
	ReasonSucceededWithInvalidUsers = "SucceededWithInvalidUsers"

	// ReasonInvalidUsers is set when every valid user exists, some users are invalid, and spec.invalidUserPolicy is Fail.
	ReasonInvalidUsers = "InvalidUsers"

	// ReasonSecretNotFound is set while users are pending and the Secret that spec.apiKeySecretRef names, or the key in it,
	// does not exist. A batch is Reconciling for the first two minutes, because the Secret may be about to be created, and then
	// Stalled.
	ReasonSecretNotFound = "SecretNotFound"

	// ReasonSourceNotFound is set when spec.usersFrom names a ConfigMap, a Secret or a key that does not exist and is not
	// optional. Existing slices stay as they are. The batch is Reconciling for the first two minutes, and then Stalled.
	ReasonSourceNotFound = "SourceNotFound"

	// ReasonSourceUnreadable is set when a list that spec.usersFrom names cannot be parsed, has no row of a user's shape, or is
	// too large. Existing slices stay as they are.
	ReasonSourceUnreadable = "SourceUnreadable"

	// ReasonListTooLarge is set when the list takes more memory than the operator's --max-list-memory allows for one batch.
	// Existing slices stay as they are.
	ReasonListTooLarge = "ListTooLarge"

	// ReasonPlanRejected is set when the API server refuses what the operator reads or writes to distribute the list: a quota,
	// an admission policy, missing rights, or an old CRD. The operator tries again, at first after a second, later every five
	// minutes.
	ReasonPlanRejected = "PlanRejected"

	// ReasonSuspended is set while users are pending and spec.suspend is true.
	ReasonSuspended = "Suspended"

	// ReasonObserved is set when spec.mode is Observe and users are pending: the list of the account's users was read, and Apply
	// would create them.
	ReasonObserved = "Observed"

	// ReasonAccountChanged is set when the Secret has another API key, under which more than half of the users are missing that
	// exist under the old one. Nothing is sent until that is approved.
	ReasonAccountChanged = "AccountChanged"

	// ReasonListUnavailable is set when the account's list of users cannot be read or shows only a part of the users, and spec.mode
	// is Observe. On ConditionUsersConfirmed whatever the mode.
	ReasonListUnavailable = "ListUnavailable"

	// ReasonInvalidCredentials is set when the Secret's value cannot be an API key: it is empty or contains control
	// characters. Nothing was sent.
	ReasonInvalidCredentials = "InvalidCredentials"

	// ReasonUnauthorized is set when the API answered 401 or 403.
	ReasonUnauthorized = "Unauthorized"

	// ReasonRequestRejected is set when the API refused the whole request without blaming a single user.
	ReasonRequestRejected = "RequestRejected"

	// ReasonUnexpectedRedirect is set when the API answered with a redirect. The operator does not follow it, because that
	// would send the API key to another address.
	ReasonUnexpectedRedirect = "UnexpectedRedirect"
)

// ReasonStatusTooLarge is the reason of an event, not of a condition: the list of the batch is so large that etcd refuses its
// status. The users are created all the same.
const ReasonStatusTooLarge = "StatusTooLarge"

// ReasonStatusRejected is the reason of an event, not of a condition: the API server refuses the status of a batch or of one of
// its slices, for example because of an admission policy or an old CRD.
const ReasonStatusRejected = "StatusRejected"

// ReasonForeignSlice is the reason of an event, not of a condition: an EmbeddedUserSlice has the label of the batch and is not one
// of its slices, nor can it become one. The operator ignores it.
const ReasonForeignSlice = "ForeignSlice"

// ReasonUnmatchedInvalidUsers is the reason of an event, not of a condition: the API named a user as invalid that the request
// did not hold. The users of the request are looked up, because the answer does not prove which of them it created.
const ReasonUnmatchedInvalidUsers = "UnmatchedInvalidUsers"

// ConditionUsersCreated is True when no valid user of the batch remains to be created. On EmbeddedUserBatch.
const ConditionUsersCreated = "UsersCreated"

// Reasons of ConditionUsersCreated.
const (
	// ReasonAllUsersExist is set when no valid user is pending.
	ReasonAllUsersExist = "AllUsersExist"

	// ReasonUsersPending is set when at least one user is pending.
	ReasonUsersPending = "UsersPending"
)

// ConditionUsersInvalid is True when at least one user of the batch is invalid. On EmbeddedUserBatch.
const ConditionUsersInvalid = "UsersInvalid"

// Reasons of ConditionUsersInvalid; when it is True the reason is ReasonInvalidUsers.
const (
	// ReasonNoInvalidUsers is set when no user is known to be invalid.
	ReasonNoInvalidUsers = "NoInvalidUsers"
)

// ConditionSourcesRead is True when every list that spec.usersFrom names was read. When it is False the reason is
// SourceNotFound, SourceUnreadable or ListTooLarge. With SourceNotFound its transition time says since when a list has been missing
// for this generation. On an EmbeddedUserBatch with usersFrom.
const ConditionSourcesRead = "SourcesRead"

// ReasonSourcesRead is set when every list was read.
const ReasonSourcesRead = "AllRead"

// ConditionCredentialsValid reports whether the API key works: True when the API accepted it; False when it is missing,
// unusable or rejected; Unknown before the API has answered. When it is False the reason is SecretNotFound,
// InvalidCredentials or Unauthorized. With SecretNotFound its transition time says since when the key has been missing for this
// generation. On EmbeddedUserBatch.
const ConditionCredentialsValid = "CredentialsValid"

// Reasons of ConditionCredentialsValid when it is not False.
const (
	// ReasonCredentialsAccepted is set when the API accepted a request with the key.
	ReasonCredentialsAccepted = "Accepted"

	// ReasonCredentialsNotTried is set when the key was read but no request has been answered yet.
	ReasonCredentialsNotTried = "NotTried"
)

// ConditionSuspended is present and True while spec.suspend is true. On EmbeddedUserBatch.
const ConditionSuspended = "Suspended"

// ConditionUsersConfirmed reports whether the account's list of users showed the users that exist by their results, when they were
// last looked up: for spec.resyncInterval, for the annotation reconcile-at, for another API key, or for the mode Observe. It is absent
// before that. On EmbeddedUserBatch.
const ConditionUsersConfirmed = "UsersConfirmed"

// Reasons of ConditionUsersConfirmed; when it is False the reason is ReasonListUnavailable or ReasonAccountChanged.
const (
	// ReasonConfirmed is set when every user that exists by its result was found, or created again.
	ReasonConfirmed = "Confirmed"

	// ReasonConfirming is set while users are looked up or created again.
	ReasonConfirming = "Confirming"
)

// ReasonUsersMissing is the reason of an event, not of a condition: users that existed are missing from the account's list. They are
// created again.
const ReasonUsersMissing = "UsersMissing"

// Annotations that ask the operator for something. On EmbeddedUserBatch.
const (
	// AnnotationReconcileAt has the operator look up every user of the batch once, and try those again that the API rejected,
	// whenever its value changes. status.lastHandledReconcileAt has the value when that is done.
	AnnotationReconcileAt = "embedded.runalloy.com/reconcile-at"

	// AnnotationApprove with the value of status.approval has the operator create users under another API key.
	AnnotationApprove = "embedded.runalloy.com/approve"
)
