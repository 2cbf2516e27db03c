package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/version"
)

// machine describes the machine and the parameters of the benchmark.
func (b *bench) machine(ctx context.Context) ([]string, error) {
	answer, err := b.rest.Get().AbsPath("/version").DoRaw(ctx)
	var kubernetes version.Info
	if err == nil {
		err = json.Unmarshal(answer, &kubernetes)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the version of Kubernetes: %w", err)
	}
	fsync, err := b.fsync(ctx)
	if err != nil {
		return nil, err
	}
	limit := "no GOMEMLIMIT"
	if b.memoryLimit != "" {
		limit = "GOMEMLIMIT=" + b.memoryLimit
	}
	command := strings.Join(append([]string{"go run ./test/bench"}, os.Args[1:]...), " ")
	if b.output != "" {
		command = "make bench"
	}
	return []string{
		fmt.Sprintf("- latency %s, concurrency %d, scale %g, %s", b.latency, b.concurrency, b.scale, limit),
		"- " + fsync,
		hardware() + ", Kubernetes " + kubernetes.GitVersion,
		"- `" + command + "`",
	}, nil
}

func hardware() string {
	kib, _ := strconv.Atoi(procLine("/proc/meminfo", `MemTotal:\s*(\d+)`)) // 0 if unknown
	model := procLine("/proc/cpuinfo", `model name\s*: (.*)`)
	return fmt.Sprintf("- %d cores %s, %.0f GiB memory, Linux %s, %s", runtime.NumCPU(), model, float64(kib)/mib,
		procLine("/proc/sys/kernel/osrelease", `(.*)`), runtime.Version())
}

// procLine returns the first submatch of a pattern in a file, or "unknown".
func procLine(path, pattern string) string {
	data, err := os.ReadFile(path) //nolint:gosec // a file of the kernel
	match := regexp.MustCompile(pattern).FindStringSubmatch(string(data))
	if err != nil || match == nil {
		return "unknown"
	}
	return strings.TrimSpace(match[1])
}
