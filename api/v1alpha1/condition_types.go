package v1alpha1

// Condition types. Ready, Reconciling and Stalled follow kstatus, as Flux and `kubectl wait` read it: a batch is done when
// Ready is True, works by itself while Reconciling is present, and waits for a person while Stalled is present. Reconciling
// and Stalled are present only while True, and never both.
const (
	// ConditionReady is True when the users that must exist do exist. On EmbeddedUserBatch and EmbeddedUserSlice.
	ConditionReady = "Ready"

	// ConditionReconciling is present and True while the operator works on the object or will try again by itself.
	ConditionReconciling = "Reconciling"

	// ConditionStalled is present and True while nothing will change until somebody changes something. Its reason and message
	// are those of Ready.
	ConditionStalled = "Stalled"
)

// Reasons of ConditionReady, Reconciling and Stalled.
const (
	// ReasonProgressing surfaces when users are being planned or sent.
	ReasonProgressing = "Progressing"

	// ReasonRetrying surfaces when the last attempt failed in a way that may pass: no connection, no answer in time, too many
	// requests, an error of the server, or an answer that could not be read.
	ReasonRetrying = "Retrying"

	// ReasonSucceeded surfaces when every user exists.
	ReasonSucceeded = "Succeeded"

	// ReasonSucceededWithInvalidUsers surfaces when every valid user exists, some users are invalid, and
	// spec.invalidUserPolicy is Ignore.
	ReasonSucceededWithInvalidUsers = "SucceededWithInvalidUsers"

	// ReasonInvalidUsers surfaces when every valid user exists, some users are invalid, and spec.invalidUserPolicy is Fail.
	ReasonInvalidUsers = "InvalidUsers"

	// ReasonSecretNotFound surfaces when spec.apiKeySecretRef names a Secret that does not exist, or a key that the Secret
	// does not have, while users are pending.
	ReasonSecretNotFound = "SecretNotFound"

	// ReasonSourceNotFound surfaces when spec.usersFrom names a ConfigMap, a Secret or a key that does not exist and is not
	// optional. What was planned before stays as it is.
	ReasonSourceNotFound = "SourceNotFound"

	// ReasonSourceUnreadable surfaces when a list that spec.usersFrom names cannot be read as such, or is too large. What was
	// planned before stays as it is.
	ReasonSourceUnreadable = "SourceUnreadable"

	// ReasonInvalidCredentials surfaces when the Secret's value cannot be an API key: it is empty, or has control characters
	// inside. Nothing was sent.
	ReasonInvalidCredentials = "InvalidCredentials"

	// ReasonUnauthorized surfaces when the API answered 401 or 403.
	ReasonUnauthorized = "Unauthorized"

	// ReasonRequestRejected surfaces when the API refused the request as a whole, in a way that says nothing about a single
	// user.
	ReasonRequestRejected = "RequestRejected"

	// ReasonUnexpectedRedirect surfaces when the API answered with a redirect. It is not followed: the API key would travel
	// to another address.
	ReasonUnexpectedRedirect = "UnexpectedRedirect"
)

// ReasonStatusTooLarge is of an event, because no condition can be written then: it surfaces when the list of a batch is so large
// that etcd takes no status beside it. The users are created all the same.
const ReasonStatusTooLarge = "StatusTooLarge"

// ConditionUsersCreated is True when no valid user of the batch remains to be created. On EmbeddedUserBatch.
const ConditionUsersCreated = "UsersCreated"

// Reasons of ConditionUsersCreated.
const (
	// ReasonAllUsersExist surfaces when no valid user is pending.
	ReasonAllUsersExist = "AllUsersExist"

	// ReasonUsersPending surfaces when at least one user is pending.
	ReasonUsersPending = "UsersPending"
)

// ConditionUsersInvalid is True when at least one user of the batch is invalid. On EmbeddedUserBatch.
const ConditionUsersInvalid = "UsersInvalid"

// Reasons of ConditionUsersInvalid; ReasonInvalidUsers when it is True.
const (
	// ReasonNoInvalidUsers surfaces when no user is known to be invalid.
	ReasonNoInvalidUsers = "NoInvalidUsers"
)

// ConditionSourcesRead is True when every list that spec.usersFrom names was read, False with the reason SourceNotFound or
// SourceUnreadable when one was not. On an EmbeddedUserBatch with usersFrom.
const ConditionSourcesRead = "SourcesRead"

// ReasonSourcesRead surfaces when every list was read.
const ReasonSourcesRead = "AllRead"

// ConditionCredentialsValid tells whether the API key can be used: True when the API accepted it, False when it is missing,
// unusable or rejected, Unknown when the API has not been asked. On EmbeddedUserBatch. Its reasons when False are
// SecretNotFound, InvalidCredentials and Unauthorized.
const ConditionCredentialsValid = "CredentialsValid"

// Reasons of ConditionCredentialsValid when it is not False.
const (
	// ReasonCredentialsAccepted surfaces when the API accepted a request with the key.
	ReasonCredentialsAccepted = "Accepted"

	// ReasonCredentialsNotTried surfaces when the key could be read and no request has been answered yet.
	ReasonCredentialsNotTried = "NotTried"
)
