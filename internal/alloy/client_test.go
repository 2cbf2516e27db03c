// SPDX-License-Identifier: Apache-2.0

package alloy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestNew_OnlyTakesURLsThatAKeyMayBeSentTo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		url      string
		insecure bool
		want     string // part of the error; empty for none
	}{
		"the default":          {url: alloy.DefaultBaseURL},
		"a slash at the end":   {url: "https://example.com/"},
		"a path":               {url: "https://example.com/alloy"},
		"http when allowed":    {url: "http://127.0.0.1:1", insecure: true},
		"http":                 {url: "http://example.com", want: "must be https"},
		"another scheme":       {url: "ftp://example.com", insecure: true, want: `not "ftp"`},
		"no host":              {url: "https:///x", want: "absolute"},
		"no scheme":            {url: "example.com", want: "absolute"},
		"nothing":              {url: "", want: "absolute"},
		"a user":               {url: "https://a:b@example.com", want: "no user"},
		"a query":              {url: "https://example.com?a=b", want: "query"},
		"a fragment":           {url: "https://example.com#a", want: "fragment"},
		"an empty fragment":    {url: "https://example.com/#", want: "fragment"},
		"an empty query":       {url: "https://example.com?", want: "query"},
		"something unreadable": {url: "https://a b", want: "absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := alloy.New(alloy.Options{BaseURL: tc.url, AllowInsecure: tc.insecure, Timeout: time.Second})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestClient_SendsWhatTheAPINeeds(t *testing.T) {
	t.Parallel()
	client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, want := range map[string]string{
			"Authorization": "Bearer secret", "X-Api-Version": "2025-09", "Content-Type": "application/json", "User-Agent": "test",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		_, _ = io.WriteString(w, `{"message":"success"}`)
	}))
	client.CreateUsers(t.Context(), key(t, " secret\n"), []users.User{{Username: "a"}})
}

func TestClient_DoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for name, location := range map[string]string{
		"another server": other.URL, "the same server": "/elsewhere", "no Location": "", "half an address": "http://[::1",
		"a bad escape": "%zz", "a bad port": "http://a:b",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
				client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/elsewhere" {
						elsewhere.Add(1)
					}
					if location != "" {
						w.Header()["Location"] = []string{location}
					}
					w.WriteHeader(status)
				}))
				created := client.CreateUsers(t.Context(), key(t, "secret"), []users.User{{Username: "a"}})
				if created.Outcome != alloy.Redirected || created.StatusCode != status {
					t.Errorf("create, %d: %+v", status, created)
				}
				for _, got := range []alloy.Answer{
					client.GetUser(t.Context(), key(t, "secret"), "a"),
					client.ListUsers(t.Context(), key(t, "secret"), func(alloy.ListedUser) {}),
				} {
					if got.Outcome != alloy.Inconclusive || got.StatusCode != status {
						t.Errorf("read, %d: %+v", status, got)
					}
				}
			}
		})
	}
	t.Cleanup(func() {
		if n := elsewhere.Load(); n != 0 {
			t.Errorf("%d requests went elsewhere", n)
		}
	})
}

func TestClient_NoAnswer(t *testing.T) {
	t.Parallel()
	batch := []users.User{{Username: "a"}}
	cut := newClient(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if got := cut.CreateUsers(t.Context(), key(t, "k"), batch); got.Outcome != alloy.Unavailable || !got.InDoubt() || got.StatusCode != 0 {
		t.Errorf("a cut connection: %+v", got)
	}
	offline, err := alloy.New(alloy.Options{BaseURL: "http://127.0.0.1:1", AllowInsecure: true, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	got := offline.GetUser(t.Context(), key(t, "k"), "somebody")
	if got.Outcome != alloy.Deferred || got.InDoubt() || strings.Contains(got.Explain(), "somebody") {
		t.Errorf("no connection: %+v", got)
	}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices that the client is gone only behind the body
		<-r.Context().Done()
	}))
	defer server.Close()
	slow, err := alloy.New(alloy.Options{BaseURL: server.URL, AllowInsecure: true, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	got = slow.CreateUsers(t.Context(), key(t, "k"), batch)
	if got.Outcome != alloy.Unavailable || !strings.Contains(got.Explain(), "too long") {
		t.Errorf("a timeout: %+v", got)
	}
}

// TestClient_AnyUsernameSurvives sends usernames through JSON and through a path, and looks what the server made of them.
func TestClient_AnyUsernameSurvives(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Keys: []string{"k"}})
	client := newClient(t, sim)
	k := key(t, "k")
	check := func(username string) error {
		answer := client.CreateUsers(t.Context(), k, []users.User{{Username: username}})
		if answer.Outcome != alloy.Accepted && answer.Outcome != alloy.AllExist {
			return fmt.Errorf("creating %q: %+v", username, answer)
		}
		if answer = client.GetUser(t.Context(), k, username); answer.Outcome != alloy.Found && username != "." && username != ".." {
			return fmt.Errorf("getting %q: %+v", username, answer)
		}
		return nil
	}
	for _, username := range []string{
		".", "..", "a/b", "%2F", "a?b", "a#b", "a+b", "a b", "ä日本", "../users", "batch", "\\", `"`, "<&>", ";", "a%",
	} {
		if err := check(username); err != nil {
			t.Error(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if err := check(rapid.StringN(1, 40, 256).Draw(t, "username")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestClient_AnswersDoNotShowTheKey(t *testing.T) {
	t.Parallel()
	const value = "very-secret-key"
	client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		// The key stands across the place where a long message is cut.
		sent := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, _ = fmt.Fprintf(w, `{"message":"%s%s is no key"}`, strings.Repeat("x", 190), sent)
	}))
	answer := client.CreateUsers(t.Context(), key(t, value), []users.User{{Username: "a"}})
	if strings.Contains(answer.Explain(), "very") || len([]rune(answer.Message)) > 200 {
		t.Errorf("explanation: %s", answer.Explain())
	}
}
