// SPDX-License-Identifier: Apache-2.0

package planning

import (
	"hash/maphash"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
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
	// Names counts the users that exist whose full names would be written.
	Names int `json:"names,omitempty"`
	// Unidentified counts the users that would be looked up, so that their full names can be written later.
	Unidentified int `json:"unidentified,omitempty"`
	// Leave counts the users that are in slices and not in the list.
	Leave int `json:"leave"`
	// AnotherKey reports whether the slices have another API key than the batch: the users are looked up with the new one first.
	AnotherKey bool `json:"anotherKey,omitempty"`
	// AwaitsApproval reports whether nothing is sent before somebody approves another API key.
	AwaitsApproval bool `json:"awaitsApproval,omitempty"`
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
	Second    int `json:"second"`    // were rejected once, which is tried a second time
}

// Done counts users that the operator would not send, by result.
type Done struct {
	Created  int `json:"created"`
	Existing int `json:"existing"`
	Invalid  int `json:"invalid"`
}

// Users returns the number of users to be sent.
func (s Send) Users() int { return s.New + s.Waiting + s.Again + s.Corrected + s.Second }

// HasWork reports whether the operator would change anything.
func (p *Plan) HasWork() bool {
	return p.Send.Users() > 0 || p.Names > 0 || p.Unidentified > 0 || p.Leave > 0 || p.AnotherKey
}

// state is what is known of a user of a slice, and above that a hash of the hash that its result has of the row, if any.
type state uint64

const (
	rankBits       state = 3 // as ledger.Rank
	isPending      state = 4
	isWanted       state = 8  // by the list
	isOwned        state = 16 // the operator is to keep the full name
	isUnidentified state = 32
	isRetriable    state = 64
	isInSlice      state = 128 // in its spec, rather than only in results that it still has

	hashShift = 8
)

func (s state) with(flag state, isSet bool) state {
	if isSet {
		s |= flag
	}
	return s
}

// comparison compares a list with slices. It keeps hashes of usernames, as [tally.Tally] does.
type comparison struct {
	seed   maphash.Seed
	users  map[uint64]state
	policy v1alpha1.UpdatePolicy // of the list
	plan   *Plan
}

func newComparison(plan *Plan, policy v1alpha1.UpdatePolicy) *comparison {
	return &comparison{seed: maphash.MakeSeed(), users: map[uint64]state{}, policy: policy, plan: plan}
}

func (c *comparison) hash(row string) state { return state(maphash.String(c.seed, row)) << hashShift }

// addSlice adds the users of a slice, and those that left it and whose results it still has.
func (c *comparison) addSlice(slice *v1alpha1.EmbeddedUserSlice) {
	for _, user := range slice.Spec.Users {
		key := maphash.String(c.seed, user.Username)
		c.users[key] |= isInSlice
	}
	for _, result := range slice.Status.Results {
		key, is := maphash.String(c.seed, result.Username), state(ledger.Rank(result)) //nolint:gosec // at most 3
		if is < c.users[key]&rankBits {
			continue // another slice has a better one
		}
		is = is.with(isPending, result.Pending != "").with(isRetriable, ledger.IsRetriable(result))
		if c.policy == v1alpha1.UpdatePolicyUpdate {
			is = is.with(isOwned, ledger.Owns(result)).with(isUnidentified, ledger.IsUnidentified(result))
		}
		if result.Hash != "" {
			is |= c.hash(result.Hash)
		}
		c.users[key] = is | c.users[key]&isInSlice
	}
}

// addUser adds a user of the list. All slices must have been added.
func (c *comparison) addUser(user users.User) error {
	key := maphash.String(c.seed, user.Username)
	is, known := c.users[key]
	isSame := func() bool { return is>>hashShift == c.hash(users.Hash(user))>>hashShift } // as the row that was sent
	send, settled := &c.plan.Send, &c.plan.Settled
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
		if is&isUnidentified != 0 {
			c.plan.Unidentified++
		}
		if is&isOwned != 0 && user.FullName != "" && !isSame() {
			c.plan.Names++
		}
	case is&rankBits == 2:
		settled.Existing++
	case !isSame():
		send.Corrected++
	case is&isRetriable != 0:
		send.Second++
	default:
		settled.Invalid++
	}
	c.users[key] = is | isWanted
	return nil
}

// end completes the plan, after all users of the list have been added.
func (c *comparison) end() {
	for _, is := range c.users {
		if is&isInSlice != 0 && is&isWanted == 0 {
			c.plan.Leave++
		}
	}
	lookups := c.plan.Unidentified
	if lookups > ledger.MaxReads {
		lookups = 1 // the list of all users
	}
	c.plan.Requests = (c.plan.Send.Users()+v1alpha1.MaxSliceUsers-1)/v1alpha1.MaxSliceUsers + c.plan.Names + lookups
	c.plan.Seconds = shortest(c.plan.Requests).Seconds()
}

// shortest returns how long a number of requests take at least, however fast the API answers, if the operator has its default limits.
func shortest(requests int) time.Duration {
	limits := sender.DefaultOptions
	return time.Duration(float64(max(requests-limits.Burst, 0)) / limits.RequestsPerSecond * float64(time.Second))
}
