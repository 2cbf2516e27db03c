// SPDX-License-Identifier: Apache-2.0

package alloy_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// validated wraps a handler so that every request and every answer is checked against openapi.yaml.
func validated(t *testing.T, next http.Handler) http.Handler {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	document.Servers = nil // the test's server has another address
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true,
		AuthenticationFunc: func(_ context.Context, input *openapi3filter.AuthenticationInput) error {
			if !strings.HasPrefix(input.RequestValidationInput.Request.Header.Get("Authorization"), "Bearer ") {
				t.Error("a request has no bearer key")
			}
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL.EscapedPath(), err)
			return
		}
		input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			t.Errorf("request: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		answer := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: input, Status: recorded.Code, Header: recorded.Header(), Options: options,
		}
		if err := openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(recorded.Body.Bytes())); err != nil {
			t.Errorf("answer: %v", err)
		}
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes())
	})
}

// newClient makes a client of a server of its own.
func newClient(t *testing.T, handler http.Handler) *alloy.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := alloy.New(alloy.Options{
		BaseURL: server.URL + "/", AllowInsecure: true, APIVersion: alloy.DefaultAPIVersion,
		Timeout: 10 * time.Second, UserAgent: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func key(t *testing.T, value string) alloy.Key {
	t.Helper()
	k, err := alloy.ParseKey([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestContract_ClientAndSimulatorFollowTheDescription(t *testing.T) {
	t.Parallel()
	for _, form := range []simulator.InvalidUsersForm{simulator.InvalidUsersEmpty, simulator.InvalidUsersNull, simulator.InvalidUsersAbsent} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			sim := simulator.New(simulator.Options{
				Keys: []string{"good"}, InvalidUsers: form,
				Reject: func(username string) bool { return username == "refused" },
			})
			client := newClient(t, validated(t, sim))
			good, bad := key(t, "good"), key(t, "bad")
			u := func(names ...string) []users.User {
				list := make([]users.User, len(names))
				for i, name := range names {
					list[i] = users.User{Username: name, FullName: "Name of " + name}
				}
				return list
			}
			outcome := func(name string, got alloy.Answer, want alloy.Outcome) {
				t.Helper()
				if got.Outcome != want {
					t.Errorf("%s: %+v, want %s", name, got, want)
				}
			}
			outcome("new users", client.CreateUsers(t.Context(), good, u("a", "b@example.com", "user_12345")), alloy.Accepted)
			outcome("existing users", client.CreateUsers(t.Context(), good, u("a")), alloy.AllExist)
			outcome("a refused user", client.CreateUsers(t.Context(), good, u("refused")), alloy.NoneValid)
			outcome("a wrong key", client.CreateUsers(t.Context(), bad, u("c")), alloy.Unauthorized)
			outcome("a user that exists", client.GetUser(t.Context(), good, "b@example.com"), alloy.Found)
			outcome("a user that does not", client.GetUser(t.Context(), good, "nobody"), alloy.Absent)
			outcome("a userId in place of a username", client.GetUser(t.Context(), good, sim.Users("good")[0].ID), alloy.Inconclusive)
			outcome("a wrong key for a user", client.GetUser(t.Context(), bad, "a"), alloy.Unauthorized)
			outcome("a wrong key for the list", client.ListUsers(t.Context(), bad, func(alloy.ListedUser) {}), alloy.Unauthorized)

			mixed := client.CreateUsers(t.Context(), good, u("a", "new", "refused"))
			outcome("a mixed batch", mixed, alloy.Accepted)
			if _, a := mixed.Named["a"]; !a || len(mixed.Named) != 2 || mixed.Unmatched != 0 || mixed.Nameless != 0 {
				t.Errorf("a mixed batch: %+v", mixed)
			}
			found := client.GetUser(t.Context(), good, "b@example.com").User
			if found.UserID == "" || found.FullName != "Name of b@example.com" {
				t.Errorf("the user that exists: %+v", found)
			}
			outcome("another full name", client.UpdateUser(t.Context(), good, found.UserID, "B"), alloy.Updated)
			if got := client.GetUser(t.Context(), good, "b@example.com").User.FullName; got != "B" {
				t.Errorf("the full name is %q", got)
			}
			outcome("another full name of nobody", client.UpdateUser(t.Context(), good, "nobody", "B"), alloy.Absent)
			outcome("another full name with a wrong key", client.UpdateUser(t.Context(), bad, found.UserID, "C"), alloy.Unauthorized)

			listed := 0
			outcome("the list", client.ListUsers(t.Context(), good, func(alloy.ListedUser) { listed++ }), alloy.Listed)
			if listed != 4 {
				t.Errorf("%d users were listed", listed)
			}
		})
	}
}

// TestContract_SimulatorsOtherCalls are the documented calls that the operator does not make yet.
func TestContract_SimulatorsOtherCalls(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Keys: []string{"good"}})
	sim.Seed("good", "a", "b")
	server := httptest.NewServer(validated(t, sim))
	defer server.Close()
	for _, tc := range []struct {
		method, user, body string
		want               int
		holds              string
	}{
		{http.MethodPut, "a", `{"fullName":"A"}`, 200, `"fullName":"A"`},
		{http.MethodPut, "a", `{"username":"c"}`, 200, `"username":"c"`},
		{http.MethodPut, "c", `{"username":"b"}`, 400, "exists"},
		{http.MethodPut, "a", `{}`, 404, "not found"},
		{http.MethodDelete, "c", "", 200, `"success":true`},
		{http.MethodDelete, "c", "", 404, "not found"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tc.method, server.URL+"/users/"+tc.user, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer good")
		request.Header.Set("X-Api-Version", "2025-09")
		request.Header.Set("Content-Type", "application/json")
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != tc.want || !strings.Contains(string(body), tc.holds) {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.user, tc.body, response.StatusCode, body)
		}
	}
	if left := sim.Users("good"); len(left) != 1 || left[0].Username != "b" {
		t.Errorf("left: %+v", left)
	}
}
