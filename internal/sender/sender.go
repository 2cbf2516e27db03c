// Package sender carries users to the Alloy API and brings back what became of each. It knows nothing of Kubernetes: work
// is handed over under an ID, the answers wait until their owner says that they are recorded, and a callback tells the
// owner that there is news.
//
// Three things live only here, in memory, and are lost with the process: what waits for another attempt, which users are in
// doubt because an answer was lost, and which keys the API accepted.
package sender

import (
	"context"
	"sync"
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

// ID names the owner of some users. An owner that is deleted and made again under its name has another UID.
type ID struct {
	Namespace, Name, UID string
}

// Work is what an owner wants done.
type Work struct {
	ID ID
	// Generation of the owner's wish. A new one ends the waiting that an earlier failure brought about.
	Generation int64
	Key        alloy.Key
	// Users to create: at most alloy.MaxBatch, with distinct usernames.
	Users []users.User
	// InDoubt says that another process may have sent these users already.
	InDoubt bool
	// NotBefore is when the first request may be sent; zero for at once.
	NotBefore time.Time
}

// State is what became of a user.
type State int

// The states in which a user is settled.
const (
	Created  State = iota + 1 // by a request of ours, as its answer proved
	Existing                  // without such a proof
	Invalid                   // the API does not take it
)

// Result is what became of one user.
type Result struct {
	State State
	// Unconfirmed, of an Existing user, reports that a request of ours whose answer was lost may have created it.
	Unconfirmed bool
	// Sent is the user as it was sent.
	Sent users.User
	// Message is what the API said of an Invalid user; empty if it said nothing.
	Message string
}

// Attempt is a try that settled nothing: a request, or the news that another owner's request had the key rejected.
type Attempt struct {
	Answer alloy.Answer
	Time   time.Time // of the answer
	Next   time.Time // when the next one is made

	// Searching reports that the API refused the request because of some users, and that the isolation for them goes on.
	Searching bool

	Generation     int64  // of the work that was tried
	KeyFingerprint string // of the key that was used
}

// Report is what is known of an owner's users and not yet recorded.
type Report struct {
	// News reports that the report holds anything.
	News bool
	// Results by username.
	Results map[string]Result
	// Failed is the last attempt if it failed; nil when it succeeded.
	Failed *Attempt
	// AcceptedKey is the fingerprint of the key that the API last served; empty if it served none.
	AcceptedKey string
	AcceptedAt  time.Time
	// InFlight reports that a request is running now.
	InFlight bool

	revision int
}

// Options of a Sender. Every field has to be set, unless it says otherwise.
type Options struct {
	// RequestsPerKey is how many requests may run at once under one key; Requests under all keys together, 0 for any number.
	RequestsPerKey, Requests int
	// Linger is how long users wait for others of the same key to share their request, while none of that key is running: a
	// request that is running is waited for, and alloy.MaxBatch users do not wait at all. 0 sends each owner's users by themselves.
	Linger time.Duration
	// RecordWait is how long a request counts as running after its answer at most, until its owners have recorded what it brought:
	// when they are slow, more users gather, and less is at stake should the process end. 0 for not at all.
	RecordWait time.Duration
	// RequestsPerSecond is how many requests may begin under one key; 0 for any number. Burst may begin at once.
	RequestsPerSecond float64
	Burst             int
	// MinBackOff passes before a request that may succeed later is repeated, and doubles with each failure up to MaxBackOff,
	// unless the API says how long to wait.
	MinBackOff, MaxBackOff time.Duration
	// ProbeDelay passes before a request is repeated that only a change by somebody can make succeed.
	ProbeDelay time.Duration
	// SearchPause passes when the isolation for refused users has made as many requests as it may.
	SearchPause time.Duration
	// RequestTimeout is the time that the API takes at most for a request.
	RequestTimeout time.Duration
	// SecondLook passes before a user that the API neither took nor holds is looked for once more, in case that its reading
	// calls lag behind.
	SecondLook time.Duration
}

// DefaultOptions of a Sender. The vendor publishes neither limits for this API nor what it makes of two requests at once. One at
// a time carries ten thousand users a second if the API takes 100 ms, and that is what ten requests a second allow anyway; more
// at once only help where it takes longer. Sixteen under all keys let as many accounts be busy, and bound the sockets, the
// memory and what a crash can leave in doubt to 16,000 users. Lingering 200 ms is not noticed by a person.
var DefaultOptions = Options{
	RequestsPerKey:    1,
	Requests:          16,
	Linger:            200 * time.Millisecond,
	RecordWait:        5 * time.Second,
	RequestsPerSecond: 10,
	Burst:             20,
	RequestTimeout:    alloy.DefaultTimeout,
	MinBackOff:        time.Second,
	MaxBackOff:        5 * time.Minute,
	ProbeDelay:        15 * time.Minute,
	SearchPause:       5 * time.Minute,
	SecondLook:        30 * time.Second,
}

// Sender sends the users of many owners. It is safe for concurrent use.
type Sender struct {
	api     API
	options Options
	notify  func(ID)

	stop    chan struct{} // closed by Stop
	running sync.WaitGroup
	total   chan struct{} // holds a token for each request that runs, under any key; nil for no bound

	mu      sync.Mutex
	owners  map[ownerKey]*owner
	queues  map[string]*queue // by key fingerprint; keys are few, so none is ever dropped
	stopped bool
}

// ownerKey is an ID without its UID: there is at most one owner for each.
type ownerKey struct{ namespace, name string }

// New makes a sender. notify is called, without locks held, when there is news for an owner.
func New(api API, options Options, notify func(ID)) *Sender {
	s := &Sender{
		api: api, options: options, notify: notify,
		stop: make(chan struct{}), owners: map[ownerKey]*owner{}, queues: map[string]*queue{},
	}
	if options.Requests > 0 {
		s.total = make(chan struct{}, options.Requests)
	}
	return s
}

// Fingerprint identifies a key at the sender's API.
func (s *Sender) Fingerprint(key alloy.Key) string { return key.Fingerprint(s.api.BaseURL()) }

// Submit replaces what an owner wants done. Users about whom there is an answer already are passed over; a request that is
// running goes on. Submitting the same work again changes nothing.
func (s *Sender) Submit(work Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	key := ownerKey{work.ID.Namespace, work.ID.Name}
	t := s.owners[key]
	if t == nil || t.id != work.ID {
		before := t
		t = newOwner(work.ID, s.options)
		if before != nil {
			t.inherit(before, time.Now().Add(s.options.RequestTimeout))
			before.withdraw()
			before.settleDebt()
		}
		s.owners[key] = t
	}
	t.submit(work, s.queueFor(work.Key).gate)
	if t.next(time.Now()).send && t.isolation == nil {
		s.join(t) // now: of two owners of a username the first is to have it
	}
	s.schedule(t)
}

// schedule has a worker verification what is to be done for a owner. The caller holds the lock.
func (s *Sender) schedule(t *owner) {
	switch {
	case t.active:
		t.wake()
	case s.stopped || t.next(time.Now()).isZero():
		s.drop(t)
	default:
		t.active = true
		s.running.Go(func() { s.run(t) })
	}
}

// drop forgets a owner with which nothing would be lost. The caller holds the lock.
func (s *Sender) drop(t *owner) {
	if key := (ownerKey{t.id.Namespace, t.id.Name}); t.idle() && s.owners[key] == t {
		delete(s.owners, key)
	}
}

// Withdraw ends what an owner wanted done. A request that is running goes on, and its answer is reported.
func (s *Sender) Withdraw(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.owners[ownerKey{id.Namespace, id.Name}]; t != nil && t.id == id {
		t.withdraw()
		t.settleDebt() // nobody may ever record it
	}
}

// Forget drops everything known of an owner that is gone.
func (s *Sender) Forget(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.owners[ownerKey{namespace, name}]; t != nil {
		t.withdraw()
		t.settleDebt()
		delete(s.owners, ownerKey{namespace, name})
	}
}

// Report tells what is known of an owner's users and not yet recorded.
func (s *Sender) Report(id ID) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.owners[ownerKey{id.Namespace, id.Name}]
	if t == nil || t.id != id {
		return Report{}
	}
	return t.report()
}

// Recorded reports that a report was recorded, and need not be kept.
func (s *Sender) Recorded(id ID, report Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.owners[ownerKey{id.Namespace, id.Name}]
	if t == nil || t.id != id {
		return
	}
	t.recorded(report)
	s.drop(t)
}

// Stop starts no more requests, and takes no more work.
func (s *Sender) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stop)
	}
}

// Wait returns when the requests that ran at Stop are over.
func (s *Sender) Wait() { s.running.Wait() }

// Unrecorded returns the owners for whom there is news.
func (s *Sender) Unrecorded() []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []ID
	for _, t := range s.owners {
		if t.unrecorded {
			ids = append(ids, t.id)
		}
	}
	return ids
}

// queueFor returns the queue of a key. The caller holds the lock.
func (s *Sender) queueFor(key alloy.Key) *queue {
	fingerprint := s.Fingerprint(key)
	p := s.queues[fingerprint]
	if p == nil {
		p = newQueue(newGate(fingerprint, key, s.options, s.total))
		s.queues[fingerprint] = p
	}
	return p
}
