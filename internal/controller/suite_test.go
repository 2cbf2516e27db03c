// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var plane *testenv.ControlPlane

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{}, func(started *testenv.ControlPlane) error { plane = started; return nil })
}

// world is a test's world, with an operator in this process that watches only the world's namespace.
type world struct {
	*testenv.World
	options sender.Options
	timeout time.Duration
	memory  int64         // of a list, in bytes; 0 for the default
	poll    time.Duration // of Secrets; 0 to watch them
	retry   time.Duration // until rejected users are sent a second time; 0 for the default
	resync  time.Duration // of batches that do not say so themselves; 0 for never
	halt    func()        // stops the operator as SIGTERM does

	forbidden atomic.Pointer[func(*http.Request) bool]
	restored  atomic.Bool // see forgetting
	watches   watches
}

var worlds atomic.Int64

// newWorld returns a world with a running operator and short delays.
func newWorld(t *testing.T, options simulator.Options) *world {
	t.Helper()
	t.Parallel()
	return makeWorld(t, options)
}

// another returns a second world in the same test.
func (w *world) another() *world {
	w.Helper()
	return makeWorld(w.TB, simulator.Options{})
}

func makeWorld(t testing.TB, options simulator.Options) *world {
	t.Helper()
	w := &world{
		World: testenv.NewWorld(t, plane, fmt.Sprintf("test-%d", worlds.Add(1)), options),
		options: sender.Options{
			RequestsPerKey: 4, SecondRead: 200 * time.Millisecond, NoticeDelay: 200 * time.Millisecond,
			BackOff: sender.BackOffs{
				API: sender.BackOff{Min: 200 * time.Millisecond, Max: time.Second}, User: sender.BackOff{Min: 200 * time.Millisecond, Max: time.Second},
				Key: sender.BackOff{Min: time.Hour, Max: time.Hour}, Refused: sender.BackOff{Min: time.Second, Max: time.Second},
			},
		},
		timeout: 10 * time.Second,
	}
	w.start()
	t.Cleanup(func() { w.halt() })
	return w
}

// start runs an operator for the world's namespace.
func (w *world) start() {
	w.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	config := rest.CopyConfig(plane.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return forbidding{w, next} })
	operator := testenv.InProcess{
		Config: config, Namespace: w.Namespace, AlloyURL: w.URL, Timeout: w.timeout, Sender: w.options, MaxListMemory: w.memory,
		SecretPoll: w.poll, Resync: w.resync, RetryDelay: w.retry,
	}
	mgr, err := operator.NewManager(ctx)
	w.Must(err)
	w.halt = func() { stop(); <-stopped }
	go func() {
		defer close(stopped)
		if err := mgr.Start(ctx); err != nil {
			w.Error("the manager failed:", err)
		}
	}()
}

// manifest returns the manifest of a batch with a field.
func manifest(name, field string) string {
	return "apiVersion: embedded.runalloy.com/v1alpha1\nkind: EmbeddedUserBatch\nmetadata: {name: " + name + "}\n" +
		"spec:\n  apiKeySecretRef: {name: alloy}\n  " + field + "\n"
}

// refuses checks that the API server refuses a manifest with an error that contains the parts.
func (w *world) refuses(what, manifest string, parts ...string) {
	w.Helper()
	if out, err := w.apply(manifest); err == nil || !contains(out, parts...) {
		w.Errorf("%s: %v, %s", what, err, out)
	}
}

func (w *world) apply(manifest string) (string, error) {
	return w.Kubectl(manifest, "apply", "--server-side", "-f", "-")
}

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
