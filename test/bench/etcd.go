// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// fsync describes how long etcd waited for the disk. Every write waits for one fsync, so on a slow or busy disk both the cases and
// the loops that write slices mainly measure the disk.
func (w *world) fsync(ctx context.Context) (string, error) {
	var text bytes.Buffer
	if err := testenv.Fetch(ctx, w.plane.Etcd().URL.String()+"/metrics", &text); err != nil {
		return "", fmt.Errorf("reading etcd's metrics: %w", err)
	}
	metrics, err := parseMetrics(text.Bytes())
	if err != nil {
		return "", err
	}
	waits, err := only(metrics, "etcd_disk_wal_fsync_duration_seconds")
	if err != nil {
		return "", err
	}
	histogram, within := waits.GetHistogram(), 0.0
	for _, bucket := range histogram.GetBucket() {
		if bucket.GetUpperBound() == 0.008 {
			within = float64(bucket.GetCumulativeCount())
		}
	}
	count := max(float64(histogram.GetSampleCount()), 1)
	return fmt.Sprintf("etcd with fsync: %d times, %.1f ms on average, %.1f%% longer than 8 ms",
		histogram.GetSampleCount(), histogram.GetSampleSum()/count*1000, 100*(1-within/count)), nil
}
