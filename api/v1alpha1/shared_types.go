// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "cmp"

// User is one user of an Alloy Embedded account, as the operator sends it.
type User struct {
	// username identifies the user. It is unique within the Alloy account and compared byte for byte.
	// It has 1 to 256 characters, no control characters, and no white space at either end. It need not be an email address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^\s\p{Z}\p{Cc}]([^\p{Cc}]*[^\s\p{Z}\p{Cc}])?$`
	Username string `json:"username"`

	// fullName is the user's display name, at most 256 characters.
	// It is sent when the user is created; spec.updatePolicy decides whether later changes are sent too.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	FullName string `json:"fullName,omitempty"`
}

// DefaultSecretKey is the key in the data of a Secret that holds the API key, unless an APIKeySecretReference names another one.
const DefaultSecretKey = "apiKey"

// APIKeySecretReference names the key of a Secret that holds an Alloy API key.
// +structType=atomic
type APIKeySecretReference struct {
	// name of the Secret, in the namespace of the object that refers to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`

	// key in the Secret's data that holds the API key; apiKey if it is absent.
	// White space around the API key, such as a trailing line break, is ignored.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// WithDefaultKey returns the reference with its key: DefaultSecretKey if it names none. The schema has no such default, because
// the struct is atomic: the API server would add the key to what one client applied, so that the same manifest from another client
// conflicts with it. Compare references only with this default.
func (r APIKeySecretReference) WithDefaultKey() APIKeySecretReference {
	r.Key = cmp.Or(r.Key, DefaultSecretKey)
	return r
}

// UserCounts counts users by state.
// +structType=atomic
type UserCounts struct {
	// total is the sum of created, existing, invalid and pending: the distinct usernames in the list, plus the invalid rows.
	// +optional
	Total int32 `json:"total"`

	// created counts the users that this operator created.
	// +optional
	Created int32 `json:"created"`

	// existing counts the users that exist without proof that this operator created them.
	// +optional
	Existing int32 `json:"existing"`

	// invalid counts the users that do not exist and are to be corrected. Those that the API rejected are sent once more after ten
	// minutes.
	// +optional
	Invalid int32 `json:"invalid"`

	// pending counts the users whose outcome is not known yet. With the updatePolicy Update it also counts those whose userId is
	// still to be learned, or whose fullName is to be written.
	// +optional
	Pending int32 `json:"pending"`

	// notOwned counts, of the users that exist, those whose fullName the operator does not write although the updatePolicy is
	// Update: nothing proves that it created them, or it did so before.
	// +optional
	NotOwned int32 `json:"notOwned,omitempty"`
}

// InvalidReason is the reason why a user is invalid.
// +enum
type InvalidReason string

const (
	// InvalidReasonDuplicateUsername is set when an earlier row of the batch has the same username and a different fullName.
	// The earlier row is used.
	InvalidReasonDuplicateUsername InvalidReason = "DuplicateUsername"

	// InvalidReasonInvalidRow is set when a row is not a user, for example because its username is missing.
	InvalidReasonInvalidRow InvalidReason = "InvalidRow"

	// InvalidReasonRejectedByAPI is set when the Alloy API did not accept the user and has no user with exactly this username.
	InvalidReasonRejectedByAPI InvalidReason = "RejectedByAPI"
)
