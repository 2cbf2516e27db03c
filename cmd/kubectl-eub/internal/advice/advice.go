// SPDX-License-Identifier: Apache-2.0

// Package advice says in words what a reason of a condition means, and what a person should do about it. It is the short form of
// docs/troubleshooting.md, which has a section for each reason; a test compares the two.
package advice

import (
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// Page is the page that has more about every reason.
const Page = "docs/troubleshooting.md"

// Advice is what a reason means.
type Advice struct {
	// Words says what is so, in a sentence.
	Words string
	// Do says what to do; empty if there is nothing to do. NAME stands for the name of the batch.
	Do string
}

// For returns what a reason means for a batch, which [Target] names. It reports false for a reason that this version does not know, as a
// newer operator may have: then the message of the condition has to do.
func For(reason, target string) (Advice, bool) {
	a, known := advice[reason]
	a.Do = strings.ReplaceAll(a.Do, "NAME", target)
	return a, known
}

// Target returns the arguments by which a command finds a batch, whatever the namespace of the kubeconfig is.
func Target(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return name + " -n " + namespace
}

// Unseen is the advice for a batch that no operator has looked at.
var Unseen = Advice{
	Words: "No operator has looked at this batch yet.",
	Do:    "If that lasts for more than a few seconds: the operator does not run, or does not watch this namespace; see kubectl eub check.",
}

// ListChanged is the advice for a batch of which a list has changed since an operator has looked at it.
var ListChanged = Advice{
	Words: "The operator has not looked at the last change of a list yet.",
	Do: "If that lasts for more than a few seconds, or for a Secret longer than the operator's --secret-poll: the operator does not run, " +
		"or does not watch this namespace; see kubectl eub check.",
}

// LookupDue is the advice for a batch whose users somebody wants looked up.
var LookupDue = Advice{
	Words: "The operator has not looked the users up yet, as the annotation reconcile-at asks.",
	Do:    "Wait: a large account takes minutes, and while the API is away the operator tries again. If it lasts, see kubectl eub check.",
}

const putKey = "Put the right API key into the Secret; the operator notices it by itself."

// advice has an entry for each reason of a condition or an event in api/v1alpha1.
var advice = map[string]Advice{
	v1alpha1.ReasonProgressing: {
		Words: "Users are being planned or sent.",
		Do:    "Wait. If nothing changes for minutes, see which slices are held up.",
	},
	v1alpha1.ReasonRetrying: {
		Words: "The last attempt failed for a reason that may pass, and the operator tries again by itself.",
		Do: "Nothing, unless it lasts: then check the API's status, and the operator's network policy and proxy. " +
			"If only a few users stay pending, the API fails on these: kubectl eub results NAME --result Pending.",
	},
	v1alpha1.ReasonSucceeded: {Words: "All users exist."},
	v1alpha1.ReasonSucceededWithInvalidUsers: {
		Words: "All valid users exist, and the invalid ones are ignored, as spec.invalidUserPolicy says.",
		Do:    "See the ignored ones with kubectl eub results NAME --result Invalid.",
	},
	v1alpha1.ReasonInvalidUsers: {
		Words: "All valid users exist, and some are invalid.",
		Do: "Correct or remove their rows: kubectl eub results NAME --result Invalid -o csv. " +
			"If the API rejected them for a reason that is gone, kubectl eub retry NAME sends them again.",
	},
	v1alpha1.ReasonSourceNotFound: {
		Words: "A ConfigMap or Secret in spec.usersFrom, or the key in it, does not exist; the batch keeps the users that it has.",
		Do:    "Create it, correct its name in spec.usersFrom, or mark it as optional. The batch goes on by itself.",
	},
	v1alpha1.ReasonSourceUnreadable: {
		Words: "A list in spec.usersFrom cannot be read, and nothing of this version of it is used.",
		Do:    "Correct the list as the message says, and store it again.",
	},
	v1alpha1.ReasonListTooLarge: {
		Words: "The list takes more memory than the operator allows for one batch.",
		Do: "Split it into several batches, write CSV or NDJSON instead of YAML, " +
			"or ask whoever runs the operator to raise --max-list-memory.",
	},
	v1alpha1.ReasonPlanRejected: {
		Words: "The API server of the cluster refuses what the operator needs to distribute the list.",
		Do: "The message has its words. A quota: raise count/embeddeduserslices.embedded.runalloy.com. A policy or webhook: let the operator " +
			"write EmbeddedUserSlices. An unknown field: update the CRDs. The operator tries again by itself.",
	},
	v1alpha1.ReasonSuspended: {
		Words: "Users are pending, and spec.suspend is true, so that nothing is sent.",
		Do:    "Go on with kubectl eub resume NAME.",
	},
	v1alpha1.ReasonObserved: {
		Words: "The account's users were looked up, and nothing is created, because spec.mode is Observe.",
		Do:    "To create the pending users, set spec.mode to Apply.",
	},
	v1alpha1.ReasonAccountChanged: {
		Words: "The Secret has another API key, under which more than half of the users are missing. Nothing is sent.",
		Do: "If the key is wrong, put the right one into the Secret. " +
			"If the users are to be created in that other account: kubectl eub approve NAME.",
	},
	v1alpha1.ReasonListUnavailable: {
		Words: "The list of the account's users cannot be read, or lacks users that exist. The operator tries again by itself.",
		Do:    "If it lasts, check whether the key may list users, and what is between the operator and the API.",
	},
	v1alpha1.ReasonSecretNotFound: {
		Words: "The Secret that spec.apiKeySecretRef names, or the key in it, does not exist.",
		Do:    "Create it, with the API key under the key that the batch names. The batch goes on within seconds.",
	},
	v1alpha1.ReasonInvalidCredentials: {
		Words: "What is in the Secret cannot be an API key, and nothing was sent.",
		Do:    "Store the key alone: without quotation marks, without a line break between two lines, and not encoded in base64 by hand.",
	},
	v1alpha1.ReasonUnauthorized: {
		Words: "The API answered 401 or 403: it does not accept the key.",
		Do:    putKey + " After 403, check the permissions of the key, and gateways.",
	},
	v1alpha1.ReasonRequestRejected: {
		Words: "The API refuses requests whoever is in them, so that no user is blamed.",
		Do: "404, 405, 410: check the operator's --alloy-url. 402: check the account's plan and payments. 400, 422: check the users and " +
			"--alloy-api-version. 413: something between the operator and the API limits requests. The operator tries again by itself.",
	},
	v1alpha1.ReasonUnexpectedRedirect: {
		Words: "The API redirects to another address, to which the operator does not send the key.",
		Do:    "Ask whoever runs the operator to correct --alloy-url.",
	},
	v1alpha1.ReasonAllUsersExist:       {Words: "No valid user remains to be created."},
	v1alpha1.ReasonUsersPending:        {Words: "Valid users remain to be created; Ready says why."},
	v1alpha1.ReasonNoInvalidUsers:      {Words: "No user is known to be invalid."},
	v1alpha1.ReasonSourcesRead:         {Words: "Every list in spec.usersFrom was read."},
	v1alpha1.ReasonCredentialsAccepted: {Words: "The API accepted the key."},
	v1alpha1.ReasonCredentialsNotTried: {Words: "The API has not answered a request with this key yet."},
	v1alpha1.ReasonConfirmed:           {Words: "The users were compared with the account's list, and exist."},
	v1alpha1.ReasonConfirming:          {Words: "Users are being looked up in the account, or created again."},
	v1alpha1.ReasonUsersMissing: {
		Words: "Users that existed are missing from the account, and are created again.",
		Do:    "If they are not to come back, remove their rows first, and then delete them in Alloy.",
	},
	v1alpha1.ReasonForeignSlice: {
		Words: "A slice has the label of this batch and is not one of its own. It is ignored.",
		Do:    "The event names the command that removes it.",
	},
	v1alpha1.ReasonStatusTooLarge: {
		Words: "The list is so large that the status does not fit beside it. The users are created all the same.",
		Do:    "Split the list into two batches.",
	},
	v1alpha1.ReasonStatusRejected: {
		Words: "The API server of the cluster refuses the status, for example because of an admission policy.",
		Do:    "Let the operator write statuses, and compare the versions of the CRDs and the operator: kubectl eub check.",
	},
	v1alpha1.ReasonUnmatchedInvalidUsers: {
		Words: "The API named a user as invalid that it was not sent. The users of the request are looked up.",
		Do:    "Report it to Alloy.",
	},
}
