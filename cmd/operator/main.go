// SPDX-License-Identifier: Apache-2.0

// Command operator creates the users that EmbeddedUserBatches list in Alloy Embedded.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
)

// version is set with -ldflags.
var version = ""

func main() {
	options, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(2)
	case options.version:
		fmt.Println(buildVersion())
		return
	case options.probe != "":
		if err := probe(ctrl.SetupSignalHandler(), options.probe); err != nil {
			fmt.Fprintln(os.Stderr, "operator:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctrl.SetupSignalHandler(), options); err != nil {
		ctrl.Log.Error(err, "Failed")
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.log)))
	observe, err := alloy.NewMetrics(metrics.Registry)
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	o.alloy.Observe = observe
	o.alloy.UserAgent = "embedded-user-operator/" + buildVersion()
	api, err := alloy.New(o.alloy)
	if err != nil {
		return fmt.Errorf("--alloy-url: %w", err)
	}
	ctrl.Log.Info("Starting operator", "version", buildVersion(), "alloyURL", api.BaseURL(), "alloyAPIVersion", o.alloy.APIVersion)
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	config.UserAgent = o.alloy.UserAgent

	settings := controller.Options{
		API: api, RequestTimeout: o.alloy.Timeout, Sender: o.sender, MaxListMemory: o.listMemory.Value(),
		ResyncInterval: o.resyncInterval, SecretPoll: o.secretPoll, Metrics: metrics.Registry,
	}
	controller.Configure(&o.manager, settings, o.namespaces...)
	if o.manager.Metrics.SecureServing {
		o.manager.Metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	mgr, err := ctrl.NewManager(config, o.manager)
	if err != nil {
		return fmt.Errorf("creating the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding the health check: %w", err)
	}
	if err := controller.Setup(ctx, mgr, settings); err != nil {
		return fmt.Errorf("setting up the controllers: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

// buildVersion returns the version set with -ldflags or by the Go toolchain.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
