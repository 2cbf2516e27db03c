// SPDX-License-Identifier: Apache-2.0

// Package command has what the commands of the plugin share: the flags of kubectl, the streams, a client and exit codes.
package command

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// FieldManager is who changes objects, in their managedFields.
const FieldManager = "kubectl-eub"

// Options are those of every command.
type Options struct {
	genericiooptions.IOStreams

	ConfigFlags *genericclioptions.ConfigFlags
	Version     string // of the plugin
}

// NewOptions returns the options of a plugin of some version.
func NewOptions(version string, streams genericiooptions.IOStreams) *Options {
	return &Options{IOStreams: streams, ConfigFlags: genericclioptions.NewConfigFlags(true), Version: version}
}

// Config returns how to reach the API server.
func (o *Options) Config() (*rest.Config, error) {
	if _, err := clientcmd.ParseTimeout(*o.ConfigFlags.Timeout); err != nil {
		return nil, fmt.Errorf("--request-timeout %q is no duration; give one such as 30s, or 0 for no limit", *o.ConfigFlags.Timeout)
	}
	config, err := o.ConfigFlags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w; give --kubeconfig or --context", err)
	}
	config = rest.CopyConfig(config)
	config.UserAgent = "kubectl-eub/" + o.Version
	config.QPS = -1 // the API server limits requests by itself, and more fairly
	config.WarningHandler = rest.NewWarningWriter(o.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	return config, nil
}

// Client returns a client for batches, slices and the resources of Kubernetes. It asks the API server nothing yet.
func (o *Options) Client() (client.WithWatch, error) {
	config, err := o.Config()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering types: %w", err)
		}
	}
	kube, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	return kube, nil
}

// Connect returns a client, and the namespace.
func (o *Options) Connect() (kube client.WithWatch, namespace string, err error) {
	if kube, err = o.Client(); err != nil {
		return nil, "", err
	}
	namespace, err = o.Namespace()
	return kube, namespace, err
}

// Namespace returns the namespace of --namespace or of the kubeconfig.
func (o *Options) Namespace() (string, error) {
	namespace, _, err := o.ConfigFlags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("finding the namespace: %w; give --namespace", err)
	}
	return namespace, nil
}
