// SPDX-License-Identifier: Apache-2.0

package alloy_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// TestListUsers_HasATimeoutOfItsOwn lets a list take longer than other requests may, and cancels one that never ends.
func TestListUsers_HasATimeoutOfItsOwn(t *testing.T) {
	t.Parallel()
	const timeout = 50 * time.Millisecond
	for name, tc := range map[string]struct {
		listTimeout time.Duration
		cancel      bool
		takes       time.Duration
		want        alloy.Outcome
	}{
		"longer than others":    {listTimeout: time.Minute, takes: 3 * timeout, want: alloy.Listed},
		"longer than it may":    {listTimeout: timeout, takes: time.Hour, want: alloy.Unavailable},
		"until it is canceled":  {listTimeout: time.Hour, takes: time.Hour, cancel: true, want: alloy.Unavailable},
		"as long as by default": {takes: 3 * timeout, want: alloy.Listed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write([]byte(`{"data":[{"userId":"1","username":"a"}`))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(tc.takes):
				case <-r.Context().Done():
				}
				_, _ = w.Write([]byte(`]}`))
			}))
			t.Cleanup(server.Close)
			client, err := alloy.New(alloy.Options{BaseURL: server.URL, AllowInsecure: true, Timeout: timeout, ListTimeout: tc.listTimeout})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.cancel {
				time.AfterFunc(timeout, cancel)
			}
			if got := client.ListUsers(ctx, key(t, "k"), func(alloy.ListedUser) {}); got.Outcome != tc.want {
				t.Errorf("%+v, want %s", got, tc.want)
			}
		})
	}
}
