// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/batch"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// Names of flags.
const (
	watchNamespaces = "watch-namespaces"
	secretPoll      = "secret-poll"
	resyncInterval  = "resync-interval"
)

// options holds the command-line options.
type options struct {
	alloy          alloy.Options
	sender         sender.Options
	manager        manager.Options
	namespaces     []string
	secretPoll     time.Duration
	resyncInterval time.Duration
	listMemory     resource.QuantityValue
	log            zap.Options
	version        bool
	probe          string // URL
}

// parse returns the options that the arguments set.
func parse(args []string) (options, error) {
	var o options
	flags := pflag.NewFlagSet("operator", pflag.ContinueOnError)
	flags.SortFlags = false
	o.addAlloyFlags(flags)
	o.addManagerFlags(flags)
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	flags.StringVar(&o.probe, "probe", "",
		"ask this URL, such as http://address:8081/readyz of another operator, until it answers 200, for at most a minute, and exit")
	goFlags := flag.NewFlagSet("", flag.ContinueOnError)
	o.log.BindFlags(goFlags)
	flags.AddGoFlagSet(goFlags)
	flags.AddGoFlag(flag.CommandLine.Lookup("kubeconfig")) // registered by controller-runtime
	flags.Usage = func() {
		fmt.Fprintf(os.Stderr, "operator creates the users that EmbeddedUserBatches list in Alloy Embedded.\n\nFlags:\n%s", flags.FlagUsages())
	}
	if err := flags.Parse(args); err != nil {
		return options{}, fmt.Errorf("parsing flags: %w", err)
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := o.checkNamespaces(flags.Changed(watchNamespaces)); err != nil {
		return options{}, err
	}
	return o, o.checkLimits()
}

func (o *options) addAlloyFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.alloy.BaseURL, "alloy-url", alloy.DefaultBaseURL,
		"base URL of the Alloy API, the only address that API keys are sent to (through HTTPS_PROXY, if set)")
	flags.BoolVar(&o.alloy.AllowInsecure, "allow-insecure-alloy-url", false,
		"allow an http --alloy-url, which exposes API keys to the network")
	flags.StringVar(&o.alloy.APIVersion, "alloy-api-version", alloy.DefaultAPIVersion, "version of the Alloy API, sent as x-api-version")
	flags.DurationVar(&o.alloy.Timeout, "alloy-timeout", alloy.DefaultTimeout,
		"timeout of a request to the Alloy API; the pod's grace period must be at least 15s longer")
	flags.DurationVar(&o.alloy.ListTimeout, "alloy-list-timeout", alloy.DefaultListTimeout,
		"timeout of reading the list of all users of an account, above 0; the end of the process does not wait for it")
	o.sender = sender.DefaultOptions
	flags.IntVar(&o.sender.RequestsPerKey, "alloy-max-in-flight", o.sender.RequestsPerKey,
		"maximum number of concurrent requests to the Alloy API per key, at least 1")
	flags.IntVar(&o.sender.Requests, "alloy-max-in-flight-total", o.sender.Requests,
		"maximum number of concurrent requests to the Alloy API for all keys together, at least 1")
	flags.DurationVar(&o.sender.Linger, "alloy-linger", o.sender.Linger,
		"how long users wait for other users under the same key to share a request, while no request with that key is running. "+
			"A shared request that is not full begins 2s after the last one at the earliest. "+
			"0 sends the users of each EmbeddedUserSlice separately")
	flags.Float64Var(&o.sender.RequestsPerSecond, "alloy-requests-per-second", o.sender.RequestsPerSecond,
		"maximum rate of requests to the Alloy API per key; 0 disables the limit. The vendor publishes no limit")
	flags.IntVar(&o.sender.Burst, "alloy-burst", o.sender.Burst, "maximum burst of requests above --alloy-requests-per-second, at least 1")
	flags.DurationVar(&o.resyncInterval, resyncInterval, 0,
		"how often to check that users still exist, and create missing ones again, for each EmbeddedUserBatch without a spec.resyncInterval; "+
			"at least 1m, 0 never. It takes one list of the account's users per key")
	o.listMemory.Quantity = *resource.NewQuantity(batch.DefaultMaxListMemory, resource.BinarySI)
	flags.Var(&o.listMemory, "max-list-memory",
		"maximum memory for the list of one EmbeddedUserBatch while it is planned, at least 32Mi: "+
			"about 176 bytes for each user, and its text. All long lists together may take 1.25 times as much")
}

