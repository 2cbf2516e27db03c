// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// awkward is a username that must survive JSON, HTTP and a URL path.
const awkward = "ä/ö?ü#%2F&=+ ;:@é日本\"\\<>'"

func TestBatch_EveryUserIsAccountedFor(t *testing.T) {
	for _, policy := range []v1alpha1.InvalidUserPolicy{v1alpha1.InvalidUserPolicyFail, v1alpha1.InvalidUserPolicyIgnore} {
		t.Run(string(policy), func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			users := testenv.Users("main", 2500)
			w.Sim.Seed(w.Key, users[7].Username, users[1500].Username, users[2400].Username)
			users = append(users, v1alpha1.User{Username: "twice", FullName: "First"}, v1alpha1.User{Username: awkward, FullName: "Åse"},
				v1alpha1.User{Username: "twice", FullName: "Second"})
			w.SetKey(w.Key)
			batch := w.Batch("main", users...)
			batch.Spec.InvalidUserPolicy = policy
			w.MustCreate(batch)

			reason, ready := v1alpha1.ReasonInvalidUsers, "false"
			if policy == v1alpha1.InvalidUserPolicyIgnore {
				reason, ready = v1alpha1.ReasonSucceededWithInvalidUsers, "true"
			}
			status := w.Await("main", reason).Status
			w.Equal("counts", v1alpha1.UserCounts{Total: 2503, Created: 2499, Existing: 3, Invalid: 1}, status.Counts)
			w.Equal("slices", v1alpha1.SliceCounts{Total: 3, Ready: 3}, status.Slices)
			if len(status.InvalidUsers) != 1 || status.InvalidUsers[0].Row != 2502 ||
				status.InvalidUsers[0].Reason != v1alpha1.InvalidReasonDuplicateUsername {
				t.Errorf("invalid users: %+v", status.InvalidUsers)
			}
			if out, err := w.Kubectl("", "wait", "--for=condition=Ready="+ready, "eub/main", "--timeout=10s"); err != nil {
				t.Errorf("kubectl wait: %s", out)
			}

			sent, requests := w.Sent()
			if requests != 3 || len(sent) != 2502 {
				t.Errorf("%d users were sent in %d requests", len(sent), requests)
			}
			if gets, lists := w.Sim.Count(simulator.Get), w.Sim.Count(simulator.List); gets != 3 || lists != 0 {
				t.Errorf("verification took %d single reads and %d lists, want 3 and 0", gets, lists)
			}
			held := map[string]string{}
			for _, user := range w.Sim.Users(w.Key) {
				held[user.Username] = user.FullName
			}
			if len(held) != 2502 || held["twice"] != "First" || held[awkward] != "Åse" {
				t.Errorf("the API holds %d users, twice = %q, the awkward one = %q", len(held), held["twice"], held[awkward])
			}
			for _, username := range []string{users[7].Username, users[1500].Username, users[2400].Username} {
				if got := w.Results()[username]; got.Result != v1alpha1.ResultExisting || got.Reason != "" {
					t.Errorf("%s existed, and is recorded as %+v", username, got)
				}
			}
		})
	}
}

func TestBatch_NothingIsSentWhenThereIsNothingToDo(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("idle", testenv.Users("idle", 1200)...)
	w.Await("idle", v1alpha1.ReasonSucceeded)
	before := len(w.Sim.Requests())

	w.Edit("idle", func(b *v1alpha1.EmbeddedUserBatch) { b.Labels = map[string]string{"team": "a"} })
	w.halt()
	w.start()
	// Once a later batch is Ready, the operator has seen all earlier changes.
	w.CreateBatch("last")
	w.Await("last", v1alpha1.ReasonSucceeded)
	if after := w.Sim.Requests(); len(after) != before {
		t.Errorf("%d requests were sent", len(after)-before)
	}

	w.Edit("idle", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "appended"})
	})
	w.Await("idle", v1alpha1.ReasonSucceeded)
	w.Edit("idle", func(b *v1alpha1.EmbeddedUserBatch) {
		middle := append([]v1alpha1.UserRow{{Username: "inserted-1"}, {Username: "inserted-2"}}, b.Spec.Users[600:]...)
		b.Spec.Users = append(b.Spec.Users[:600:600], middle...)
	})
	w.Await("idle", v1alpha1.ReasonSucceeded)
	var got [][]string
	for _, r := range w.Sim.Requests()[before:] {
		got = append(got, r.Usernames)
	}
	w.Equal("requests", [][]string{{"appended"}, {"inserted-1", "inserted-2"}}, got)
	if total := len(w.Slices()); total != 2 {
		t.Errorf("1203 users are in %d slices", total)
	}
}

