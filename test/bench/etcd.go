package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// fsync describes how long etcd waited for the disk. Every write waits for one fsync, so on a slow or busy disk both the cases and
// the loops that write slices mainly measure the disk.
func (w *world) fsync(ctx context.Context) (string, error) {
	var metrics bytes.Buffer
	if err := testenv.Fetch(ctx, w.plane.Etcd().URL.String()+"/metrics", &metrics); err != nil {
		return "", fmt.Errorf("reading etcd's metrics: %w", err)
	}
	const name = "etcd_disk_wal_fsync_duration_seconds"
	values := map[string]float64{}
	for line := range strings.Lines(metrics.String()) {
		key, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil && strings.HasPrefix(key, name) {
			values[strings.TrimPrefix(key, name)] = value
		}
	}
	count := max(values["_count"], 1)
	return fmt.Sprintf("etcd with fsync: %.0f times, %.1f ms on average, %.1f%% longer than 8 ms",
		values["_count"], values["_sum"]/count*1000, 100*(1-values[`_bucket{le="0.008"}`]/count)), nil
}
