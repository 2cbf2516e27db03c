package v1alpha1

// User is one user of an Alloy Embedded account.
type User struct {
	// username identifies the user; it is unique within the Alloy account and compared byte for byte.
	// 1 to 256 characters, no control characters, no white space at either end. An email address is usual, not required.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^\s\p{Z}\p{Cc}]([^\p{Cc}]*[^\s\p{Z}\p{Cc}])?$`
	Username string `json:"username"`

	// fullName is the name shown for the user, at most 256 characters.
	// It is sent when the user is created; changing it later does not change a user that exists.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	FullName string `json:"fullName,omitempty"`
}

// APIKeySecretReference names the key of a Secret that holds an Alloy API key.
// +structType=atomic
type APIKeySecretReference struct {
	// name of the Secret, in the namespace of the object that refers to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// key within the Secret's data that holds the API key.
	// White space around the API key, such as a line break at its end, is ignored.
	// +optional
	// +kubebuilder:default=apiKey
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// UserCounts says how many users are in which state.
// +structType=atomic
type UserCounts struct {
	// total is the sum of the other four: the distinct usernames wanted, plus the rows that are invalid by themselves.
	// +optional
	Total int32 `json:"total"`

	// created counts the users that the Alloy API created on a request of this operator.
	// +optional
	Created int32 `json:"created"`

	// existing counts the users that existed without proof that this operator created them.
	// +optional
	Existing int32 `json:"existing"`

	// invalid counts the users that do not exist and are not tried again until they are corrected.
	// +optional
	Invalid int32 `json:"invalid"`

	// pending counts the users about which nothing is known yet.
	// +optional
	Pending int32 `json:"pending"`
}

// InvalidReason says why a user is invalid.
// +enum
type InvalidReason string

const (
	// InvalidReasonDuplicateUsername surfaces when an earlier row of the same batch has the username with another
	// fullName. The earlier row is used.
	InvalidReasonDuplicateUsername InvalidReason = "DuplicateUsername"

	// InvalidReasonInvalidRow surfaces when a row of a list in a ConfigMap or Secret is not a user. In spec.users the API server
	// refuses such a row.
	InvalidReasonInvalidRow InvalidReason = "InvalidRow"

	// InvalidReasonRejectedByAPI surfaces when the Alloy API did not take the user and holds no user with exactly this
	// username.
	InvalidReasonRejectedByAPI InvalidReason = "RejectedByAPI"
)
