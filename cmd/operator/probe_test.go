// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestProbe_WaitsUntilTheOperatorIsReady(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	if err := probe(t.Context(), server.URL+"/readyz"); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

func TestProbe_GivesUpAndSaysWhy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 1 {
			cancel()
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	if err := probe(ctx, server.URL); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Error(err)
	}
}

func TestAsk_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	missing := ask(t.Context(), server.URL)
	server.Close()
	for says, err := range map[string]error{
		"404 Not Found":      missing,
		"connection refused": ask(t.Context(), server.URL),
		"invalid URL":        ask(t.Context(), "http://%"),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}
