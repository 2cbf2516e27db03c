// SPDX-License-Identifier: Apache-2.0

// Command demo demonstrates the operator without a cluster: it starts etcd, kube-apiserver, the Alloy simulator and the operator,
// applies a Secret and an EmbeddedUserBatch with kubectl, and shows the results. `make demo` runs it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	defaultUsers = 2500
	// realUsers is the default number of users in a real account.
	realUsers = 3
	// latency of the simulated API, long enough for the progress to be visible.
	latency = 300 * time.Millisecond
)

func main() {
	if err := run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	programs  string // folder of the operator and the simulator
	plane     *testenv.ControlPlane
	key       string
	users     int
	simulator string // URL; empty with the real API
}

func run() (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	d := &demo{key: os.Getenv("ALLOY_API_KEY"), users: defaultUsers}
	if d.key != "" {
		d.users = realUsers
	}
	if text := os.Getenv("USERS"); text != "" {
		if d.users, err = strconv.Atoi(text); err != nil || d.users < 1 || d.users > v1alpha1.MaxInlineUsers {
			return fmt.Errorf("USERS must be a number from 1 to %d, not %q", v1alpha1.MaxInlineUsers, text)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the programs: %w", err)
	}
	d.programs = filepath.Dir(self)

	say("Starting etcd and kube-apiserver, with the operator's CRDs")
	if d.plane, err = testenv.Start(testenv.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.plane.Stop()) }()
	if d.key == "" {
		simulator, err := d.startSimulator()
		if err != nil {
			return err
		}
		defer stop(simulator)
	} else {
		say("ALLOY_API_KEY is set: the demo creates %d users in the real account, and they stay there", d.users)
	}
	log, err := os.Create(filepath.Join(d.plane.Folder, "operator.log"))
	if err != nil {
		return fmt.Errorf("creating the operator's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the file is temporary
	say("Starting the operator (its log: %s)", log.Name())
	operator, err := testenv.StartOperator(ctx, testenv.OperatorOptions{
		Path: filepath.Join(d.programs, "operator"), Kubeconfig: d.plane.Kubeconfig, AlloyURL: d.simulator, Output: log,
	})
	if err != nil {
		return err
	}
	defer stop(operator.Process)
	return d.show(ctx)
}

// startSimulator starts the Alloy simulator with three existing users.
func (d *demo) startSimulator() (simulator *testenv.Process, err error) {
	d.key = "key-of-the-demo"
	say("Starting the Alloy simulator, which takes %s for a request and already has three of the users", latency)
	simulator, d.simulator, err = testenv.StartSimulator(filepath.Join(d.programs, "alloy-simulator"),
		"--key", d.key, "--latency", latency.String(),
		"--seed", strings.Join([]string{username(0), username(d.users / 2), username(max(d.users-2, 0))}, ","))
	return simulator, err
}

// show applies the manifests and prints the results.
func (d *demo) show(ctx context.Context) error {
	secret, batch := filepath.Join(d.plane.Folder, "secret.yaml"), filepath.Join(d.plane.Folder, "batch.yaml")
	if err := errors.Join(os.WriteFile(secret, d.secret(), 0o600), os.WriteFile(batch, d.batch(), 0o600)); err != nil {
		return fmt.Errorf("writing the manifests: %w", err)
	}
	say("Applying a Secret and an EmbeddedUserBatch of %d users; the last row repeats the first username with a different fullName", d.users)
	for _, file := range []string{secret, batch} {
		if err := d.kubectl(ctx, os.Stdout, "apply", "--server-side", "-f", file); err != nil {
			return err
		}
	}
	begin := time.Now()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	say("kubectl get eub demo --watch")
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		_ = d.kubectl(watching, os.Stdout, "get", "eub", "demo", "--watch") // fails when it is stopped
	}()
	err := d.kubectl(ctx, io.Discard, "wait", "--for=condition=Ready", "eub/demo", "--timeout="+testenv.Patience.String())
	elapsed := time.Since(begin)
	stopWatching()
	<-watched
	for _, args := range [][]string{{"get", "eub,eus", "-o", "wide"}, {"describe", "eub", "demo"}} {
		say("kubectl %s", strings.Join(args, " "))
		output := &bytes.Buffer{}
		if describeErr := d.kubectl(ctx, output, args...); describeErr != nil {
			return describeErr
		}
		fmt.Print(shorten(output.String()))
	}
	if err != nil {
		return fmt.Errorf("the batch did not become ready: %w", err)
	}
	say("All %d rows have a result %.1f s after kubectl apply", d.users, elapsed.Seconds())
	if err := d.showStats(ctx); err != nil {
		return err
	}
	if os.Getenv("KEEP") == "" {
		say("Next: make demo KEEP=1 leaves everything running, make demo USERS=10000 uses the longest inline list")
		return nil
	}
	say("Everything keeps running until Ctrl-C. In another terminal:\n\n"+
		"  export KUBECONFIG=%s\n  alias kubectl=%s\n  kubectl get eub,eus; kubectl explain eub.spec; kubectl edit eub demo",
		d.plane.Kubeconfig, d.plane.Kubectl(ctx).Path)
	<-ctx.Done()
	return nil
}

// showStats prints the simulator's statistics.
func (d *demo) showStats(ctx context.Context) error {
	if d.simulator == "" {
		return nil
	}
	var stats bytes.Buffer
	if err := testenv.Fetch(ctx, d.simulator+"/simulator/stats", &stats); err != nil {
		return err
	}
	say("The simulator counted: %s", bytes.TrimSpace(stats.Bytes()))
	return nil
}

// secret returns the manifest of the Secret.
func (d *demo) secret() []byte {
	return fmt.Appendf(nil, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: alloy\nstringData:\n  apiKey: %q\n", d.key)
}

// batch returns the manifest of the EmbeddedUserBatch.
func (d *demo) batch() []byte {
	var manifest bytes.Buffer
	manifest.WriteString("apiVersion: embedded.runalloy.com/v1alpha1\nkind: EmbeddedUserBatch\nmetadata:\n  name: demo\nspec:\n" +
		"  apiKeySecretRef:\n    name: alloy\n  invalidUserPolicy: Ignore\n  users:\n")
	for i := range max(d.users-1, 1) {
		fmt.Fprintf(&manifest, "  - {username: %s, fullName: Customer %d}\n", username(i), i)
	}
	if d.users > 1 {
		fmt.Fprintf(&manifest, "  - {username: %s, fullName: Somebody else}\n", username(0))
	}
	return manifest.Bytes()
}

func username(i int) string { return fmt.Sprintf("customer-%05d@example.com", i) }

// kubectl runs kubectl against the demo's control plane.
func (d *demo) kubectl(ctx context.Context, output io.Writer, args ...string) error {
	command := d.plane.Kubectl(ctx, args...)
	command.Stdout, command.Stderr = output, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w", args[0], err)
	}
	return nil
}

func stop(process *testenv.Process) { _ = process.Stop() } // it may have exited

// shorten cuts long lists of users.
func shorten(text string) string {
	const shown = 4
	var lines []string
	inUsers, skipped := 0, 0
	for line := range strings.Lines(text) {
		user := strings.HasPrefix(strings.TrimLeft(line, " "), "Full Name:") || strings.HasPrefix(strings.TrimLeft(line, " "), "Username:")
		if user {
			inUsers++
		}
		if user && inUsers > shown {
			skipped++
			continue
		}
		if skipped > 0 {
			lines = append(lines, fmt.Sprintf("      … %d more\n", skipped/2))
			skipped = 0
		}
		if !user {
			inUsers = 0
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

func say(format string, args ...any) { fmt.Printf("\n▸ "+format+"\n", args...) }
