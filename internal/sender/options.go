package sender

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// Options of a Sender. Every field must be set unless it says otherwise.
type Options struct {
	RequestsPerKey int // how many requests may run at once under one key,
	Requests       int // and under all keys together; 0 for any number
	// Linger is how long users wait for others of the same key to share their request while no request of that key is running.
	// 0 sends each owner's users by themselves.
	Linger time.Duration
	// RecordWait bounds how long the next shared request waits until the owners have acknowledged what the last one brought:
	// when they are slow more users gather, and less is lost should the process end. 0 for not at all.
	RecordWait        time.Duration
	RequestsPerSecond float64 // how many requests may begin under one key; 0 for any number
	Burst             int     // how many of them at once
	// RequestTimeout is the longest that the API may work on a request. Users whose answer was lost are held back so long.
	RequestTimeout time.Duration
	BackOff        BackOffs
	NoticeDelay    time.Duration // passes before owners that only wait are told that requests fail
	// SecondRead passes before a user that the API does not show is read once more, in case its reading calls lag behind.
	SecondRead time.Duration
	MaxUsers   int // the most users in a request; 0 for alloy.MaxBatch
	Parts      int // into how many parts a refused request is divided; 0 for 4
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
	RequestsPerKey:    1,
	Requests:          16,
	Linger:            200 * time.Millisecond,
	RecordWait:        5 * time.Second,
	RequestsPerSecond: 10,
	Burst:             20,
	RequestTimeout:    alloy.DefaultTimeout,
	NoticeDelay:       10 * time.Second,
	SecondRead:        30 * time.Second,
	BackOff: BackOffs{
		API:     BackOff{time.Second, 5 * time.Minute},
		Key:     BackOff{10 * time.Second, 15 * time.Minute},
		Refused: BackOff{time.Minute, 15 * time.Minute},
		User:    BackOff{10 * time.Second, 5 * time.Minute},
	},
}

func (o Options) withDefaults() Options {
	o.MaxUsers, o.Parts = cmp.Or(o.MaxUsers, alloy.MaxBatch), cmp.Or(o.Parts, 4)
	return o
}

// next returns the delay that follows another one; 0 stands for none yet.
func (b BackOff) next(last time.Duration) time.Duration { return min(max(2*last, b.Min), b.Max) }

// jitter lengthens a delay by up to a fifth, so that many do not come back at once.
func jitter(chance *rand.Rand, delay time.Duration) time.Duration {
	return delay + time.Duration(chance.Float64()*float64(delay)/5)
}
