// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"net/http"
	"strings"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// batchSituations are the rows of the first table in docs/gitops.md, by the name of the file that has the batch.
var batchSituations = map[string]situation{
	"not-seen": {name: "The operator has not seen the batch", bring: func(w *world) {
		w.halt()
		w.CreateBatch("customers", testenv.Users("user", 3)...)
	}},
	"edit-not-seen": {name: "The operator has not seen an edit", bring: func(w *world) {
		w.SetKey(w.Key)
		w.customers(v1alpha1.ReasonSucceeded)
		w.halt()
		w.edit()
	}},
	"sending": {name: "Users are being sent", bring: func(w *world) {
		w.SetKey(w.Key)
		applied, _ := w.Hold()
		w.customers(v1alpha1.ReasonProgressing)
		<-applied
		w.Eventually(func() int32 { return w.Load("customers").Status.Slices.Total }).Should(gomega.BeEquivalentTo(1))
	}},
	"retrying": {name: "An attempt failed and will be retried", bring: answered(v1alpha1.ReasonRetrying, unavailable)},
	"secret-missing": {
		name: "The Secret or its key is missing and users are pending, for less than two minutes", bring: secretMissing,
	},
	"secret-missing-for-long": {
		name: "The Secret is missing for longer", bring: missesForLong(secretMissing, v1alpha1.ConditionCredentialsValid),
	},
	"source-missing": {name: "A list of usersFrom is missing, for less than two minutes", bring: sourceMissing},
	"source-missing-for-long": {
		name: "The list is missing for longer", bring: missesForLong(sourceMissing, v1alpha1.ConditionSourcesRead),
	},
	"source-unreadable": {name: "A list of usersFrom cannot be parsed", bring: func(w *world) {
		w.MustCreate(w.configMap("list", map[string]string{"users.csv": "fullName\nNobody\n"}))
		withKey(goodKey, v1alpha1.ReasonSourceUnreadable, configMapSource("list", "users.csv"))(w)
	}},
	"list-too-large": {name: "The list is too large for the operator's memory", bring: func(w *world) {
		w.halt()
		w.memory = 8 << 20
		w.start()
		w.SetKey(w.Key)
		w.createLong("customers", 60_000, "Somebody with quite a long name")
		w.Await("customers", v1alpha1.ReasonListTooLarge)
	}},
	"plan-rejected": {name: "A quota, a policy or missing rights keep the list from being distributed", bring: func(w *world) {
		w.limitSlices(0)
		w.awaitDenied()
		withKey(goodKey, v1alpha1.ReasonPlanRejected)(w)
	}},
	"invalid-credentials": {
		name: "The value in the Secret cannot be a key, and users are pending", bring: withKey(quotedKey, v1alpha1.ReasonInvalidCredentials),
	},
	"unauthorized": {
		name: "The API rejects the key, and users are pending", bring: withKey(wrongKey, v1alpha1.ReasonUnauthorized),
	},
	"request-rejected": {
		name: "The API refuses requests whoever is in them", bring: answered(v1alpha1.ReasonRequestRejected, unpaid),
	},
	"redirected": {name: "The API redirects elsewhere", bring: answered(v1alpha1.ReasonUnexpectedRedirect, elsewhere)},
	"succeeded":  {name: "All users exist", bring: withKey(goodKey, v1alpha1.ReasonSucceeded)},
	"suspended": {name: "The batch is suspended while users are pending", bring: func(w *world) {
		w.SetKey(w.Key)
		batch := w.Batch("customers", testenv.Users("user", 3)...)
		batch.Spec.Suspend = true
		w.MustCreate(batch)
		w.Await("customers", v1alpha1.ReasonSuspended)
	}},
	"suspended-and-done": {name: "The batch is suspended, and all users exist", bring: func(w *world) {
		withKey(goodKey, v1alpha1.ReasonSucceeded)(w)
		w.suspend("customers", true)
		w.awaitSuspended("customers")
	}},
	"observed": {name: "The mode is Observe, and Apply would create users", bring: observing(v1alpha1.ReasonObserved)},
	"list-unavailable": {name: "The mode is Observe, and the account's users cannot be listed", bring: func(w *world) {
		w.Sim.Inject(simulator.Fault{Operation: simulator.List, Status: http.StatusServiceUnavailable})
		observing(v1alpha1.ReasonListUnavailable)(w)
	}},
	"account-changed": {name: "The Secret has another account's key", bring: func(w *world) {
		withKey(goodKey, v1alpha1.ReasonSucceeded)(w)
		w.Eventually(func() string { return w.Load("customers").Status.KeyFingerprint }).ShouldNot(gomega.BeEmpty())
		w.Sim.AddKey("another")
		w.SetKey("another")
		w.Await("customers", v1alpha1.ReasonAccountChanged)
	}},
	"secret-missing-and-not-needed": {name: "All users exist, and the Secret is gone", bring: func(w *world) {
		withKey(goodKey, v1alpha1.ReasonSucceeded)(w)
		w.Must(w.Delete(w.Context(), w.secret(testenv.SecretName, "", "")))
		w.Eventually(func() string {
			return testenv.Condition(w.Load("customers").Status.Conditions, v1alpha1.ConditionCredentialsValid).Reason
		}).Should(gomega.Equal(v1alpha1.ReasonSecretNotFound))
	}},
	"invalid-users": {
		name:  "Some users are invalid, and invalidUserPolicy is Fail",
		bring: withInvalidUser(v1alpha1.InvalidUserPolicyFail, v1alpha1.ReasonInvalidUsers),
	},
	"invalid-users-ignored": {
		name:  "Some users are invalid, and invalidUserPolicy is Ignore",
		bring: withInvalidUser(v1alpha1.InvalidUserPolicyIgnore, v1alpha1.ReasonSucceededWithInvalidUsers),
	},
}

