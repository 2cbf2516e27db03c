// SPDX-License-Identifier: Apache-2.0

// Command bench measures the operator, in a separate process, against a real kube-apiserver and etcd and a simulated Alloy API,
// and compares it with bare loops that do only the necessary work. It fails if a performance target is missed. Run it with
// `go run ./test/bench` in the root of the repository and KUBEBUILDER_ASSETS from hack/control-plane.sh.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// caseNames lists the cases in the order in which they run.
var caseNames = []string{"a", "f", "b1", "d", "b2", "r", "c1", "c2", "e", "g"}

// options holds the command-line options.
type options struct {
	cases       []string
	concurrency int
	latency     time.Duration
	scale       float64
	profile     string // folder for profiles, if any
	output      string // file for the results, if any
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	cases := flags.String("cases", strings.Join(caseNames, ","),
		"cases to run, separated by commas; d requires b1, r requires b2, and e requires c1 or c2")
	flags.IntVar(&o.concurrency, "concurrency", sender.DefaultOptions.RequestsPerKey,
		"maximum number of concurrent requests of the operator and of the bare loops")
	flags.DurationVar(&o.latency, "latency", 100*time.Millisecond, "latency of the simulated API")
	flags.Float64Var(&o.scale, "scale", 1, "factor for the number of users and batches, for development")
	flags.StringVar(&o.profile, "profile", "", "folder for CPU and allocs profiles of the operator in b2 and c2")
	flags.StringVar(&o.output, "output", "", "file to which the results are written, between "+resultsBegin+" and "+resultsEnd)
	if err := flags.Parse(args); err != nil {
		return options{}, err //nolint:wrapcheck // flag has printed it already
	}
	o.cases = strings.Split(*cases, ",")
	for _, name := range o.cases {
		if !slices.Contains(caseNames, name) {
			return options{}, fmt.Errorf("-cases: unknown case %q; the cases are %s", name, strings.Join(caseNames, ", "))
		}
	}
	switch {
	case flags.NArg() > 0:
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.wants("d") && !o.wants("b1"):
		return options{}, errors.New("-cases: d requires b1")
	case o.wants("r") && !o.wants("b2"):
		return options{}, errors.New("-cases: r requires b2")
	case o.wants("e") && !o.wants("c1", "c2"):
		return options{}, errors.New("-cases: e requires c1 or c2")
	case o.concurrency < 1 || o.latency <= 0 || o.scale <= 0:
		return options{}, errors.New("-concurrency, -latency and -scale must be above 0")
	}
	return o, nil
}

// wants reports whether any of the cases was requested.
func (o options) wants(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(o.cases, name) })
}

// scaled applies -scale to a number of users or batches.
func (o options) scaled(n int) int { return max(1, int(math.Round(float64(n)*o.scale))) }

// bench is one run of the program.
type bench struct {
	options
	*world
	accounts []*account
	results  []*result
}

func run(o options) (err error) {
	if o.output != "" {
		if _, err := splitResults(o.output); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	w, err := newWorld(ctx, o, fail)
	if err != nil {
		return err
	}
	b := &bench{options: o, world: w}
	defer func() {
		fail(nil) // open watches would delay the shutdown of the API server
		err = errors.Join(err, b.close())
	}()
	if err := b.runCases(ctx); err != nil {
		b.printLog()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			return errors.Join(cause, err)
		}
		return err
	}
	return b.report(ctx)
}

// runCases runs the cases. Cases in one stage share an operator; after each stage the objects are deleted, so that the next one
// starts with an empty cluster.
func (b *bench) runCases(ctx context.Context) error {
	for _, stage := range []struct {
		cases []string
		run   func(context.Context) error
	}{
		{[]string{"a", "f", "b1", "d"}, b.runWarm},
		{[]string{"b2"}, b.runLarge},
		{[]string{"c1"}, func(ctx context.Context) error { return b.runMany(ctx, "c1", 1000) }},
		{[]string{"c2"}, func(ctx context.Context) error { return b.runMany(ctx, "c2", 10_000) }},
		{[]string{"g"}, b.runRejected},
	} {
		if !b.wants(stage.cases...) {
			continue
		}
		if err := stage.run(ctx); err != nil {
			return err
		}
		if err := b.stopOperator(); err != nil {
			return err
		}
		if err := b.checkContract(ctx); err != nil {
			return err
		}
		if err := b.clear(ctx); err != nil {
			return err
		}
	}
	return b.verifyAccounts()
}

func say(format string, args ...any) {
	fmt.Printf("%s  "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