func TestBatch_BatchesDoNotDisturbEachOther(t *testing.T) {
	first := newWorld(t, simulator.Options{})
	second := first.another()
	for _, w := range []*world{first, second} {
		w.SetKey(w.Key)
		w.CreateBatch("same", testenv.Users(w.Namespace, 5)...)
		w.CreateBatch("other", append(testenv.Users("other", 3), testenv.Users(w.Namespace, 1)...)...)
	}
	for _, w := range []*world{first, second} {
		same, other := w.Await("same", v1alpha1.ReasonSucceeded), w.Await("other", v1alpha1.ReasonSucceeded)
		created := same.Status.Counts.Created + other.Status.Counts.Created
		existing := same.Status.Counts.Existing + other.Status.Counts.Existing
		if created != 8 || existing != 1 { // one user is in both lists
			t.Errorf("%s: %d created, %d existing", w.Namespace, created, existing)
		}
		if users := w.Sim.Users(w.Key); len(users) != 8 {
			t.Errorf("%s: the API holds %d users", w.Namespace, len(users))
		}
		for _, slice := range w.Slices() {
			if len(slice.OwnerReferences) != 1 || !*slice.OwnerReferences[0].Controller || !*slice.OwnerReferences[0].BlockOwnerDeletion {
				t.Errorf("%s has owners %+v", slice.Name, slice.OwnerReferences)
			}
		}
	}
}

func TestLong_TenThousandUsersTakeTenRequests(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	large := func(n int) string {
		var text strings.Builder
		text.WriteString("users:\n")
		for i := range n {
			fmt.Fprintf(&text, "  - {username: customer-%05d@example.com, fullName: Customer number %05d of many}\n", i, i)
		}
		return manifest("large", text.String())
	}
	w.refuses("10,001 users", large(10_001), "spec.users", "10000")
	if out, err := w.apply(large(10_000)); err != nil {
		t.Fatal(out)
	}
	status := w.Await("large", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 10_000, Created: 10_000}, status.Counts)
	if requests := w.Sim.Requests(); len(requests) != 10 {
		t.Errorf("%d requests were sent", len(requests))
	}
	if out, err := w.apply(large(10_000)); err != nil {
		t.Fatal(out)
	}
	w.CreateBatch("last")
	w.Await("last", v1alpha1.ReasonSucceeded)
	if requests := w.Sim.Requests(); len(requests) != 10 {
		t.Errorf("applying again sent %d requests", len(requests)-10)
	}
}

func TestBatch_RefusedByTheSchema(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	for name, tc := range map[string]struct {
		users string
		want  []string
	}{
		"more than 1,024 characters": {fmt.Sprintf("[{username: a}, {username: x%01024d}]", 0), []string{"spec.users[1].username"}},
		"a number without quotes":    {"[{username: a}, {username: b}, {username: 1e7}]", []string{"spec.users[2].username", "string"}},
	} {
		w.refuses(name, manifest("refused", "users: "+tc.users), tc.want...)
	}
	if out, err := w.Kubectl("", "apply", "--server-side", "--dry-run=server", "-k", "../../config/samples"); err != nil {
		t.Errorf("the samples: %s", out)
	}
	long := w.Batch(fmt.Sprintf("%064d", 0))
	w.Expect(w.Create(t.Context(), long)).To(gomega.MatchError(gomega.ContainSubstring("at most 63 characters")))
}