// sliceSituations are the rows of the second table in docs/gitops.md, by the name of the file that has the slice.
var sliceSituations = map[string]situation{
	"not-seen": {name: "The operator has not recorded anything", bring: func(w *world) {
		w.forbid(func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/embeddeduserslices/") && strings.HasSuffix(r.URL.Path, "/status")
		})
		w.CreateBatch("customers", testenv.Users("user", 3)...)
		w.Eventually(func() int { return len(w.Slices()) }).Should(gomega.Equal(1))
	}},
	"edit-being-sent": {name: "Added users are being sent", bring: func(w *world) {
		withKey(goodKey, v1alpha1.ReasonSucceeded)(w)
		applied, _ := w.Hold()
		w.edit()
		<-applied
	}},
	"sending-at-last": {name: "Users are being sent after something was wrong", bring: func(w *world) {
		secretMissing(w)
		w.awaitSlice(v1alpha1.ReasonSecretNotFound)
		applied, _ := w.Hold()
		w.SetKey(w.Key)
		<-applied
		w.awaitSlice(v1alpha1.ReasonProgressing)
	}},
	"retrying": {name: "An attempt failed and will be retried", bring: answered(v1alpha1.ReasonRetrying, unavailable)},
	"secret-missing": {name: "The Secret or its key is missing", bring: func(w *world) {
		secretMissing(w)
		w.awaitSlice(v1alpha1.ReasonSecretNotFound)
	}},
	"invalid-credentials": {name: "The value in the Secret cannot be a key", bring: func(w *world) {
		withKey(quotedKey, v1alpha1.ReasonInvalidCredentials)(w)
		w.awaitSlice(v1alpha1.ReasonInvalidCredentials)
	}},
	"unauthorized": {name: "The API rejects the key", bring: func(w *world) {
		withKey(wrongKey, v1alpha1.ReasonUnauthorized)(w)
		w.awaitSlice(v1alpha1.ReasonUnauthorized)
	}},
	"request-rejected": {
		name: "The API refuses requests whoever is in them", bring: answered(v1alpha1.ReasonRequestRejected, unpaid),
	},
	"redirected": {name: "The API redirects elsewhere", bring: answered(v1alpha1.ReasonUnexpectedRedirect, elsewhere)},
	"succeeded":  {name: "All users exist", bring: withKey(goodKey, v1alpha1.ReasonSucceeded)},
	"invalid-users": {
		name:    "All users have a result, and some are invalid",
		options: simulator.Options{Reject: func(username string) bool { return username == "another" }},
		bring: func(w *world) {
			withKey(goodKey, v1alpha1.ReasonSucceeded)(w)
			w.edit()
			w.Await("customers", v1alpha1.ReasonInvalidUsers)
		},
	},
}
