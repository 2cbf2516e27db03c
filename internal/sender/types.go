// SPDX-License-Identifier: Apache-2.0

// Package sender sends users to the Alloy API and keeps what became of each until its owner has recorded it. It knows nothing
// of Kubernetes.
//
// Each API key has an account: a goroutine around a state machine (step.go) that does no I/O, has no clock and no locks, and
// decides which users go together into the next request, and what an answer means for each of them. A shell runs it.
// Each owner has a mailbox, in which results wait to be acknowledged.
package sender

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// API is what the sender needs of the Alloy API. Each call makes at most one request, bounded in time. The context of a list is
// canceled when the sender stops.
type API interface {
	BaseURL() string
	CreateUsers(ctx context.Context, key alloy.Key, batch []users.User) alloy.Answer
	GetUser(ctx context.Context, key alloy.Key, username string) alloy.Answer
	UpdateUser(ctx context.Context, key alloy.Key, userID, fullName string) alloy.Answer
	ListUsers(ctx context.Context, key alloy.Key, visit func(alloy.ListedUser)) alloy.Answer
}

// ID names an owner of users. An owner that is deleted and created again under its name has another UID.
type ID struct {
	Namespace, Name, UID string
}

// ownerKey is an ID without its UID: there is one mailbox for each.
type ownerKey struct{ namespace, name string }

func (id ID) key() ownerKey { return ownerKey{id.Namespace, id.Name} }

// Work is what an owner wants done.
type Work struct {
	ID          ID
	Key         alloy.Key
	KeyAccepted bool         // the API is known to have served a request with this key
	Users       []users.User // to create: at most alloy.MaxBatch, with distinct usernames
	// Known are the usernames of users that an answer proved to exist, and that are only asked for again because no list of all
	// users can be read: that the API names them as invalid proves it again. If they are Created, they exist, or do again.
	Known []string
	// Absent are the usernames of users that a list of all users lacked. The results of those that are Created say so.
	Absent    []string
	Edits     []Edit    // of other users, that exist
	InDoubt   bool      // another process may have sent these users already
	NotBefore time.Time // when the first request may be sent, at most 15 minutes ahead; zero for at once
}

// Edit is what is wanted of a user that exists: without a UserID, to learn that; else, to write its full name.
type Edit struct {
	User   users.User
	UserID string
}

// State is what became of a user.
type State int

// The states in which a user is settled.
const (
	Created  State = iota + 1 // by a request of ours, as its answer proved
	Existing                  // without such a proof
	Invalid                   // the API does not accept it
	// Identified is the state of a user that was edited: it has the UserID, and the full name as Sent. Without a UserID that could not be
	// learned.
	Identified
)

// Result is what became of one user.
type Result struct {
	State       State
	Unconfirmed bool       // it is Existing, and a request of ours whose answer was lost may have created it
	WasAbsent   bool       // it is Created, and Work.Absent had it
	Sent        users.User // the user as it was sent
	UserID      string     // of an Identified user
	Message     string     // what the API said of an Invalid user, or why it could not be verified; may be empty
}

// settles reports whether a result speaks of a user as it is wanted.
func (r Result) settles(user users.User) bool {
	return r.State == Created || r.State == Existing || r.State == Invalid && r.Sent == user
}

// fulfills reports whether a result is that of an edit.
func (r Result) fulfills(e Edit) bool {
	return r.State == Identified && (e.UserID == "" || r.UserID == e.UserID && r.Sent == e.User)
}

// Attempt is the last failure that concerns an owner.
type Attempt struct {
	Answer         alloy.Answer // with the API's words only if the request carried no other owner's users
	Time           time.Time    // of the answer
	Waiting        bool         // the owner only waits because requests of others fail
	Next           time.Time    // when a request is made again; it may be another owner's
	Isolating      bool         // the users that the API refuses are being searched for
	KeyRejected    bool         // the API rejected the key
	KeyFingerprint string       // of the key that was used
}

// Report is what is known of an owner's users and not yet recorded.
type Report struct {
	News        bool              // the report holds anything
	Results     map[string]Result // by username
	Failed      *Attempt          // the last failure; nil if it is over
	AcceptedKey string            // fingerprint of the key that the API last served; empty if it served none
	AcceptedAt  time.Time
	InFlight    bool // a request with users of this owner is running, or may be about to begin
	Unmatched   bool // the API named a user as invalid that it was not sent
	revision    int
}

// Callbacks are what a Sender tells of, without locks held.
type Callbacks struct {
	Waited func(time.Duration)      // is told how long each request waited for the rate limit and for requests of other keys
	Listed func(fingerprint string) // is told of which key's account a list was read, or cannot be; optional
}

// Options of a Sender. Every field must be set unless it says otherwise.
type Options struct {
	RequestsPerKey int // how many requests may run at once under one key,
	Requests       int // and under all keys together; 0 for any number
	// Linger is how long users wait for others of the same key to share their request while no request of that key is running.
	// 0 sends each owner's users by themselves.
	Linger time.Duration
	// SharePause passes at least between the begins of two shared requests that are not full, while nothing else is to be sent.
	SharePause        time.Duration
	RequestsPerSecond float64 // how many requests may begin under one key; 0 for any number
	Burst             int     // how many of them at once
	// RequestTimeout is the longest that the API may work on a request. Users whose answer was lost are held back so long.
	RequestTimeout time.Duration
	BackOff        BackOffs
	NoticeDelay    time.Duration // passes before owners that only wait are told that requests fail
	// SecondRead passes before a user that the API does not show is read once more, in case its reading calls lag behind.
	SecondRead time.Duration
	MaxUsers   int // the most users in a request; 0 for alloy.MaxBatch
	Callbacks
}

// BackOffs say how long to wait after each class of failure.
type BackOffs struct {
	API     BackOff // the API fails, or is not reached
	Key     BackOff // the API rejects the key
	Refused BackOff // the API refuses requests whoever is in them
	User    BackOff // requests fail that carry one certain user
}

// BackOff is a delay that doubles from Min to Max.
type BackOff struct{ Min, Max time.Duration }

// maxDelay bounds what a server or a stored time may ask for: a mistake there must not stop everything for a day.
const maxDelay = 15 * time.Minute

// DefaultOptions of a Sender. The vendor publishes neither limits for this API nor what it makes of two requests at once. One
// request at a time carries ten thousand users a second if the API takes 100 ms, and ten requests a second allow no more.
// Sixteen under all keys bound the sockets, the memory and the users that a crash can leave in doubt.
var DefaultOptions = Options{
	RequestsPerKey: 1, Requests: 16, RequestsPerSecond: 10, Burst: 20, RequestTimeout: alloy.DefaultTimeout,
	Linger: 200 * time.Millisecond, SharePause: 2 * time.Second, NoticeDelay: 10 * time.Second, SecondRead: 30 * time.Second,
	Callbacks: Callbacks{Waited: func(time.Duration) {}},
	BackOff: BackOffs{
		API: BackOff{time.Second, 5 * time.Minute}, Key: BackOff{10 * time.Second, 15 * time.Minute},
		Refused: BackOff{time.Minute, 15 * time.Minute}, User: BackOff{10 * time.Second, 5 * time.Minute},
	},
}

// next returns the delay that follows another one; 0 stands for none yet.
func (b BackOff) next(last time.Duration) time.Duration { return min(max(2*last, b.Min), b.Max) }

// jitter lengthens a delay by up to a fifth, so that many do not come back at once.
func jitter(chance *rand.Rand, delay time.Duration) time.Duration {
	return delay + time.Duration(chance.Float64()*float64(delay)/5)
}
