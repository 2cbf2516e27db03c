// SPDX-License-Identifier: Apache-2.0

package planning

import (
	"hash/maphash"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Limits of an operator with its defaults: it sends requests one at a time, and begins at most 10 a second after a burst of 20.
const (
	usersPerRequest   = 1000
	requestsPerSecond = 10
	burst             = 20
)

// Plan is what the operator would do for a list, given the slices that there are.
type Plan struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Send      Send   `json:"send"`
	Settled   Done   `json:"settled"`
	// InvalidRows are rows that are invalid by themselves, and RepeatedRows those that count once with an earlier one.
	InvalidRows  int `json:"invalidRows"`
	RepeatedRows int `json:"repeatedRows"`
	// Leave counts the users that are in slices and not in the list.
	Leave int `json:"leave"`
	// AnotherKey reports whether the slices have another API key than the batch: the users are looked up with the new one first.
	AnotherKey bool `json:"anotherKey,omitempty"`
	// Requests is how many requests it takes at least, and Seconds how long they take at least.
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
}

// Send counts users that the operator would send.
type Send struct {
	New       int `json:"new"`       // are in no slice
	Waiting   int `json:"waiting"`   // are in a slice, without a result
	Again     int `json:"again"`     // have a result that is to be confirmed
	Corrected int `json:"corrected"` // were rejected as another row
}

// Done counts users that the operator would not send, by result.
type Done struct {
	Created  int `json:"created"`
	Existing int `json:"existing"`
	Invalid  int `json:"invalid"`
}

// Users returns the number of users to be sent.
func (s Send) Users() int { return s.New + s.Waiting + s.Again + s.Corrected }

// HasWork reports whether the operator would change anything.
func (p *Plan) HasWork() bool { return p.Send.Users() > 0 || p.Leave > 0 || p.AnotherKey }

// state is what is known of a user of a slice.
type state uint8

const (
	rankBits  state = 3 // as ledger.Rank
	isPending state = 4
	isWanted  state = 8 // by the list
)

// comparison compares a list with slices. It keeps hashes of usernames, as [tally.Tally] does.
type comparison struct {
	seed    maphash.Seed
	users   map[uint64]state
	invalid map[uint64]v1alpha1.UserResult // users that the API rejected
	plan    *Plan
}

func newComparison(plan *Plan) *comparison {
	return &comparison{seed: maphash.MakeSeed(), users: map[uint64]state{}, invalid: map[uint64]v1alpha1.UserResult{}, plan: plan}
}

// addSlice adds the users of a slice, and those that left it and whose results it still has.
func (c *comparison) addSlice(slice *v1alpha1.EmbeddedUserSlice) {
	for _, user := range slice.Spec.Users {
		key := maphash.String(c.seed, user.Username)
		c.users[key] |= 0
	}
	for _, result := range slice.Status.Results {
		key, rank := maphash.String(c.seed, result.Username), state(ledger.Rank(result)) //nolint:gosec // at most 3
		if rank < c.users[key]&rankBits {
			continue // another slice has a better one
		}
		if result.Pending != "" {
			rank |= isPending
		}
		if c.users[key] = rank; result.Result == v1alpha1.ResultInvalid {
			c.invalid[key] = result
		}
	}
}

// addUser adds a user of the list. All slices must have been added.
func (c *comparison) addUser(user users.User) error {
	key := maphash.String(c.seed, user.Username)
	is, known := c.users[key]
	send, settled := &c.plan.Send, &c.plan.Settled
	rejected := c.invalid[key]
	switch {
	case !known:
		send.New++
		return nil
	case is&rankBits == 0:
		send.Waiting++
	case is&isPending != 0:
		send.Again++
	case is&rankBits == 3:
		settled.Created++
	case is&rankBits == 2:
		settled.Existing++
	case ledger.Settled(v1alpha1.User(user), rejected):
		settled.Invalid++
	default:
		send.Corrected++
	}
	c.users[key] = is | isWanted
	return nil
}

// end completes the plan, after all users of the list have been added.
func (c *comparison) end() {
	for _, is := range c.users {
		if is&isWanted == 0 {
			c.plan.Leave++
		}
	}
	c.plan.Requests = (c.plan.Send.Users() + usersPerRequest - 1) / usersPerRequest
	c.plan.Seconds = shortest(c.plan.Requests).Seconds()
}

// shortest returns how long a number of requests take at least, however fast the API answers.
func shortest(requests int) time.Duration {
	return time.Duration(max(requests-burst, 0)) * time.Second / requestsPerSecond
}
