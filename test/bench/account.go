package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	secretName = "alloy"
	batchName  = "users"
	warmUpName = "warm-up"
)

// account is an account in the simulator with a key of its own, the namespace whose Secret holds the key, and the users that
// must be there in the end.
type account struct {
	name      string // of the case, which is also the list that its users are from
	namespace string
	key       string
	users     int
	seeded    bool // they have always been there
	warmUp    bool // there is one more, of the warm-up
}

// newAccount makes an account.
func (b *bench) newAccount(ctx context.Context, name string, users int) (*account, error) {
	a := &account{name: name, namespace: "bench-" + name, key: "key-of-" + name, users: users}
	b.sim.AddKey(a.key)
	if err := b.newNamespace(ctx, a.namespace); err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: secretName},
		Data:       map[string][]byte{"apiKey": []byte(a.key)},
	}
	if err := b.client.Create(ctx, secret); err != nil {
		return nil, fmt.Errorf("creating the Secret: %w", err)
	}
	b.accounts = append(b.accounts, a)
	return a, nil
}

// warm has the operator use the account's key once, as it has in a cluster where it has been working.
func (b *bench) warm(ctx context.Context, a *account) error {
	a.warmUp = true
	body, err := batch(warmUpName, inline(chunk(a.name+warmUpName, 0, 1)))
	if err != nil {
		return err
	}
	if err := b.create(ctx, a.namespace, body); err != nil {
		return err
	}
	_, err = b.awaitBatch(ctx, a.namespace, warmUpName, 1)
	return err
}

// putFile writes one of the files of an account's batch.
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
		err = b.client.Update(ctx, configMap)
	} else {
		err = b.client.Create(ctx, configMap)
	}
	if err != nil {
		return fmt.Errorf("writing the users to a ConfigMap: %w", err)
	}
	return nil
}

// verifyAccounts compares what the simulator holds with what was wanted.
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
