// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"context"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

const (
	// maxKept bounds the memory of all lists that are kept, in users of 16 bytes. One more list may be being read.
	maxKept = 2 * alloy.MaxListed
	// idWeight is how much more a user takes with its userId, and the hash of its full name.
	idWeight = 5
	// witnessKept is how long a list must show the user that was created last. Later that user may have been deleted by others; a
	// list that lags so far behind is found to be partial.
	witnessKept = 10 * time.Minute
)

// keyFacts is what is remembered of a key as long as the process runs.
type keyFacts struct {
	isAccepted bool      // the API has served the key: then a 403 is not about the key
	witness    digest    // the user that the API created last
	witnessed  time.Time // when it answered so; zero for never
}

// List returns the newest list of the users of a key's account if it began at or after some time; else nil, and has one read. It does
// not block. Options.Listed tells when a list was read, or cannot be. Many that ask share one list. It keeps the userIds and full
// names only if somebody has asked for them, because they take about 70 bytes for each user.
func (s *Sender) List(key alloy.Key, since time.Time, withIDs bool) *Listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	shell := s.shell(key)
	w := wish{since, withIDs}
	shell.withIDs = shell.withIDs || withIDs
	shell.put(w)
	if shell.keeps(w) {
		return shell.listing
	}
	return nil
}

// keeps reports whether a shell has the list that somebody wishes for. The sender's lock is held.
func (s *shell) keeps(w wish) bool {
	l := s.listing
	return l != nil && !l.began.Before(w.since) && (!w.withIDs || l.withIDs || !l.IsUsable())
}

// beginList prepares a list that is to be read.
func (s *Sender) beginList(shell *shell, r *request) *Listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := newListing(shell.timeOf(r.began))
	l.withIDs = shell.withIDs
	if facts := s.facts(shell.fingerprint); l.began.Sub(facts.witnessed) < witnessKept {
		witness := facts.witness
		l.witness = &witness
	}
	shell.reading = l
	return l
}

// readList reads a list, unless the sender is stopped meanwhile: nothing depends on it.
func (s *Sender) readList(shell *shell, r *request, l *Listing) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	found := map[string]struct{}{}
	answer := s.api.ListUsers(ctx, shell.key, func(user alloy.ListedUser) {
		l.show(user)
		if _, wanted := r.read.wanted[user.Username]; wanted {
			found[user.Username] = struct{}{}
		}
	})
	l.finish(answer)
	<-s.listSlot
	s.post(shell, answered{request: r, answer: answer, found: found, listing: l, lags: l.lags()})
}

// noteSeen adds the users that an account has seen to its lists: first those that it has created.
func (s *Sender) noteSeen(shell *shell, updates []*update) {
	lists := []*Listing{shell.reading, shell.listing}
	for _, u := range updates {
		if u.witness != "" {
			facts := s.facts(shell.fingerprint)
			facts.witness, facts.witnessed = digestOf(u.witness), time.Now()
		}
		for username, result := range u.results {
			for _, l := range lists {
				switch {
				case l == nil:
				case result.State == Created, result.Unconfirmed:
					l.saw(username)
				case result.State == Identified:
					l.wasEdited(username)
				}
			}
		}
	}
	for _, u := range updates {
		for username, result := range u.results {
			if result.State != Existing {
				continue
			}
			if shell.reading != nil {
				shell.reading.saw(username)
			}
			if shell.listing != nil && shell.listing.exists(username) {
				shell.put(wasPartial{})
			}
		}
	}
}

// noteList keeps or forgets a list as an account decided. Of all lists the oldest are forgotten if they have too many users.
func (s *Sender) noteList(shell *shell, d decision) {
	if d.forgetsList {
		shell.listing = nil
	}
	if d.listed == nil {
		return
	}
	l := d.listed.listing
	if l != nil {
		shell.reading = nil
	} else {
		l = newListing(shell.timeOf(d.listed.began))
	}
	if !d.listed.isWished {
		return
	}
	l.answer, shell.listing = d.listed.answer, l
	for {
		oldest, sum := shell, 0
		for _, other := range s.shells {
			if other.listing != nil {
				if sum += other.listing.weight(); other.listing.began.Before(oldest.listing.began) {
					oldest = other
				}
			}
		}
		if sum <= maxKept || oldest == shell {
			return
		}
		oldest.listing = nil
	}
}

// facts returns what is remembered of a key.
func (s *Sender) facts(fingerprint string) *keyFacts {
	if s.keys[fingerprint] == nil {
		s.keys[fingerprint] = &keyFacts{}
	}
	return s.keys[fingerprint]
}
