// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"net/http"
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// createUpdated creates a batch whose full names are kept, and waits until it is Ready.
func (w *world) createUpdated(name string, users int) v1alpha1.EmbeddedUserBatchStatus {
	w.Helper()
	batch := w.Batch(name, testenv.Users(name, users)...)
	batch.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate
	w.MustCreate(batch)
	return w.Await(name, v1alpha1.ReasonSucceeded).Status
}

// rename changes the full names of the first users of a batch.
func (w *world) rename(name, fullName string, first int) {
	w.Helper()
	w.Edit(name, func(batch *v1alpha1.EmbeddedUserBatch) {
		for i := range first {
			batch.Spec.Users[i].FullName = fullName
		}
	})
}

// fullNames returns the full names of the account's users, by username.
func (w *world) fullNames() map[string]string {
	names := map[string]string{}
	for _, user := range w.Sim.Users(w.Key) {
		names[user.Username] = user.FullName
	}
	return names
}

func TestUpdatePolicy_OneListShowsTheUserIDsOfManyUsers(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.Sim.Seed(w.Key, "keep-00001@example.com")
	status := w.createUpdated("keep", 1200)
	w.Equal("counts", v1alpha1.UserCounts{Total: 1200, Created: 1199, Existing: 1, NotOwned: 1}, status.Counts)
	w.Equal("lists, one before the creation and one after", 2, w.Sim.Count(simulator.List))
	w.Equal("reads of single users, of the one that existed", 1, w.Sim.Count(simulator.Get))
	w.Equal("requests that create users", 2, w.Sim.Count(simulator.Create))

	w.rename("keep", "Another Name", 3)
	w.Await("keep", v1alpha1.ReasonSucceeded)
	names := w.fullNames()
	w.Equal("full name of a user", "Another Name", names["keep-00000@example.com"])
	w.Equal("full name of the user that existed", "", names["keep-00001@example.com"])
	w.Equal("full name of another user", "Another Name", names["keep-00002@example.com"])
	w.Equal("full names that were written", 2, w.Sim.Count(simulator.Update))
	w.Equal("requests that create users", 2, w.Sim.Count(simulator.Create))
	w.Equal("lists", 2, w.Sim.Count(simulator.List))
}

func TestUpdatePolicy_AFewUserIDsAreReadOneByOne(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.createUpdated("few", 3)
	w.Equal("lists", 1, w.Sim.Count(simulator.List))
	w.Equal("reads of single users", 3, w.Sim.Count(simulator.Get))
	w.rename("few", "Another Name", 2)
	w.Await("few", v1alpha1.ReasonSucceeded)
	w.Equal("full names that were written", 2, w.Sim.Count(simulator.Update))
	w.rename("few", "", 2) // a row without a full name changes nothing
	w.Await("few", v1alpha1.ReasonSucceeded)
	w.Equal("full names that were written", 2, w.Sim.Count(simulator.Update))
	w.Equal("full name", "Another Name", w.fullNames()["few-00001@example.com"])
}

func TestUpdatePolicy_UsersFromBeforeThePolicyAreNotOwned(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("old", testenv.Users("old", 30)...)
	w.Await("old", v1alpha1.ReasonSucceeded)
	w.Edit("old", func(batch *v1alpha1.EmbeddedUserBatch) {
		batch.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate
		batch.Spec.Users[0].FullName = "Another Name"
		batch.Spec.Users = append(batch.Spec.Users, v1alpha1.UserRow{Username: "added", FullName: "Added"})
	})
	status := w.Await("old", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 31, Created: 31, NotOwned: 30}, status.Counts)
	w.Equal("full names that were written", 0, w.Sim.Count(simulator.Update))

	w.Edit("old", func(batch *v1alpha1.EmbeddedUserBatch) {
		batch.Spec.UpdatePolicy, batch.Spec.Users[30].FullName = v1alpha1.UpdatePolicyCreateOnly, "Another Name"
	})
	status = w.Await("old", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 31, Created: 31}, status.Counts)
	w.Equal("full names that were written", 0, w.Sim.Count(simulator.Update))
	w.Edit("old", func(batch *v1alpha1.EmbeddedUserBatch) { batch.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate })
	w.Eventually(func() string { return w.fullNames()["added"] }).Should(gomega.Equal("Another Name"))
}

