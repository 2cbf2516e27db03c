// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	mib = 1 << 20
	// trailing is how long after the last result the counters are read, to include what follows it.
	trailing = time.Second
	// settled and serverSettled are the CPU time per second below which the operator and the API server count as idle.
	settled         = 30 * time.Millisecond
	serverSettled   = 150 * time.Millisecond
	settledPatience = time.Minute
)

// mark is a snapshot of the counters.
type mark struct {
	cpu      time.Duration
	requests requests
	writes   int
}

// mark reads the counters and resets the operator's peak memory. Without an operator its counters are 0.
func (w *world) mark(ctx context.Context, a *account) (mark, error) {
	if err := w.settle(ctx); err != nil {
		return mark{}, err
	}
	m := mark{requests: w.tally.of(a.key)}
	var err error
	if m.writes, err = w.apiWrites(ctx); err != nil || w.operator == nil {
		return m, err
	}
	if m.cpu, err = w.operator.CPU(); err != nil {
		return m, err
	}
	return m, w.operator.ResetPeak()
}

// measure stores the changes since a mark in a result. own is the number of writes by the benchmark itself.
func (w *world) measure(ctx context.Context, a *account, since mark, own int, r *result) error {
	if !pause(ctx, trailing) {
		return context.Cause(ctx) //nolint:wrapcheck // the cause is descriptive
	}
	now := w.tally.of(a.key).minus(since.requests)
	r.posts, r.others = now.posts, now.others
	cpu, cpuErr := w.operator.CPU()
	_, peak, peakErr := w.operator.Memory()
	writes, writesErr := w.apiWrites(ctx)
	r.cpu, r.peak, r.writes = cpu-since.cpu, peak, writes-since.writes-own
	return errors.Join(cpuErr, peakErr, writesErr)
}

// settleOperator waits until the operator is idle.
func (w *world) settleOperator(ctx context.Context) error {
	return settle(ctx, "the operator", settled, w.operator.CPU)
}

// settle waits until the API server is idle, which takes some seconds after its start.
func (w *world) settle(ctx context.Context) error {
	return settle(ctx, "the API server", serverSettled, func() (time.Duration, error) {
		metrics, err := w.serverMetrics(ctx)
		if err != nil {
			return 0, err
		}
		used, err := only(metrics, "process_cpu_seconds_total")
		return time.Duration(used.GetCounter().GetValue() * float64(time.Second)), err
	})
}

// settle waits until a process uses less than enough CPU time in a second.
func settle(ctx context.Context, process string, enough time.Duration, cpu func() (time.Duration, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settledPatience)
	defer cancel()
	before, err := cpu()
	for err == nil {
		if !pause(ctx, time.Second) {
			return fmt.Errorf("waiting for %s to be idle: %w", process, context.Cause(ctx))
		}
		var now time.Duration
		if now, err = cpu(); err == nil && now-before < enough {
			return nil
		}
		before = now
	}
	return err
}

// idle returns the lowest resident memory of the operator within a time. It returns early once the memory is below enough.
func (w *world) idle(ctx context.Context, within time.Duration, enough int) (int, error) {
	lowest, _, err := w.operator.Memory()
	for end := time.Now().Add(within); err == nil && lowest >= enough && time.Now().Before(end); {
		if !pause(ctx, time.Second) {
			return 0, context.Cause(ctx) //nolint:wrapcheck // the cause is descriptive
		}
		var now int
		now, _, err = w.operator.Memory()
		lowest = min(lowest, now)
	}
	return lowest, err
}

var writeVerbs = []string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}

// apiWrites returns the number of writes of batches, slices and their statuses that the API server has served.
func (w *world) apiWrites(ctx context.Context) (int, error) {
	metrics, err := w.serverMetrics(ctx)
	total := 0
	for _, metric := range metrics["apiserver_request_total"].GetMetric() {
		is := map[string]string{}
		for _, label := range metric.GetLabel() {
			is[label.GetName()] = label.GetValue()
		}
		ours := is["group"] == v1alpha1.SchemeGroupVersion.Group && (is["resource"] == batchResource || is["resource"] == sliceResource)
		if ours && slices.Contains(writeVerbs, is["verb"]) {
			total += int(metric.GetCounter().GetValue())
		}
	}
	return total, err
}

// serverMetrics returns the API server's metrics by name.
func (w *world) serverMetrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	metrics, err := w.rest.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return parseMetrics(metrics)
}

func parseMetrics(text []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	metrics, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	return metrics, nil
}

// only returns the only metric of a name.
func only(metrics map[string]*dto.MetricFamily, name string) (*dto.Metric, error) {
	if list := metrics[name].GetMetric(); len(list) == 1 {
		return list[0], nil
	}
	return nil, fmt.Errorf("the metrics have not one %s", name)
}