// TestBatch_DamagedSlicesDoNotStopIt removes what ties a slice to its batch.
func TestBatch_DamagedSlicesDoNotStopIt(t *testing.T) {
	for name, damage := range map[string]func(*v1alpha1.EmbeddedUserSlice){
		"a slice without its label": func(s *v1alpha1.EmbeddedUserSlice) { s.Labels = nil },
		"a slice without its owner": func(s *v1alpha1.EmbeddedUserSlice) { s.OwnerReferences = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			w.CreateBatch("damaged", testenv.Users("damaged", 1500)...)
			w.Await("damaged", v1alpha1.ReasonSucceeded)
			slice := w.Slices()[0]
			damage(&slice)
			w.Must(w.Update(t.Context(), &slice))
			_, before := w.Sent()
			w.Edit("damaged", func(b *v1alpha1.EmbeddedUserBatch) {
				b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "appended"})
			})
			status := w.Await("damaged", v1alpha1.ReasonSucceeded).Status
			if status.Counts.Total != 1501 || len(w.Sim.Users(w.Key)) != 1501 {
				t.Errorf("counts: %+v, the API holds %d users", status.Counts, len(w.Sim.Users(w.Key)))
			}
			repaired := w.Slices()[0]
			if status.Slices.Total != 2 || repaired.Labels[v1alpha1.LabelBatch] != "damaged" ||
				!metav1.IsControlledBy(&repaired, w.Load("damaged")) {
				t.Errorf("the slice was not repaired: %+v", status)
			}
			wantCreated := int32(1501)
			if slice.OwnerReferences == nil { // nothing proves any more for which batch its users were created
				wantCreated = 501
			}
			if _, requests := w.Sent(); status.Counts.Created != wantCreated || requests != before+1 {
				t.Errorf("counts %+v, %d requests", status.Counts, requests-before)
			}
		})
	}
}

// TestBatch_AnUnownedSliceIsLeftAlone creates slices that no batch controls.
func TestBatch_AnUnownedSliceIsLeftAlone(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	no := true
	for name, owners := range map[string][]metav1.OwnerReference{
		"nobodys": nil,
		"gone": {
			{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: v1alpha1.EmbeddedUserBatchKind, Name: "last", UID: "another", Controller: &no},
		},
	} {
		w.MustCreate(&v1alpha1.EmbeddedUserSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: w.Namespace, Name: name, Labels: map[string]string{v1alpha1.LabelBatch: "last"}, OwnerReferences: owners,
			},
			Spec: v1alpha1.EmbeddedUserSliceSpec{APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: "alloy"}, Users: testenv.Users(name, 2)},
		})
	}
	w.CreateBatch("last", v1alpha1.User{Username: "x"})
	w.Await("last", v1alpha1.ReasonSucceeded)
	if sent, _ := w.Sent(); len(sent) != 1 {
		t.Errorf("sent: %q", sent)
	}
	for _, slice := range w.Slices() {
		if slice.Name == "nobodys" && (slice.Status.ObservedGeneration != -1 || slice.Generation != 1) {
			t.Errorf("the slice was changed: %+v", slice)
		}
	}
}

// TestLong_AListThatLeavesNoRoomForItsStatus creates the largest batch that etcd accepts.
func TestLong_AListThatLeavesNoRoomForItsStatus(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	users := testenv.Users("huge", 9_000)
	for i := range users {
		users[i].FullName = strings.Repeat("x", 126)
	}
	const limit = 3 << 19 // etcd's limit for a request
	for encoded := limit + 1; encoded > limit; {
		users = users[:len(users)-10]
		text, err := json.Marshal(w.Batch("huge", users...))
		w.Must(err)
		encoded = len(text)
	}
	batch := w.Batch("huge", users...)
	for w.Create(t.Context(), batch) != nil { // remove one user of 170 bytes at a time until etcd accepts the batch
		if users = users[:len(users)-1]; len(users) < 5_000 {
			t.Fatal("no list was accepted")
		}
		batch = w.Batch("huge", users...)
	}
	w.Eventually(func() int { return len(w.Sim.Users(w.Key)) }).Should(gomega.Equal(len(batch.Spec.Users)))
	w.Eventually(func() string { out, _ := w.Kubectl("", "get", "events"); return out }, testenv.Patience, time.Second).
		Should(gomega.And(gomega.ContainSubstring("StatusTooLarge"), gomega.ContainSubstring("split the list into two batches")), "no event")
	w.Edit("huge", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = b.Spec.Users[:1000] })
	w.Await("huge", v1alpha1.ReasonSucceeded)
}
