// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	batchName  = "users"
	warmUpName = "warm-up"
)

// account is an account in the simulator with its own key, the namespace of the Secret with the key, and the users that must
// exist at the end.
type account struct {
	name      string // of the case and of its list of users
	namespace string
	key       string
	users     int
	seeded    bool // the users exist from the start
	warmUp    bool // the warm-up added one user
}

// newAccount returns an account that verifyAccounts checks.
func (b *bench) newAccount(ctx context.Context, name string, users int) (*account, error) {
	a := &account{name: name, namespace: "bench-" + name, key: "key-of-" + name, users: users}
	b.sim.AddKey(a.key)
	b.accounts = append(b.accounts, a)
	return a, b.writeKey(ctx, a)
}

// writeKey creates the namespace of an account and the Secret in it.
func (b *bench) writeKey(ctx context.Context, a *account) error {
	if err := b.newNamespace(ctx, a.namespace); err != nil {
		return err
	}
	return testenv.WriteKey(ctx, b.plane.Client, a.namespace, testenv.SecretName, a.key)
}

// warm makes the operator use the account's key once, so that the case does not start with an unverified key.
func (b *bench) warm(ctx context.Context, a *account) error {
	a.warmUp = true
	return b.createAndAwait(ctx, a, warmUpName, chunk(a.name+warmUpName, 0, 1))
}

// createAndAwait creates a batch without measuring it.
func (b *bench) createAndAwait(ctx context.Context, a *account, name string, list []users.User) error {
	body, err := batch(name, inline(list))
	if err != nil {
		return err
	}
	if err := b.create(ctx, a.namespace, body); err != nil {
		return err
	}
	_, err = b.awaitBatch(ctx, a.namespace, name, len(list))
	return err
}

// putFiles creates the ConfigMaps of an account's batch.
func (b *bench) putFiles(ctx context.Context, a *account) error {
	for i := range files(a.users) {
		if err := b.putFile(ctx, a, i, i*rowsPerFile, min(a.users, (i+1)*rowsPerFile)); err != nil {
			return err
		}
	}
	return nil
}

// putFile writes one of the ConfigMaps of an account's batch.
func (b *bench) putFile(ctx context.Context, a *account, i, from, to int) error {
	file, err := csvFile(a.name, from, to)
	if err != nil {
		return err
	}
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: fileName(i)},
		BinaryData: map[string][]byte{fileKey: file},
	}
	if to > a.users { // it exists
		err = b.plane.Client.Update(ctx, configMap)
	} else {
		err = b.plane.Client.Create(ctx, configMap)
	}
	if err != nil {
		return fmt.Errorf("writing the users to a ConfigMap: %w", err)
	}
	return nil
}

// verifyAccounts checks that the simulator has exactly the wanted users.
func (b *bench) verifyAccounts() error {
	for _, a := range b.accounts {
		wanted := make(map[string]string, a.users+1)
		for i := range a.users {
			u := user(a.name, i)
			if a.seeded {
				u.FullName = ""
			}
			wanted[u.Username] = u.FullName
		}
		if a.warmUp {
			u := user(a.name+warmUpName, 0)
			wanted[u.Username] = u.FullName
		}
		for _, held := range b.sim.Users(a.key) {
			fullName, ok := wanted[held.Username]
			if !ok || fullName != held.FullName {
				return fmt.Errorf("case %s: the simulator holds %q, %q, which was not wanted", a.name, held.Username, held.FullName)
			}
			delete(wanted, held.Username)
		}
		if len(wanted) > 0 {
			return fmt.Errorf("case %s: the simulator lacks %d users", a.name, len(wanted))
		}
	}
	say("The simulator holds exactly the users that were wanted")
	return nil
}
