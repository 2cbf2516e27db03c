// Package sender sends users to the Alloy API and keeps what became of each until its owner has recorded it. It knows nothing
// of Kubernetes.
//
// Each API key has an account: a goroutine around a state machine (step.go) that does no I/O, has no clock and no locks, and
// decides which users go together into the next request, and what an answer means for each of them. A shell runs it.
// Each owner has a mailbox, in which results wait to be acknowledged.
package sender

import (
	"context"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// API is what the sender needs of the Alloy API. Each call makes at most one request, bounded in time.
type API interface {
	BaseURL() string
	CreateUsers(ctx context.Context, key alloy.Key, batch []users.User) alloy.Answer
	GetUser(ctx context.Context, key alloy.Key, username string) alloy.Answer
	ListUsers(ctx context.Context, key alloy.Key, visit func(username string)) alloy.Answer
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
	InDoubt     bool         // another process may have sent these users already
	NotBefore   time.Time    // when the first request may be sent, at most 15 minutes ahead; zero for at once
}

// State is what became of a user.
type State int

// The states in which a user is settled.
const (
	Created  State = iota + 1 // by a request of ours, as its answer proved
	Existing                  // without such a proof
	Invalid                   // the API does not accept it
)

// Result is what became of one user.
type Result struct {
	State       State
	Unconfirmed bool       // it is Existing, and a request of ours whose answer was lost may have created it
	Sent        users.User // the user as it was sent
	Message     string     // what the API said of an Invalid user, or why it could not be verified; may be empty
}

// settles reports whether a result speaks of a user as it is wanted.
func (r Result) settles(user users.User) bool {
	return r.State == Created || r.State == Existing || r.State == Invalid && r.Sent == user
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
