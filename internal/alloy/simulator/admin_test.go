// SPDX-License-Identifier: Apache-2.0

package simulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestAdmin_TellsWhatTheSimulatorHolds sends users under two keys and asks about them without a key.
func TestAdmin_TellsWhatTheSimulatorHolds(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Keys: []string{"one", "two"}})
	sim.Inject(simulator.Fault{Operation: simulator.Create, Status: http.StatusServiceUnavailable, Times: 1})
	for _, key := range []string{"one", "one", "two"} {
		send(t, sim, key, `{"users":[{"username":"ann"},{"username":"bob"}]}`)
	}
	var requests []simulator.Request
	get(t, sim, "/simulator/requests", &requests)
	both := []string{"ann", "bob"}
	want := []simulator.Request{
		{Operation: simulator.Create, Usernames: both, Status: http.StatusServiceUnavailable},
		{Operation: simulator.Create, Usernames: both, Created: both, Answered: true, Status: http.StatusOK},
		{Operation: simulator.Create, Usernames: both, Created: both, Answered: true, Status: http.StatusOK},
	}
	if diff := cmp.Diff(want, requests, cmpopts.IgnoreUnexported(simulator.Request{})); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	var usernames []string
	get(t, sim, "/simulator/users", &usernames)
	if diff := cmp.Diff([]string{"ann", "bob", "ann", "bob"}, usernames); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	var stats simulator.Stats
	get(t, sim, "/simulator/stats", &stats)
	if diff := cmp.Diff(simulator.Stats{Requests: map[simulator.Operation]int{simulator.Create: 3}, Users: 4}, stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestAdmin_ChangesUsersOutOfBand deletes a user and renames another one, without a key, and looks at the list.
func TestAdmin_ChangesUsersOutOfBand(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Keys: []string{"key"}})
	sim.Seed("key", "ann", "bob", "eve")
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodDelete, "/simulator/users?username=ann", nil),
		httptest.NewRequest(http.MethodPut, "/simulator/users?username=bob&fullName=Bob+B", nil),
	} {
		sim.ServeHTTP(httptest.NewRecorder(), r)
	}
	if got, want := list(t, sim), "bob (Bob B), eve ()"; got != want {
		t.Errorf("the list is %s, want %s", got, want)
	}
	sim.Delete("key", "eve", "nobody")
	if got, want := list(t, sim), "bob (Bob B)"; !sim.Rename("key", "bob", "Bob B") || sim.Rename("key", "eve", "") || got != want {
		t.Errorf("the list is %s, want %s", got, want)
	}
}

func TestList_IsPartialOrLags(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Keys: []string{"key"}})
	sim.Seed("key", "ann", "bob", "eve")
	for name, tc := range map[string]struct {
		options simulator.ListOptions
		want    string
	}{
		"all":       {simulator.ListOptions{}, "ann (), bob (), eve ()"},
		"the first": {simulator.ListOptions{First: 2}, "ann (), bob ()"},
		"lagging":   {simulator.ListOptions{Lag: time.Hour}, ""},
		"a share":   {simulator.ListOptions{Share: 1}, ""},
	} {
		if sim.SetList(tc.options); list(t, sim) != tc.want {
			t.Errorf("%s: the list is %s", name, list(t, sim))
		}
	}
	if n := sim.Count(simulator.List); n < 4 {
		t.Errorf("%d lists were counted", n)
	}
}

// list returns the users that GET /users shows, each with its full name.
func list(t *testing.T, sim http.Handler) string {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, "/users", nil)
	request.Header.Set("Authorization", "Bearer key")
	request.Header.Set("X-Api-Version", "2025-09")
	recorder := httptest.NewRecorder()
	sim.ServeHTTP(recorder, request)
	var decoded struct {
		Data []struct{ UserID, Username, FullName string }
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &decoded); err != nil {
		t.Fatal(err)
	}
	var users []string
	for _, user := range decoded.Data {
		if user.UserID == "" {
			t.Errorf("%s has no userId", user.Username)
		}
		users = append(users, user.Username+" ("+user.FullName+")")
	}
	return strings.Join(users, ", ")
}

func send(t *testing.T, sim http.Handler, key, body string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/users/batch", strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("X-Api-Version", "2025-09")
	sim.ServeHTTP(httptest.NewRecorder(), request)
}

func get(t *testing.T, sim http.Handler, path string, into any) {
	t.Helper()
	recorder := httptest.NewRecorder()
	sim.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	if strings.Contains(recorder.Body.String(), "one") {
		t.Errorf("%s tells a key: %s", path, recorder.Body)
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), into); err != nil {
		t.Fatalf("%s answers %s: %v", path, recorder.Body, err)
	}
}
