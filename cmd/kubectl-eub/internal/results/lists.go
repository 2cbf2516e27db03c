// SPDX-License-Identifier: Apache-2.0

package results

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/tally"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// index knows the row of each username in the lists of a batch. It keeps hashes: two usernames with the same hash of 64 bits would be taken
// for one, which a list of a million users has by a chance of one in many millions. Its entries are in sorted buckets by the first bits
// of the hash, which a million users fill with 20 MiB; a map of as many takes 30.
type index struct {
	seed    maphash.Seed
	sources []string
	buckets [1 << bucketBits][]entry
}

// bucketBits keeps the buckets of a million users so short (244 entries) that inserting costs little.
const bucketBits = 12

// entry is where a username is first named.
type entry struct {
	name  uint64 // its hash
	place place
}

// place packs where the first row with a username is, and a hash of its full name: 8 bits for the source, 32 for the row, 24 for the hash.
type place uint64

const hashBits = 24

func placeOf(source int, row int32, fullName uint64) place {
	//nolint:gosec // there are at most 65 sources, and no negative rows
	return place(source)<<56 | place(uint32(row))<<hashBits | place(fullName&(1<<hashBits-1))
}

func (p place) source() int              { return int(p >> 56) }
func (p place) row() int32               { return int32(p >> hashBits) } //nolint:gosec // the lower 32 bits
func (p place) isOf(name uint64) bool    { return uint64(p)&(1<<hashBits-1) == name&(1<<hashBits-1) }
func (x *index) hash(text string) uint64 { return maphash.String(x.seed, text) }

// readLists reads the lists of a batch as the operator does, and visits the rows that are invalid by themselves. The error is about a list
// that cannot be read.
func readLists(ctx context.Context, reader client.Reader, batch *v1alpha1.EmbeddedUserBatch, visit func(Row) error) (*index, error) {
	x := &index{seed: maphash.MakeSeed(), sources: []string{sourceOf(nil)}}
	for i, row := range batch.Spec.Users {
		user := users.User(row)
		if err := x.add(int32(i), user, users.Problem(user), visit); err != nil {
			return nil, err
		}
	}
	for i := range batch.Spec.UsersFrom {
		source := &batch.Spec.UsersFrom[i]
		data, err := access.List(ctx, reader, batch.Namespace, source)
		if err != nil {
			return nil, err //nolint:wrapcheck // names the list
		}
		kind, ref := usersource.Reference(source)
		x.sources = append(x.sources, sourceOf(&v1alpha1.SourceKey{Kind: kind, Name: ref.Name, Key: ref.Key}))
		if data == nil {
			continue // it is optional, or SourcesRead says that it is missing
		}
		_, err = usersource.Rows(ctx, source, data, tally.Limits, func(row decode.Row) error {
			return x.add(int32(row.Index), row.User, row.Problem, visit) //nolint:gosec // bounded by the size of a list
		})
		if err != nil {
			return nil, err //nolint:wrapcheck // names the list
		}
	}
	return x, nil
}

// add notes the row of the last source, as [users.List] does. It visits the row if it is invalid.
func (x *index) add(row int32, user users.User, problem string, visit func(Row) error) error {
	source := len(x.sources) - 1
	name, fullName := x.hash(user.Username), x.hash(user.FullName)
	bucket, at, isSeen := x.find(name)
	invalid := v1alpha1.InvalidUser{Username: user.Username, Row: row, Reason: v1alpha1.InvalidReasonInvalidRow, Message: problem}
	switch {
	case problem != "":
	case isSeen && !(*bucket)[at].place.isOf(fullName):
		invalid.Reason, invalid.Message = v1alpha1.InvalidReasonDuplicateUsername, users.DuplicateProblem
	case isSeen:
		return nil // it counts once
	default:
		*bucket = slices.Insert(*bucket, at, entry{name: name, place: placeOf(source, row, fullName)})
		return nil
	}
	found := invalidRow(invalid)
	found.Source = x.sources[source]
	return visit(found)
}

// locate adds to a row where its user is first named.
func (x *index) locate(row *Row) {
	if bucket, at, known := x.find(x.hash(row.Username)); known {
		place := (*bucket)[at].place
		index := place.row()
		row.Source, row.Row = x.sources[place.source()], &index
	}
}

// find returns where the entry of a username is, or belongs.
func (x *index) find(name uint64) (bucket *[]entry, at int, known bool) {
	bucket = &x.buckets[name>>(64-bucketBits)]
	at, known = slices.BinarySearchFunc(*bucket, name, func(e entry, name uint64) int { return cmp.Compare(e.name, name) })
	return bucket, at, known
}
