// SPDX-License-Identifier: Apache-2.0

// Package testenv runs what tests, benchmarks and the demo need: a control plane with the operator's CRDs, the operator and the
// simulator as processes, kubectl, and for each test a namespace with an account in a simulated Alloy API.
//
// Functions that return errors serve programs and tests. [World] wraps them for tests.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// Patience bounds every wait, with a wide margin for a busy machine.
	Patience = 90 * time.Second
	// interval is the time between two tries.
	interval = 20 * time.Millisecond
	// tryTimeout bounds one try, because a connection may hang while the API server restarts.
	tryTimeout = 10 * time.Second
)

// Await calls try until it returns nil. It gives up after Patience, and at once if the API server refuses an object.
func Await(ctx context.Context, try func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, interval, Patience, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		last = try(ctx)
		return last == nil || refused(last), nil
	})
	if err != nil {
		return fmt.Errorf("gave up: %w", errors.Join(err, last))
	}
	return last
}

// refused reports whether trying again cannot help.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err)
}

// Root returns the path of a file of the repository.
func Root(elements ...string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(append([]string{filepath.Dir(file), "..", ".."}, elements...)...)
}

// Fetch writes the body of a GET request.
func Fetch(ctx context.Context, url string, into io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking: %w", err) // err has the URL
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking: %s answers %s", url, response.Status)
	}
	if _, err := io.Copy(into, response.Body); err != nil {
		return fmt.Errorf("reading what %s answers: %w", url, err)
	}
	return nil
}

// freeAddresses returns n local addresses that no program listens on.
func freeAddresses(ctx context.Context, n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer listener.Close() //nolint:errcheck // never used
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}
