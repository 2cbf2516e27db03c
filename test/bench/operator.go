// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// logTail is the number of bytes of the operator's log that are printed after a failure.
const logTail = 6 << 10

// manifestMemoryLimit returns the GOMEMLIMIT of the operator's manifest, or "".
func manifestMemoryLimit(path string) string {
	data, err := os.ReadFile(path) //nolint:gosec // a file of the repository
	var deployment appsv1.Deployment
	if err != nil || yaml.Unmarshal(data, &deployment) != nil {
		return ""
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		for _, variable := range container.Env {
			switch {
			case variable.Name != "GOMEMLIMIT":
			case variable.ValueFrom != nil && variable.ValueFrom.ResourceFieldRef != nil:
				return strconv.FormatInt(container.Resources.Limits.Memory().Value(), 10)
			default:
				return variable.Value
			}
		}
	}
	return ""
}

// startOperator starts the operator and waits until it is ready.
func (b *bench) startOperator(ctx context.Context) error {
	log, err := os.OpenFile(b.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the operator's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the operator has its own descriptor
	options := testenv.OperatorOptions{
		Path: b.program, Kubeconfig: b.plane.Kubeconfig, AlloyURL: b.server.URL, Output: log,
		Args: []string{"--alloy-requests-per-second", "0", "--alloy-max-in-flight", strconv.Itoa(b.concurrency), "--metrics-bind-address", "0"},
	}
	if b.memoryLimit != "" {
		options.Env = []string{"GOMEMLIMIT=" + b.memoryLimit}
	}
	operator, err := testenv.StartOperator(ctx, options)
	if err != nil {
		return err
	}
	b.operator = operator
	go func() {
		if err := operator.Wait(); !operator.Stopped() {
			b.fail(errors.Join(errors.New("the operator exited"), err))
		}
	}()
	return operator.AwaitReady(ctx)
}

// stopOperator stops the operator as the kubelet does.
func (w *world) stopOperator() error {
	if w.operator == nil {
		return nil
	}
	operator := w.operator
	w.operator = nil
	if err := operator.Stop(); err != nil {
		return fmt.Errorf("stopping the operator: %w", err)
	}
	return nil
}

func (w *world) logPath() string { return filepath.Join(w.plane.Folder, "operator.log") }

// printLog prints the end of the operator's log.
func (w *world) printLog() {
	log, err := os.ReadFile(w.logPath())
	if err != nil {
		return // the operator never ran
	}
	fmt.Fprintf(os.Stderr, "The operator's log ends with:\n%s\n", log[max(0, len(log)-logTail):])
}

// pause waits for d. It returns false if the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
