// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
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
	model, memory := "unknown", uint64(0)
	if fs, err := procfs.NewDefaultFS(); err == nil {
		if cores, err := fs.CPUInfo(); err == nil && len(cores) > 0 {
			model = cores[0].ModelName
		}
		if info, err := fs.Meminfo(); err == nil && info.MemTotal != nil {
			memory = *info.MemTotal
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease") // empty if unknown
	return fmt.Sprintf("- %d cores %s, %.0f GiB memory, Linux %s, %s",
		runtime.NumCPU(), model, float64(memory)/mib, bytes.TrimSpace(release), runtime.Version())
}
