// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

func TestRunning_EditsWhileARequestRuns(t *testing.T) {
	user := func(name, fullName string) v1alpha1.User { return v1alpha1.User{Username: name, FullName: fullName} }
	before := []v1alpha1.User{user("stays", ""), user("goes", ""), user("refused", "A")}
	for name, tc := range map[string]struct {
		after   []v1alpha1.User
		counts  v1alpha1.UserCounts
		results map[string]v1alpha1.Result
	}{
		"a user is added": {
			append([]v1alpha1.User{user("new", "")}, before...), v1alpha1.UserCounts{Total: 4, Created: 3, Invalid: 1},
			map[string]v1alpha1.Result{"stays": "Created", "goes": "Created", "new": "Created", "refused": "Invalid"},
		},
		"a user is removed": {
			[]v1alpha1.User{before[0], before[2]}, v1alpha1.UserCounts{Total: 2, Created: 1, Invalid: 1},
			map[string]v1alpha1.Result{"stays": "Created", "refused": "Invalid"},
		},
		"an invalid user is corrected": {
			[]v1alpha1.User{before[0], before[1], user("corrected", "A")}, v1alpha1.UserCounts{Total: 3, Created: 3},
			map[string]v1alpha1.Result{"stays": "Created", "goes": "Created", "corrected": "Created"},
		},
		"a name is changed": {
			[]v1alpha1.User{user("stays", "B"), before[1], before[2]}, v1alpha1.UserCounts{Total: 3, Created: 2, Invalid: 1},
			map[string]v1alpha1.Result{"stays": "Created", "goes": "Created", "refused": "Invalid"},
		},
		"everybody is removed": {nil, v1alpha1.UserCounts{}, map[string]v1alpha1.Result{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Reject: func(username string) bool { return username == "refused" }})
			applied, release := w.Hold()
			w.SetKey(w.Key)
			w.CreateBatch("edited", before...)
			<-applied
			w.Edit("edited", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Rows(tc.after...) })
			w.Eventually(func() int64 { return w.Load("edited").Status.ObservedGeneration }).Should(gomega.Equal(int64(2)))
			release()
			w.Eventually(func() v1alpha1.UserCounts { return w.Load("edited").Status.Counts }).Should(gomega.Equal(tc.counts))
			got := map[string]v1alpha1.Result{}
			w.Eventually(func() string {
				clear(got)
				for username, result := range w.Results() {
					got[username] = result.Result
				}
				return cmp.Diff(tc.results, got)
			}).Should(gomega.BeEmpty())
			sent, _ := w.Sent()
			times := map[string]int{}
			for _, username := range sent {
				if times[username]++; times[username] > 1 {
					t.Errorf("%s was sent %d times", username, times[username])
				}
			}
		})
	}
}

func TestRunning_ARecreatedBatchStartsAnew(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	applied, release := w.Hold()
	w.SetKey(w.Key)
	w.CreateBatch("again", testenv.Users("old", 3)...)
	<-applied
	first := w.Load("again")
	w.Must(w.Delete(t.Context(), first))
	w.CreateBatch("again", testenv.Users("new", 2)...)
	release()
	status := w.Await("again", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 2, Created: 2}, status.Counts)
	for _, slice := range w.Slices() { // those of the deleted batch remain, because envtest has no garbage collector
		owned := slice.OwnerReferences[0].UID == w.Load("again").UID
		for _, result := range slice.Status.Results {
			if strings.HasPrefix(result.Username, "old") == owned {
				t.Errorf("%s is in %s", result.Username, slice.Name)
			}
		}
	}
}

// TestRunning_ABadKeyDoesNotSlowAGoodOne creates more batches with a bad key than there are workers.
func TestRunning_ABadKeyDoesNotSlowAGoodOne(t *testing.T) {
	for name, fault := range map[string]simulator.Fault{
		"a slow key":      {Delay: 5 * time.Second},
		"a throttled key": {Status: 429},
		"a rejected key":  {Status: 401},
		"a failing key":   {Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{Keys: []string{"bad"}})
			fault.Match = func(r simulator.Request) bool { return strings.HasPrefix(r.Usernames[0], "bad") }
			w.Sim.Inject(fault)
			w.SetKey(w.Key)
			w.MustCreate(w.secret("bad", "apiKey", "bad"))
			for i := range 12 {
				bad := w.Batch(fmt.Sprintf("bad-%d", i), testenv.Users(fmt.Sprintf("bad-%d", i), 2)...)
				bad.Spec.APIKeySecretRef.Name = "bad"
				w.MustCreate(bad)
			}
			w.Eventually(func() int { _, requests := w.Sent(); return requests }).Should(gomega.BeNumerically(">", 0))
			w.CreateBatch("good", testenv.Users("good", 1500)...)
			w.Await("good", v1alpha1.ReasonSucceeded)
			w.Eventually(func() int32 { return w.Load("bad-0").Status.Counts.Pending }).Should(gomega.BeEquivalentTo(2))
		})
	}
}
