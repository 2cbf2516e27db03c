// SPDX-License-Identifier: Apache-2.0

package users_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestList(t *testing.T) {
	t.Parallel()
	ann, ann2, bob := users.User{Username: "ann", FullName: "Ann"}, users.User{Username: "ann", FullName: "Anna"}, users.User{Username: "bob"}
	row := func(i int32, u users.User) users.Row { return users.Row{User: u, Index: i} }

	for name, tc := range map[string]struct {
		rows []users.User
		want users.List
	}{
		"an empty list has no rows": {
			want: users.List{},
		},
		"an exact repetition is dropped": {
			rows: []users.User{ann, bob, ann},
			want: users.List{Valid: []users.Row{row(0, ann), row(1, bob)}, Repeated: 1},
		},
		"with another full name the first row wins and the other is a duplicate": {
			rows: []users.User{ann, ann2, bob, ann},
			want: users.List{Valid: []users.Row{row(0, ann), row(2, bob)}, Flawed: []users.Flaw{{Row: row(1, ann2)}}, FlawedCount: 1, Repeated: 1},
		},
		"usernames that differ by case are different": {
			rows: []users.User{bob, {Username: "Bob"}},
			want: users.List{Valid: []users.Row{row(0, bob), row(1, users.User{Username: "Bob"})}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var list users.List
			for i, user := range tc.rows {
				list.Add(row(int32(i), user), "")
			}
			if diff := cmp.Diff(tc.want, list, cmpopts.IgnoreUnexported(users.List{})); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			for i, row := range list.Valid {
				if place, ok := list.Find(row.Username); !ok || place != i {
					t.Errorf("%q is found at %d (%t), not at %d", row.Username, place, ok, i)
				}
			}
		})
	}
}

func TestList_KeepsTheFirstFlawsAndCountsAll(t *testing.T) {
	t.Parallel()
	var list users.List
	for i := range int32(250) {
		list.Add(users.Row{Index: i}, "username is empty")
	}
	if list.FlawedCount != 250 || len(list.Flawed) != users.MaxFlaws || list.Flawed[99].Index != 99 || len(list.Valid) != 0 {
		t.Errorf("%d flaws, %d kept, %d valid", list.FlawedCount, len(list.Flawed), len(list.Valid))
	}
}

func TestHash_DiffersWithEitherField(t *testing.T) {
	t.Parallel()
	seen := map[string]users.User{}
	for _, u := range []users.User{{Username: "ab"}, {Username: "a", FullName: "b"}, {FullName: "ab"}, {Username: "ab", FullName: "x"}} {
		hash := users.Hash(u)
		if len(hash) != 16 {
			t.Errorf("Hash(%v) = %q, want 16 characters", u, hash)
		}
		if other, dup := seen[hash]; dup {
			t.Errorf("%v and %v have the same hash", u, other)
		}
		seen[hash] = u
	}
}

func TestSize_IsNeverBelowTheEncodedSize(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u := users.User{Username: rapid.String().Draw(t, "username"), FullName: rapid.String().Draw(t, "fullName")}
		encoded, err := json.Marshal(map[string]string{"username": u.Username, "fullName": u.FullName})
		if err != nil {
			t.Fatal(err)
		}
		if got := users.Size(u); got < len(encoded) {
			t.Fatalf("Size(%q) = %d, want at least %d", u, got, len(encoded))
		}
	})
}