func (o *options) addManagerFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&o.namespaces, watchNamespaces, nil,
		"namespaces to watch, separated by commas; all by default. One without rights does not stop the others. "+
			"Several operators can share a cluster if none watches a namespace of another")
	flags.DurationVar(&o.secretPoll, secretPoll, 0,
		"get each Secret once in this time instead of watching all Secrets, so that the right to get them is enough; "+
			"at least 1s, 0 watches them")
	flags.Lookup(secretPoll).NoOptDefVal = "1m"
	flags.BoolVar(&o.manager.LeaderElection, "leader-elect", false, "elect a leader, so that only one of several replicas is active")
	flags.StringVar(&o.manager.LeaderElectionNamespace, "leader-election-namespace", "",
		"namespace of the lease; by default the operator's own")
	flags.StringVar(&o.manager.LeaderElectionID, "leader-election-id", "",
		"name of the lease; by default each set of --watch-namespaces has its own. "+
			"Scale the operator to 0 before you change the name or the set")
	metrics := &o.manager.Metrics
	flags.StringVar(&metrics.BindAddress, "metrics-bind-address", ":8443", "address that serves metrics; 0 disables them")
	flags.BoolVar(&metrics.SecureServing, "metrics-secure", true,
		"serve metrics over HTTPS, to clients whose token may get /metrics. This needs the cluster-wide right to create "+
			"tokenreviews and subjectaccessreviews; false serves them over HTTP to everybody")
	flags.StringVar(&metrics.CertDir, "metrics-cert-path", "",
		"folder with the certificate of the metrics, tls.crt and tls.key; by default they have a self-signed one")
	flags.StringVar(&o.manager.PprofBindAddress, "pprof-bind-address", "", "address that serves profiles under /debug/pprof; none by default")
	flags.StringVar(&o.manager.HealthProbeBindAddress, "health-probe-bind-address", ":8081",
		"address that serves /healthz and /readyz; 0 disables them")
}

// checkNamespaces refuses what is not the name of a namespace: controller-runtime takes an empty name for all namespaces.
func (o *options) checkNamespaces(isSet bool) error {
	if isSet && len(o.namespaces) == 0 {
		return fmt.Errorf("--%s is empty; name at least one namespace, or leave the flag out to watch all", watchNamespaces)
	}
	for i, name := range o.namespaces {
		if problems := validation.ValidateNamespaceName(name, false); len(problems) > 0 {
			return fmt.Errorf("--%s: entry %d, %q, is not the name of a namespace: %s", watchNamespaces, i+1, name, strings.Join(problems, "; "))
		}
	}
	return nil
}

func (o *options) checkLimits() error {
	switch {
	case o.sender.RequestsPerKey < 1:
		return fmt.Errorf("--alloy-max-in-flight must be at least 1, not %d", o.sender.RequestsPerKey)
	case o.sender.Requests < 1:
		return fmt.Errorf("--alloy-max-in-flight-total must be at least 1, not %d", o.sender.Requests)
	case o.alloy.ListTimeout <= 0:
		return fmt.Errorf("--alloy-list-timeout must be above 0, not %s", o.alloy.ListTimeout)
	case o.sender.Linger < 0:
		return fmt.Errorf("--alloy-linger must be at least 0, not %s; 0 disables it", o.sender.Linger)
	case o.sender.RequestsPerSecond < 0:
		return fmt.Errorf("--alloy-requests-per-second must be at least 0, not %g; 0 disables the limit", o.sender.RequestsPerSecond)
	case o.listMemory.Value() < 32<<20:
		return fmt.Errorf("--max-list-memory must be at least 32Mi, not %s", o.listMemory.String())
	case o.secretPoll != 0 && o.secretPoll < time.Second:
		return fmt.Errorf("--%s must be at least 1s, not %s; 0 watches Secrets", secretPoll, o.secretPoll)
	case o.resyncInterval != 0 && o.resyncInterval < time.Minute:
		return fmt.Errorf("--%s must be at least 1m, not %s; 0 turns it off", resyncInterval, o.resyncInterval)
	case o.sender.Burst < 1:
		return fmt.Errorf("--alloy-burst must be at least 1, not %d", o.sender.Burst)
	}
	return nil
}
