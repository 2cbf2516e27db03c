// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/digest"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// tally is what comparing the slices of a batch with the account's list found.
type tally struct {
	known     int               // users that exist by their results
	missing   int               // of them, those that the list lacks
	retriable int               // users that the API rejected
	outdated  int               // users that the operator owns and that the list shows in another way
	usernames [sha256.Size]byte // digest of those that are missing
}

// add compares a slice with the list.
func (t *tally) add(slice *v1alpha1.EmbeddedUserSlice, list ledger.List) {
	_, outdated := ledger.Correct(slice, list)
	t.outdated += outdated
	ledger.Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, known bool) {
		switch {
		case !known || ledger.IsSent(user, result): // it is sent whatever the list says
		case !ledger.Exists(result):
			t.retriable++
		default:
			if t.known++; !list.Has(user.Username) {
				t.missing++
				// The order of the slices must not matter, and a million usernames take too much memory to be sorted.
				for i, b := range sha256.Sum256([]byte(user.Username)) {
					t.usernames[i] ^= b
				}
			}
		}
	})
}

// isOtherAccount reports whether so many users are missing under another key that it is probably another account's, or a development
// key in place of the production key.
func (t tally) isOtherAccount() bool { return t.missing*2 > t.known }

// approval returns the value of the annotation that approves the creation of the missing users under a key. It is valid once: until
// the next look-up is over.
func (t tally) approval(batch *cached.Batch, fingerprint string) string {
	return digest.Of(string(batch.UID), fingerprint, lastResync(batch), hex.EncodeToString(t.usernames[:]))
}

// compare compares the stored slices of a batch with the account's list.
func (r *Reconciler) compare(ctx context.Context, v view, list AccountList) (t tally, err error) {
	err = r.eachSlice(ctx, v, func(slice *v1alpha1.EmbeddedUserSlice) {
		if slice.DeletionTimestamp.IsZero() {
			t.add(slice, list)
		}
	})
	return t, err
}

// rewrite has the results of a batch's slices rewritten, of at most so many slices; 0 for all. The error is errCacheBehind if any
// were. The slice controller owns the status of a slice, so each write requires the version that was read, and the status describes
// no generation until that controller has looked at it.
func (r *Reconciler) rewrite(
	ctx context.Context, v view, most int, results func(*v1alpha1.EmbeddedUserSlice) (next []v1alpha1.UserResult, changed int),
) error {
	written := 0
	var failed error
	err := r.eachSlice(ctx, v, func(slice *v1alpha1.EmbeddedUserSlice) {
		if failed != nil || most > 0 && written == most || !slice.DeletionTimestamp.IsZero() {
			return
		}
		next, changed := results(slice)
		if changed == 0 {
			return
		}
		slice.Status.Results, slice.Status.Counts, slice.Status.ObservedGeneration = next, ledger.Count(slice, next), -1
		if failed = r.Client.Status().Update(ctx, slice); failed != nil {
			failed = fmt.Errorf("having users of slice %q looked at again: %w", slice.Name, failed)
			return
		}
		r.versions.Note(v.name(), slice)
		written++
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case written > 0:
		return errCacheBehind
	default:
		return nil
	}
}
