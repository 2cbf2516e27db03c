// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// failingAPI fails on every request.
type failingAPI struct{ noAPI }

func (failingAPI) CreateUsers(context.Context, alloy.Key, []users.User) alloy.Answer {
	return answerOf(503, "")
}

// lockedSource is a source of chance that counts how often it was asked, and how often somebody held the sender's lock then.
type lockedSource struct {
	rand.Source

	sender        *Sender
	asked, locked int
}

func (l *lockedSource) Uint64() uint64 {
	l.asked++
	if l.sender.mu.TryLock() {
		l.sender.mu.Unlock()
	} else {
		l.locked++
	}
	return l.Source.Uint64()
}

// TestShell_AccountsDecideWithoutTheLock has an account decide how long it waits after a failure. A decision about many owners of the
// same users takes long, and must not keep the accounts of other keys waiting.
func TestShell_AccountsDecideWithoutTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(failingAPI{}, DefaultOptions, func(ID) {})
		source := &lockedSource{Source: rand.NewPCG(1, 0), sender: s}
		key := &simKeys[0]
		shell := newShell(key.key, key.fingerprint, DefaultOptions)
		shell.account = newAccount(DefaultOptions, rand.New(source))
		s.shells[key.fingerprint] = shell
		s.running.Go(func() { s.run(shell) })
		s.Submit(Work{ID: ID{Name: "a"}, Key: key.key, Users: batch("a", 10, fine)})
		time.Sleep(time.Minute)
		s.Stop()
		s.Wait()
		if source.asked == 0 || source.locked > 0 {
			t.Errorf("of %d decisions %d were made while the lock was held", source.asked, source.locked)
		}
	})
}
