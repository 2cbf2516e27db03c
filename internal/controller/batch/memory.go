// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

const (
	// DefaultMaxListMemory is enough for a list of a million users of 60 characters (225 MiB).
	DefaultMaxListMemory = 256 << 20
	// longListsMemory is what all long lists may take together, as a share of what one may: the next one is read once only a
	// quarter is left to be written of the one before.
	longListsMemory = 1.25

	// A short list has at most 1 MiB of text. It has memory of its own, so that long lists do not delay it.
	shortListText   = 1 << 20
	shortListMemory = 36 << 20 // for 1 MiB of ordinary rows in any format
	shortListsTotal = 2 * shortListMemory

	// inlineListMemory is enough for spec.users, which etcd limits to 1.5 MiB and the schema to 10,000 users.
	inlineListMemory = 8 << 20
)

// memory bounds what the lists take that are in memory.
type memory struct{ short, long pool }

// pool is the memory for one kind of lists.
type pool struct {
	*budget.Budget

	most decode.Limits // for one list
}

func newMemory(most int64, wake func(types.NamespacedName)) memory {
	return memory{
		short: pool{budget.New(shortListsTotal, wake), decode.Limits{Text: shortListText, Memory: shortListMemory}},
		long:  pool{budget.New(longListsTotal(most), wake), decode.Limits{Text: most, Memory: most}},
	}
}

// ListsMemory returns the memory, in bytes, that all lists together may take if that of one batch may take most. GOMEMLIMIT must be
// at least as much.
func ListsMemory(most int64) int64 { return shortListsTotal + longListsTotal(most) }

func longListsTotal(most int64) int64 { return int64(longListsMemory * float64(most)) }

// cancel drops what a batch waits for.
func (m memory) cancel(name types.NamespacedName) {
	m.short.Cancel(name)
	m.long.Cancel(name)
}

// ListMemory returns how much of the memory for lists is in use: for the short ones and the long ones. SetupWithManager must have been
// called.
func (r *Reconciler) ListMemory() (short, long budget.Usage) {
	return r.memory.short.Usage(), r.memory.long.Usage()
}
