// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// OperatorOptions say how to run the operator.
type OperatorOptions struct {
	Path       string // of the program
	Kubeconfig string // path
	AlloyURL   string // of a simulator; empty for the real API
	Args       []string
	Env        []string  // in addition to the environment of this process
	Output     io.Writer // for its log
}

// Operator is an operator that was started.
type Operator struct {
	*Process
	Metrics, Health, Pprof string // base URLs
}

// Build builds a program of the folder cmd into another folder and returns its path.
func Build(ctx context.Context, folder, program string) (string, error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", folder, "./cmd/"+program) //nolint:gosec // our own program
	build.Dir = Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", program, err, out)
	}
	return filepath.Join(folder, program), nil
}

// StartOperator starts the operator. It serves metrics over HTTP, probes and profiles, unless Args override that.
func StartOperator(ctx context.Context, options OperatorOptions) (*Operator, error) {
	args := []string{"--kubeconfig", options.Kubeconfig}
	if options.AlloyURL != "" {
		args = append(args, "--alloy-url", options.AlloyURL, "--allow-insecure-alloy-url")
	}
	addresses, err := freeAddresses(ctx, 3)
	if err != nil {
		return nil, err
	}
	args = append(args, "--metrics-bind-address", addresses[0], "--metrics-secure=false",
		"--health-probe-bind-address", addresses[1], "--pprof-bind-address", addresses[2])
	command := exec.Command(options.Path, append(args, options.Args...)...) //nolint:gosec,noctx // our own program, which the caller stops
	command.Env = append(os.Environ(), options.Env...)
	command.Stdout, command.Stderr = options.Output, options.Output
	process, err := StartProcess(command)
	if err != nil {
		return nil, err
	}
	return &Operator{
		Process: process,
		Metrics: "http://" + addresses[0], Health: "http://" + addresses[1], Pprof: "http://" + addresses[2],
	}, nil
}

// InProcess says how to run the operator in this process, with delays that its flags do not offer.
type InProcess struct {
	Config        *rest.Config
	Namespace     string // the only one that the operator watches
	AlloyURL      string
	Timeout       time.Duration // of a request to the API
	Sender        sender.Options
	MaxListMemory int64         // bytes; 0 for the default
	SecretPoll    time.Duration // 0 to watch Secrets
	Resync        time.Duration // of batches that do not say so themselves; 0 for never
	RetryDelay    time.Duration // until rejected users are sent a second time; 0 for the default
}

// NewManager returns a manager that runs the operator.
func (p InProcess) NewManager(ctx context.Context) (ctrl.Manager, error) {
	api, err := alloy.New(alloy.Options{BaseURL: p.AlloyURL, AllowInsecure: true, APIVersion: alloy.DefaultAPIVersion, Timeout: p.Timeout})
	if err != nil {
		return nil, fmt.Errorf("creating the client of the API: %w", err)
	}
	var options manager.Options
	o := controller.Options{
		API: api, RequestTimeout: p.Timeout, Sender: p.Sender, MaxListMemory: p.MaxListMemory, SecretPoll: p.SecretPoll,
		ResyncInterval: p.Resync, RetryDelay: p.RetryDelay,
		SkipNameValidation: true,
	}
	controller.Configure(&options, o, p.Namespace)
	options.Metrics.BindAddress = "0"
	mgr, err := ctrl.NewManager(p.Config, options)
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	if err := controller.Setup(ctx, mgr, o); err != nil {
		return nil, fmt.Errorf("setting up the controllers: %w", err)
	}
	return mgr, nil
}

// AwaitReady waits until the operator says that it is ready.
func (o *Operator) AwaitReady(ctx context.Context) error {
	if err := Await(ctx, func(ctx context.Context) error { return Fetch(ctx, o.Health+"/readyz", io.Discard) }); err != nil {
		return fmt.Errorf("waiting for the operator to be ready: %w", err)
	}
	return nil
}

// StartSimulator starts the program alloy-simulator on a free port, and returns its URL.
func StartSimulator(path string, args ...string) (*Process, string, error) {
	args = append([]string{"--listen", "127.0.0.1:0"}, args...)
	command := exec.Command(path, args...) //nolint:gosec,noctx // our own program, which the caller stops
	output, write := io.Pipe()
	command.Stdout, command.Stderr = write, os.Stderr
	simulator, err := StartProcess(command)
	if err != nil {
		return nil, "", err
	}
	go func() {
		<-simulator.Done()
		_ = write.Close() // always nil
	}()
	lines := bufio.NewReader(output)
	line, err := lines.ReadString('\n')
	if err != nil {
		return nil, "", fmt.Errorf("reading the simulator's address: %w", err)
	}
	go io.Copy(io.Discard, lines) //nolint:errcheck // ends with the process
	_, url, _ := strings.Cut(strings.TrimSpace(line), "Listening on ")
	return simulator, url, nil
}
