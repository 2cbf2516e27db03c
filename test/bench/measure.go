package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	// clockTicks is USER_HZ, the unit of /proc/PID/stat: 100 on every common Linux.
	clockTicks = 100
	mib        = 1 << 20
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
	if m.cpu, err = w.operator.cpu(); err != nil {
		return m, err
	}
	if err := os.WriteFile(w.operator.proc("clear_refs"), []byte("5"), 0); err != nil {
		return m, fmt.Errorf("resetting the peak of the memory: %w", err)
	}
	return m, nil
}

// measure stores the changes since a mark in a result. own is the number of writes by the benchmark itself.
func (w *world) measure(ctx context.Context, a *account, since mark, own int, r *result) error {
	if !pause(ctx, trailing) {
		return context.Cause(ctx) //nolint:wrapcheck // the cause is descriptive
	}
	now := w.tally.of(a.key).minus(since.requests)
	r.posts, r.others = now.posts, now.others
	cpu, cpuErr := w.operator.cpu()
	peak, peakErr := w.operator.memory("VmHWM")
	writes, writesErr := w.apiWrites(ctx)
	r.cpu, r.peak, r.writes = cpu-since.cpu, peak, writes-since.writes-own
	return errors.Join(cpuErr, peakErr, writesErr)
}

// proc returns the path of a file in the operator's /proc folder.
func (o *operator) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(o.pid()), name)
}

// cpu returns the CPU time that the operator has used.
func (o *operator) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(o.proc("stat"))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // fields[0] is field 3 of proc(5)
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the CPU time: unexpected %q", stat)
	}
	user, userErr := strconv.Atoi(fields[11])
	system, systemErr := strconv.Atoi(fields[12])
	if err := errors.Join(userErr, systemErr); err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(user+system) * time.Second / clockTicks, nil
}

// memory returns the value of a line of /proc/PID/status in bytes.
func (o *operator) memory(line string) (int, error) {
	status, err := os.ReadFile(o.proc("status"))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	_, text, _ := strings.Cut(string(status), "\n"+line+":")
	text, _, _ = strings.Cut(text, "kB")
	kib, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	return kib << 10, nil
}

// settle waits until the operator is idle.
func (o *operator) settle(ctx context.Context) error {
	return settle(ctx, "the operator", settled, o.cpu)
}

// settle waits until the API server is idle, which takes some seconds after its start.
func (w *world) settle(ctx context.Context) error {
	return settle(ctx, "the API server", serverSettled, func() (time.Duration, error) {
		metrics, err := w.rest.Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			return 0, fmt.Errorf("reading the API server's metrics: %w", err)
		}
		_, after, _ := bytes.Cut(metrics, []byte("\nprocess_cpu_seconds_total "))
		text, _, _ := bytes.Cut(after, []byte("\n"))
		used, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return 0, fmt.Errorf("reading the API server's CPU time: %w", err)
		}
		return time.Duration(used * float64(time.Second)), nil
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
func (o *operator) idle(ctx context.Context, within time.Duration, enough int) (int, error) {
	lowest, err := o.memory("VmRSS")
	for end := time.Now().Add(within); err == nil && lowest >= enough && time.Now().Before(end); {
		if !pause(ctx, time.Second) {
			return 0, context.Cause(ctx) //nolint:wrapcheck // the cause is descriptive
		}
		var now int
		now, err = o.memory("VmRSS")
		lowest = min(lowest, now)
	}
	return lowest, err
}

var (
	label      = regexp.MustCompile(`(\w+)="([^"]*)"`)
	writeVerbs = []string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}
)

// apiWrites returns the number of writes of batches, slices and their statuses that the API server has served.
func (w *world) apiWrites(ctx context.Context) (int, error) {
	metrics, err := w.rest.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	total := 0
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	lines.Buffer(nil, mib)
	for lines.Scan() {
		labels, value, ok := strings.Cut(lines.Text(), "} ")
		if !ok || !strings.HasPrefix(labels, "apiserver_request_total{") {
			continue
		}
		is := map[string]string{}
		for _, match := range label.FindAllStringSubmatch(labels, -1) {
			is[match[1]] = match[2]
		}
		ours := is["group"] == v1alpha1.SchemeGroupVersion.Group && (is["resource"] == batchResource || is["resource"] == sliceResource)
		if !ours || !slices.Contains(writeVerbs, is["verb"]) {
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the API server's metrics: %w", err)
		}
		total += int(count)
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return total, nil
}
