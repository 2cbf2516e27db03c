// SPDX-License-Identifier: Apache-2.0

package secretpoll

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// version is that of a Secret, zero if there is none.
type version struct {
	uid    types.UID
	number string
}

// seen is the version of a Secret that was read last, and when that was known.
type seen struct {
	version

	at time.Time
}

// versionOf returns the version of a Secret from the answer to a GET, and whether the answer gives one.
func versionOf(object client.Object, err error) (version, bool) {
	switch {
	case err == nil:
		return version{object.GetUID(), object.GetResourceVersion()}, true
	case apierrors.IsNotFound(err):
		return version{}, true
	default:
		return version{}, false
	}
}

// version returns the version of a Secret that is known. Of one that is not it reads the version, and schedules it.
func (p *Poller) version(ctx context.Context, secret types.NamespacedName) (version, error) {
	if is, ok := p.lookup(secret); ok {
		return is, nil
	}
	is, err, _ := p.reads.Do(secret.String(), func() (any, error) {
		if is, ok := p.lookup(secret); ok { // another read has just ended
			return is, nil
		}
		is, err := p.get(ctx, secret)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.known[secret] = seen{is, time.Now()}
		p.schedule(secret)
		return is, nil
	})
	if err != nil {
		return version{}, err //nolint:wrapcheck // get wraps it
	}
	return is.(version), nil
}

func (p *Poller) lookup(secret types.NamespacedName) (version, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.known[secret]
	return known.version, ok
}

// schedule has a Secret read again. The caller holds the lock.
func (p *Poller) schedule(secret types.NamespacedName) {
	if p.queue != nil {
		p.queue.AddAfter(reconcile.Request{NamespacedName: secret}, p.wait())
	}
}

// read reads the version of a Secret that is known again.
func (p *Poller) read(ctx context.Context, secret types.NamespacedName) error {
	began := time.Now()
	is, err := p.get(ctx, secret)
	if err == nil {
		p.note(ctx, secret, is, began)
	}
	return err
}

// get gets the version of a Secret from the API server.
func (p *Poller) get(ctx context.Context, secret types.NamespacedName) (version, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	metadata := cached.Metadata(cached.SecretKind)
	err := p.live.Get(ctx, secret, metadata)
	is, ok := versionOf(metadata, err)
	if !ok {
		return version{}, fmt.Errorf("reading the metadata of Secret %q: %w", secret.Name, err)
	}
	return is, nil
}

// note records the version of a Secret, if the poller knows it, and tells the controllers if it has changed. The read that gave the
// version began at a time: an older version than the known one counts only if that was known before, because then etcd was restored.
func (p *Poller) note(ctx context.Context, secret types.NamespacedName, is version, began time.Time) {
	p.mu.Lock()
	was, ok := p.known[secret]
	if !ok || was.version == is || is.isBefore(was.version) && began.Before(was.at) {
		p.mu.Unlock()
		return
	}
	p.known[secret] = seen{is, time.Now()}
	handlers := p.handlers
	p.mu.Unlock()
	changed := cached.Metadata(cached.SecretKind)
	is.describe(changed, secret)
	for _, handle := range handlers {
		handle(ctx, changed)
	}
}

// isBefore reports whether a version of the same Secret is older than another.
func (v version) isBefore(other version) bool {
	order, err := resourceversion.CompareResourceVersion(v.number, other.number)
	return v.uid == other.uid && err == nil && order < 0
}

// describe writes a version into the metadata of a Secret.
func (v version) describe(metadata *metav1.PartialObjectMetadata, secret types.NamespacedName) {
	metadata.Namespace, metadata.Name = secret.Namespace, secret.Name
	metadata.UID, metadata.ResourceVersion = v.uid, v.number
}

// Cache returns a reader that takes the metadata of Secrets from the poller, and everything else from another reader. The metadata has
// only the name, the UID and the resourceVersion.
func (p *Poller) Cache(other client.Reader) client.Reader { return cache{other, p} }

type cache struct {
	client.Reader

	poller *Poller
}

// Get takes the metadata of a Secret from the poller.
func (c cache) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	metadata, ok := object.(*metav1.PartialObjectMetadata)
	if !ok || metadata.GroupVersionKind() != cached.SecretKind {
		return c.Reader.Get(ctx, key, object, options...) //nolint:wrapcheck // as the other reader
	}
	is, err := c.poller.version(ctx, key)
	if err != nil {
		return err
	}
	if is == (version{}) {
		return apierrors.NewNotFound(corev1.Resource("secrets"), key.Name) //nolint:wrapcheck // as the API server says it
	}
	is.describe(metadata, key)
	return nil
}

// Client returns a client that lets the poller know the version of each Secret that it gets. Otherwise the poller would name the version
// before, and the Secret be read again and again.
func (p *Poller) Client(other client.Client) client.Client { return noting{other, p} }

type noting struct {
	client.Client

	poller *Poller
}

// Get lets the poller know the version of a Secret.
func (n noting) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	began := time.Now()
	err := n.Client.Get(ctx, key, object, options...)
	if _, ok := object.(*corev1.Secret); ok {
		if is, ok := versionOf(object, err); ok {
			n.poller.note(ctx, key, is, began)
		}
	}
	return err //nolint:wrapcheck // as the other client
}
