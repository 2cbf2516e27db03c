// SPDX-License-Identifier: Apache-2.0

package alloy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestClient_ReadsEveryAnswerToACreationThroughTheSameLimit(t *testing.T) {
	t.Parallel()
	batch := make([]users.User, alloy.MaxBatch)
	echo := make([]map[string]string, len(batch))
	for i := range batch { // as long as a user may be; each character takes six bytes
		name := strings.Repeat("\u2028", 252) + fmt.Sprintf("%04d", i)
		batch[i] = users.User{Username: name, FullName: name}
		echo[i] = map[string]string{"username": name, "fullName": name}
	}
	for name, tc := range map[string]struct {
		status int
		text   string
		want   alloy.Outcome
	}{
		"a success":         {200, "success", alloy.Accepted},
		"all exist":         {400, "All users already exist", alloy.AllExist},
		"none valid":        {400, "No valid users provided", alloy.NoneValid},
		"a refusal":         {422, "no", alloy.Refused},
		"a wrong key":       {401, "no", alloy.Unauthorized},
		"a gateway's error": {503, "no", alloy.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_ = json.NewEncoder(w).Encode(map[string]any{"message": tc.text, "invalidUsers": echo})
			}))
			got := client.CreateUsers(t.Context(), key(t, "secret"), batch)
			if got.Outcome != tc.want || got.Message != tc.text || tc.want == alloy.Accepted && len(got.Named) != len(batch) {
				t.Errorf("%s %d %q, %d users named", got.Outcome, got.StatusCode, got.Message, len(got.Named))
			}
		})
	}
}

// TestClient_AnswersThatBreakOff has answers end in the middle, by a cut connection or by the client's own time limit.
func TestClient_AnswersThatBreakOff(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status       int
		body         string
		create, read alloy.Outcome
	}{
		"a success":     {200, `{"message":"success","data":[{"username":"a"},`, alloy.Unavailable, alloy.Unavailable},
		"nothing of it": {200, ``, alloy.Unavailable, alloy.Unavailable},
		"a 400":         {400, `{"message":"All users`, alloy.Unavailable, alloy.Inconclusive},
		"a 500":         {500, `{"message":`, alloy.Unavailable, alloy.Unavailable},
		"a 401":         {401, `{`, alloy.Unauthorized, alloy.Unauthorized},
		"a 403":         {403, `{`, alloy.Forbidden, alloy.Inconclusive},
		"a 413":         {413, `{`, alloy.TooLarge, alloy.Inconclusive},
	} {
		for end, slow := range map[string]bool{"cut": false, "slow": true} {
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client is gone
					w.WriteHeader(tc.status)
					_, _ = io.WriteString(w, tc.body)
					_ = http.NewResponseController(w).Flush()
					if slow {
						<-r.Context().Done()
					}
					panic(http.ErrAbortHandler)
				}))
				t.Cleanup(server.Close)
				client, err := alloy.New(alloy.Options{
					BaseURL: server.URL, AllowInsecure: true, Timeout: 300 * time.Millisecond, ListTimeout: 300 * time.Millisecond,
				})
				if err != nil {
					t.Fatal(err)
				}
				words := map[bool]string{false: "cut off", true: "took too long"}[slow]
				created := client.CreateUsers(t.Context(), key(t, "secret"), []users.User{{Username: "a"}})
				if created.Outcome != tc.create || !created.Incomplete || created.MayBeRunning() != created.InDoubt() ||
					!strings.Contains(created.Message, words) {
					t.Errorf("create: %+v", created)
				}
				for _, got := range []alloy.Answer{
					client.GetUser(t.Context(), key(t, "secret"), "a"),
					client.ListUsers(t.Context(), key(t, "secret"), func(alloy.ListedUser) {}),
				} {
					if got.Outcome != tc.read || !strings.Contains(got.Message, words) {
						t.Errorf("read: %+v", got)
					}
				}
			})
		}
	}
}

// TestClient_ASwitchOfProtocolsEnds has a server answer 101, after which the body is the connection, without an end.
func TestClient_ASwitchOfProtocolsEnds(t *testing.T) {
	t.Parallel()
	client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_ = buffer.Flush()
	}))
	answers := make(chan alloy.Answer, 1)
	k := key(t, "secret")
	go func() { answers <- client.CreateUsers(context.Background(), k, []users.User{{Username: "a"}}) }()
	select {
	case got := <-answers:
		if got.Outcome != alloy.Unavailable || got.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("answer %+v", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("the request has no end")
	}
}

func TestClient_EndlessAnswersEnd(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Keys: []string{"k"}})
	sim.Inject(simulator.Fault{Endless: true})
	client := newClient(t, sim)
	created := client.CreateUsers(t.Context(), key(t, "k"), []users.User{{Username: "a"}})
	if created.Outcome != alloy.Unavailable || !created.MayBeRunning() {
		t.Errorf("create: %+v", created)
	}
	if got := client.GetUser(t.Context(), key(t, "k"), "a"); got.Outcome != alloy.Inconclusive {
		t.Errorf("get: %+v", got)
	}
	if got := client.ListUsers(t.Context(), key(t, "k"), func(alloy.ListedUser) {}); got.Outcome != alloy.Inconclusive {
		t.Errorf("list: %+v", got)
	}
}

// TestClient_EndlessAnswersTakeLittleMemory counts what is allocated, so it does not run beside other tests.
func TestClient_EndlessAnswersTakeLittleMemory(t *testing.T) {
	sim := simulator.New(simulator.Options{Keys: []string{"k"}})
	sim.Inject(simulator.Fault{Endless: true})
	client := newClient(t, sim)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answer := client.CreateUsers(t.Context(), key(t, "k"), []users.User{{Username: "a"}})
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; answer.Outcome != alloy.Unavailable || allocated > 64<<20 {
		t.Errorf("%d bytes were allocated for %+v", allocated, answer)
	}
}