// TestUpdatePolicy_ALookUpCorrectsFullNames has somebody else change a full name, and delete a user and create it again.
func TestUpdatePolicy_ALookUpCorrectsFullNames(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.createUpdated("drifting", 40)
	before := w.fullNames()
	w.Sim.Rename(w.Key, "drifting-00000@example.com", "Somebody Else")
	w.removeUsers(w.Key, "drifting-00001@example.com", "drifting-00002@example.com")
	w.Sim.Seed(w.Key, "drifting-00001@example.com")

	w.reconcileAt("drifting", "1")
	status := w.Await("drifting", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 40, Created: 40, NotOwned: 1}, status.Counts)
	w.Equal("full names that were written", 1, w.Sim.Count(simulator.Update))
	before["drifting-00001@example.com"] = "" // it is another user now
	w.Equal("full names", before, w.fullNames())

	w.reconcileAt("drifting", "2") // nothing is left to do
	w.Equal("full names that were written", 1, w.Sim.Count(simulator.Update))
	w.rename("drifting", "Another Name", 3)
	w.Await("drifting", v1alpha1.ReasonSucceeded)
	w.Equal("full name of a user that was created again", "Another Name", w.fullNames()["drifting-00002@example.com"])
	w.Equal("full names that were written", 3, w.Sim.Count(simulator.Update))
}

// TestUpdatePolicy_AUserThatIsCreatedAgainHasTheNameOfItsRow changes the row of a user that is not owned, which changes nothing, and then
// deletes the user.
func TestUpdatePolicy_AUserThatIsCreatedAgainHasTheNameOfItsRow(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.Sim.Seed(w.Key, "again-00000@example.com")
	w.createUpdated("again", 2)
	w.rename("again", "Another Name", 1)
	w.Await("again", v1alpha1.ReasonSucceeded)
	w.Equal("full name of a user that existed", "", w.fullNames()["again-00000@example.com"])
	w.removeUsers(w.Key, "again-00000@example.com")
	w.reconcileAt("again", "1")
	w.Await("again", v1alpha1.ReasonSucceeded)
	w.Equal("full name", "Another Name", w.fullNames()["again-00000@example.com"])
	w.Equal("full names that were written", 0, w.Sim.Count(simulator.Update))
}

func TestUpdatePolicy_ARefusedFullNameShows(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.createUpdated("refused", 2)
	w.Sim.Inject(simulator.Fault{Operation: simulator.Update, Status: http.StatusBadRequest, Body: `{"message":"fullName is odd"}`})
	w.rename("refused", "Odd", 1)
	ready := testenv.Condition(w.Await("refused", v1alpha1.ReasonRequestRejected).Status.Conditions, v1alpha1.ConditionReady)
	if !contains(ready.Message, "fullName is odd") {
		t.Errorf("message: %s", ready.Message)
	}
	w.Sim.ClearFaults()
	w.Await("refused", v1alpha1.ReasonSucceeded)
	w.Equal("full name", "Odd", w.fullNames()["refused-00000@example.com"])
	w.Equal("requests that create users", 1, w.Sim.Count(simulator.Create))
}

func TestUpdatePolicy_ASuspendedBatchChangesNothing(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.createUpdated("paused", 2)
	w.suspend("paused", true)
	w.awaitSuspended("paused")
	w.rename("paused", "Another Name", 2)
	w.awaitSuspended("paused")
	w.Equal("full names that were written", 0, w.Sim.Count(simulator.Update))
	w.suspend("paused", false)
	w.Await("paused", v1alpha1.ReasonSucceeded)
	w.Equal("full names that were written", 2, w.Sim.Count(simulator.Update))
}

// TestUpdatePolicy_ARestartLearnsTheUserIDs stops the operator after the users were created, while no list can be read.
func TestUpdatePolicy_ARestartLearnsTheUserIDs(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	applied, release := w.Hold()
	batch := w.Batch("restarted", testenv.Users("restarted", 30)...)
	batch.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate
	w.MustCreate(batch)
	<-applied
	w.Sim.Inject(simulator.Fault{Operation: simulator.List, Status: http.StatusServiceUnavailable, Times: 1})
	release()
	w.Eventually(func() int { return w.resultsOf()[v1alpha1.ResultCreated] }).Should(gomega.Equal(30))
	w.halt()
	w.start()
	status := w.Await("restarted", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 30, Created: 30}, status.Counts)
	for username, result := range w.Results() {
		if result.UserID == "" {
			t.Errorf("%s has no userId", username)
		}
	}
}

// TestUpdatePolicy_UnderAnotherKeyTheUsersAreOthers puts the key of an account into the Secret in which somebody else has created the
// same users.
func TestUpdatePolicy_UnderAnotherKeyTheUsersAreOthers(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	before := w.createUpdated("moved", 3).KeyFingerprint
	w.Sim.AddKey("other-account")
	w.Sim.Seed("other-account", "other", "moved-00000@example.com", "moved-00001@example.com", "moved-00002@example.com")
	w.SetKey("other-account")
	w.Eventually(func() string { return w.Load("moved").Status.KeyFingerprint }).ShouldNot(gomega.Equal(before))
	w.rename("moved", "Another Name", 3)
	status := w.Await("moved", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 3, Created: 3, NotOwned: 3}, status.Counts)
	w.Equal("full names that were written", 0, w.Sim.Count(simulator.Update))
}
