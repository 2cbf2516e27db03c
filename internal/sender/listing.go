// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// digest stands for a username: 16 bytes of a keyed SHA-256. That some user that a list lacks has the digest of one of its two
// million users has a probability of 2e6/2^128 < 1e-32, and nobody can choose such names, as the key is this process's secret.
type digest [16]byte

var digestKey = rand.Text()

func digestOf(username string) digest {
	sum := sha256.Sum256(append(append(make([]byte, 0, 128), digestKey...), username...))
	return digest(sum[:16])
}

func (d digest) compare(other digest) int { return bytes.Compare(d[:], other[:]) }

// shownUser is a user with what a list says of it.
type shownUser struct {
	digest
	userID string
	hash   [16]byte // of a row with the full name
}

func (u shownUser) compare(other shownUser) int { return u.digest.compare(other.digest) }

// ordered is what has an order.
type ordered[T any] interface{ compare(other T) int }

// set is a set of users: sorted chunks, which take no more than their elements and are never copied while it grows.
type set[T ordered[T]] struct {
	sorted [][]T
	last   []T // not sorted until it is full or the set is complete
}

const chunkSize = 1 << 16

func (s *set[T]) add(user T) {
	if s.last = append(s.last, user); len(s.last) == chunkSize {
		s.seal()
		s.last = make([]T, 0, chunkSize)
	}
}

// seal completes the set.
func (s *set[T]) seal() {
	slices.SortFunc(s.last, T.compare)
	s.sorted, s.last = append(s.sorted, slices.Clip(s.last)), nil
}

func (s *set[T]) has(user T) bool {
	return slices.ContainsFunc(s.sorted, func(chunk []T) bool {
		_, found := slices.BinarySearchFunc(chunk, user, T.compare)
		return found
	})
}

// all returns the elements that are equal to one by comparison.
func (s *set[T]) all(user T) (found []T) {
	for _, chunk := range s.sorted {
		for k, ok := slices.BinarySearchFunc(chunk, user, T.compare); ok && k < len(chunk) && chunk[k].compare(user) == 0; k++ {
			found = append(found, chunk[k])
		}
	}
	return found
}

func (s *set[T]) len() (n int) {
	for _, chunk := range s.sorted {
		n += len(chunk)
	}
	return n
}

// Why a list that was read to its end is not usable.
var (
	lagging = alloy.Answer{Outcome: alloy.Inconclusive, StatusCode: http.StatusOK,
		Message: "the list of users lags behind: it lacks a user that was created before"}
	partial = alloy.Answer{Outcome: alloy.Inconclusive, StatusCode: http.StatusOK,
		Message: "the list of users is not complete: it lacked a user that exists"}
)

// Listing is the list of all users of an account, as read at one time. As long as the sender keeps it, users that the sender sees
// created or existing are added, so that nobody is taken for absent who was created since. It is safe for concurrent use.
type Listing struct {
	began     time.Time
	withIDs   bool
	witness   *digest        // the user that the API had created last when it began; nil for none lately
	shown     set[digest]    // complete before others get the listing
	details   set[shownUser] // of the same users, if it is to have userIds
	mu        sync.RWMutex
	answer    alloy.Answer
	seen      map[digest]struct{} // created or existing since it began
	edited    map[digest]struct{} // their full names were written since it began
	isPartial bool
}

func newListing(began time.Time) *Listing {
	return &Listing{began: began, seen: map[digest]struct{}{}, edited: map[digest]struct{}{}}
}

// Began returns when the request began.
func (l *Listing) Began() time.Time { return l.began }

// Answer says why the list is not usable; its outcome is Listed if it is. Inconclusive means that it is refused, of another shape,
// too long, lagging or partial; Unavailable that it is too slow, or was cut or failed again and again; Unauthorized and Forbidden
// that the key is rejected.
func (l *Listing) Answer() alloy.Answer {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.answer
}

// IsUsable reports whether absence from the list means something: it was read to its end, it does not lag behind what the sender
// has created, and it has not turned out to be partial.
func (l *Listing) IsUsable() bool { return l.Answer().Outcome == alloy.Listed }

// IsPartial reports whether a user that the list lacked turned out to exist: absence from it proves nothing.
func (l *Listing) IsPartial() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.isPartial
}

// Has reports whether the list shows a user, or the sender has seen it created or existing since the list began.
func (l *Listing) Has(username string) bool {
	d := digestOf(username)
	l.mu.RLock()
	_, isSeen := l.seen[d]
	l.mu.RUnlock()
	return isSeen || l.shown.has(d)
}

// Shown returns the userId of a user as the list shows it, and the hash of a row with its full name. It is not ok if the list does not
// show the user, or if the sender has written its full name since, or if the list was not to have userIds. Of several users with the
// same username none has a userId.
func (l *Listing) Shown(username string) (userID, hash string, ok bool) {
	d := digestOf(username)
	l.mu.RLock()
	_, isEdited := l.edited[d]
	l.mu.RUnlock()
	switch shown := l.details.all(shownUser{digest: d}); {
	case len(shown) == 0 || isEdited:
		return "", "", false
	case len(shown) > 1:
		return "", "", true
	default:
		return shown[0].userID, string(shown[0].hash[:]), true
	}
}

// show adds a user that the list has.
func (l *Listing) show(user alloy.ListedUser) {
	d := digestOf(user.Username)
	l.shown.add(d)
	if l.withIDs {
		shown := shownUser{digest: d, userID: strings.Clone(user.UserID)}
		copy(shown.hash[:], users.Hash(users.User{Username: user.Username, FullName: user.FullName}))
		l.details.add(shown)
	}
}

// Len returns how many users the list has.
func (l *Listing) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.shown.len() + len(l.seen)
}

// weight returns the memory that the list takes, in users of 16 bytes.
func (l *Listing) weight() int { return l.Len() + idWeight*l.details.len() }

// saw notes that a user was created, or exists.
func (l *Listing) saw(username string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[digestOf(username)] = struct{}{}
}

// wasEdited notes that the full name of a user was written.
func (l *Listing) wasEdited(username string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.edited[digestOf(username)] = struct{}{}
}

// exists notes that a user exists that this process has not created since the list began, as far as it knows. A list that lacked it
// was partial. It reports whether that was not known.
func (l *Listing) exists(username string) (isNews bool) {
	if has := l.Has(username); !has && l.IsUsable() {
		l.mu.Lock()
		l.isPartial, l.answer, isNews = true, partial, true
		l.mu.Unlock()
	}
	l.saw(username)
	return isNews
}

// finish completes the list. A list that was not read to its end shows nobody.
func (l *Listing) finish(answer alloy.Answer) {
	l.shown.seal()
	if l.details.seal(); answer.Outcome != alloy.Listed {
		l.shown, l.details = set[digest]{}, set[shownUser]{}
	}
	l.answer = answer
}

// lags reports whether a list that was read lacks a user that the API had created before it began.
func (l *Listing) lags() bool {
	return l.IsUsable() && l.witness != nil && !l.shown.has(*l.witness)
}
