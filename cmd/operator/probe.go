// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// probePatience is how long --probe asks. A pod that has just started is ready sooner.
	probePatience = time.Minute
	probeInterval = 200 * time.Millisecond
	probeTimeout  = 5 * time.Second // of one request
)

// probe asks a URL until it answers 200. When it gives up, its error says why the last complete try failed.
func probe(ctx context.Context, url string) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, probeInterval, probePatience, true, func(ctx context.Context) (bool, error) {
		err := ask(ctx, url)
		if ctx.Err() == nil || last == nil {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("--probe gave up: %w", last)
	}
	return nil
}

func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking: %w", err) // err has the URL
	}
	if err := response.Body.Close(); err != nil {
		return fmt.Errorf("reading what %s answers: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking: %s answers %s", url, response.Status)
	}
	return nil
}
