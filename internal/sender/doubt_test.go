// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// newDoubts makes a queue that remembers doubts about users that nobody wants any more since the first moment.
func newDoubts(held time.Duration, usernames ...string) *queue {
	q, list := &queue{index: map[string]*entry{}, owners: map[ownerKey]*owner{}}, []users.User{}
	for _, username := range usernames {
		list = append(list, users.User{Username: username})
	}
	q.submit(1, ID{Name: "first"}, list)
	for _, username := range usernames {
		q.doubt(q.index[username], held)
	}
	q.submit(1, ID{Name: "first"}, nil)
	return q
}

func TestDoubt_IsForgottenAfterAWhile(t *testing.T) {
	for name, tc := range map[string]struct {
		held, want time.Duration
	}{
		"while the API is not working on the user":        {0, doubtKept + 1},
		"while the API is working on it, but not so long": {doubtKept - 1, doubtKept + 1},
		"once the API has stopped, if that takes longer":  {2 * time.Minute, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			q := newDoubts(tc.held, "a")
			if at := q.expire(tc.want - 1); at != tc.want || q.index["a"] == nil {
				t.Errorf("at %v it expires at %v, %+v; want %v", tc.want-1, at, q.index["a"], tc.want)
			}
			if at := q.expire(tc.want); at != never || q.index["a"] != nil {
				t.Errorf("at %v it expires at %v, %+v", tc.want, at, q.index["a"])
			}
		})
	}
}

// TestDoubt_ExpiresWhateverBecomesOfOthers has a user be wanted again for a moment that is before another one.
func TestDoubt_ExpiresWhateverBecomesOfOthers(t *testing.T) {
	q, second := newDoubts(0, "a", "b"), ID{Name: "second"}
	q.submit(20*time.Second, second, []users.User{{Username: "a"}})
	q.submit(20*time.Second+1, second, nil)
	if at := q.expire(doubtKept + 1); at != 20*time.Second+1+doubtKept || q.index["a"] == nil || q.index["b"] != nil {
		t.Errorf("the next one expires at %v, a: %+v, b: %+v", at, q.index["a"], q.index["b"])
	}
	q.submit(doubtKept+2, second, []users.User{{Username: "a"}})
	if at := q.expire(time.Hour); at != never || q.index["a"] == nil || !q.index["a"].inDoubt {
		t.Errorf("somebody wants a, %+v, which expires at %v", q.index["a"], at)
	}
}

func TestDoubt_ALongOneKeepsNoOther(t *testing.T) {
	q, second := newDoubts(2*time.Minute, "a"), ID{Name: "second"}
	q.submit(1, second, []users.User{{Username: "b"}})
	q.doubt(q.index["b"], 0)
	q.submit(2, second, nil)
	if at := q.expire(doubtKept + 2); at != 2*time.Minute || q.index["a"] == nil || q.index["b"] != nil {
		t.Errorf("the next one expires at %v, a: %+v, b: %+v", at, q.index["a"], q.index["b"])
	}
}
