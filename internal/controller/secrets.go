// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/secretpoll"
)

// readers are what the controllers read from, and how they learn of changes of Secrets.
type readers struct {
	live    client.Client // of the API server
	cache   client.Reader
	secrets func(handler.EventHandler) source.Source
}

// newReaders returns readers that watch Secrets, or poll them.
func newReaders(mgr ctrl.Manager, live client.Client, options Options, polling ctrlcontroller.Options) (readers, error) {
	cache := mgr.GetCache()
	if options.SecretPoll == 0 {
		return readers{live, cache, func(h handler.EventHandler) source.Source {
			return source.Kind[client.Object](cache, cached.Metadata(cached.SecretKind), h)
		}}, nil
	}
	poller := secretpoll.New(live, cache, options.SecretPoll)
	if err := poller.SetupWithManager(mgr, polling); err != nil {
		return readers{}, fmt.Errorf("setting up the polling of Secrets: %w", err)
	}
	return readers{poller.Client(live), poller.Cache(cache), poller.Source}, nil
}
