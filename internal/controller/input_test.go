// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestInput_RefusedWhenItIsApplied tests the first table of docs/bad-input.md.
func TestInput_RefusedWhenItIsApplied(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	type object = map[string]any
	user := func(fields object) object {
		return object{"apiKeySecretRef": object{"name": "alloy"}, "users": []any{object{"username": "first"}, fields}}
	}
	for name, tc := range map[string]struct {
		spec object
		want []string
	}{
		"a username that is null":        {user(object{"username": nil}), []string{"spec.users[1].username"}},
		"a username that is a number":    {user(object{"username": 1}), []string{"spec.users[1].username"}},
		"a username of 1,025 characters": {user(object{"username": strings.Repeat("ä", 1025)}), []string{"spec.users[1].username", "1024"}},
		"a fullName of 1,025 characters": {
			user(object{"username": "x", "fullName": strings.Repeat("x", 1025)}), []string{"spec.users[1].fullName", "1024"},
		},
		"a fullName that is a list":         {user(object{"username": "x", "fullName": []any{}}), []string{"spec.users[1].fullName"}},
		"a field that does not exist":       {user(object{"username": "x", "email": "y"}), []string{"email"}},
		"no apiKeySecretRef":                {object{"users": []any{}}, []string{"spec.apiKeySecretRef", "Required"}},
		"an apiKeySecretRef without a name": {object{"apiKeySecretRef": object{"key": "x"}}, []string{"spec.apiKeySecretRef.name", "Required"}},
		"a name that no Secret can have": {
			object{"apiKeySecretRef": object{"name": "team/alloy"}},
			[]string{"spec.apiKeySecretRef.name", `"team/alloy"`, "should match"},
		},
		"a name that is too long": {
			object{"apiKeySecretRef": object{"name": strings.Repeat("x", 254)}}, []string{"spec.apiKeySecretRef.name", "253"},
		},
		"a key that no Secret can have": {object{"apiKeySecretRef": object{"name": "x", "key": "a/b"}}, []string{"spec.apiKeySecretRef.key"}},
		"a policy that does not exist": {
			object{"apiKeySecretRef": object{"name": "x"}, "invalidUserPolicy": "Maybe"},
			[]string{"spec.invalidUserPolicy", "Fail", "Ignore"},
		},
		"a mode that does not exist": {
			object{"apiKeySecretRef": object{"name": "x"}, "mode": "DryRun"}, []string{"spec.mode", `"DryRun"`, "Apply", "Observe"},
		},
		"users that are not a list": {object{"apiKeySecretRef": object{"name": "x"}, "users": object{}}, []string{"spec.users"}},
	} {
		manifest, err := json.Marshal(object{
			"apiVersion": v1alpha1.SchemeGroupVersion.String(), "kind": v1alpha1.EmbeddedUserBatchKind,
			"metadata": object{"name": "refused"}, "spec": tc.spec,
		})
		w.Must(err)
		w.refuses(name, string(manifest), tc.want...)
	}
}

// TestInput_ResyncIntervals applies intervals that are refused with one message, and others that are not.
func TestInput_ResyncIntervals(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	for _, interval := range []string{
		"30s", "59s", "0h59s", "-1h", "-0s", "abc", "1d", "24", "", " 24h", "1h 30m", "1.5h", "90000ms", "30m1h", "9999999h", "1e3s", "１h",
	} {
		w.refuses(interval, manifest("refused", fmt.Sprintf("resyncInterval: %q", interval)), fmt.Sprintf(
			"spec.resyncInterval: Invalid value: %q: must be 0s, or at least 1m, in hours, minutes and seconds, such as 24h or 1h30m", interval))
	}
	w.refuses("a number", manifest("refused", "resyncInterval: 0"), "spec.resyncInterval", "expected string")
	w.refuses("a long text", manifest("refused", "resyncInterval: "+strings.Repeat("1", 33)+"h"), "spec.resyncInterval", "32")
	for i, interval := range []string{"", "0", "0s", "1m", "60s", "24h", "1h30m", "168h0m0s", "999999h999999m999999s"} {
		field := "mode: Apply"
		if interval != "" {
			field = fmt.Sprintf("resyncInterval: %q", interval)
		}
		if out, err := w.apply(manifest(fmt.Sprint("accepted-", i), field)); err != nil {
			t.Errorf("%q: %v, %s", interval, err, out)
		}
	}
}

// TestInput_AcceptedUnchanged tests the second table.
func TestInput_AcceptedUnchanged(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.Sim.Seed(w.Key, "somebody else")
	otherID := w.Sim.Users(w.Key)[0].ID
	users := []v1alpha1.User{
		{Username: "."}, {Username: ".."}, {Username: "/"}, {Username: "a/b"}, {Username: "%2F"}, {Username: "?a=b"},
		{Username: "#a"}, {Username: "a b"}, {Username: "a+b"},
		{Username: "batch"}, {Username: "Bob"}, {Username: "bob"}, {Username: "BOB"},
		{Username: "0123456789abcdef01234567"}, {Username: otherID, FullName: "has the userId of another for a username"},
		{Username: strings.Repeat("x", 256)}, {Username: strings.Repeat("日", 256), FullName: strings.Repeat("本", 256)},
		{Username: "e\u0301"}, {Username: "é"}, {Username: "right\u202eto-left"}, {Username: "👩\u200d🚀"}, {Username: "😀"}, {Username: `"\`},
		{Username: strings.Repeat("<", 256), FullName: strings.Repeat("&", 256)}, {Username: "no full name"},
		{Username: "control", FullName: "a\tb\u0001"},
	}
	existing := []string{".", "/", "#a", "bob", "😀", "%2F", otherID}
	w.Sim.Seed(w.Key, existing...) // verification must find these
	w.SetKey(w.Key)
	w.CreateBatch("odd", users...)
	status := w.Await("odd", v1alpha1.ReasonSucceeded).Status
	want := v1alpha1.UserCounts{Total: int32(len(users)), Created: int32(len(users) - len(existing)), Existing: int32(len(existing))}
	w.Equal("counts", want, status.Counts)
	held := map[string]string{}
	for _, user := range w.Sim.Users(w.Key) {
		held[user.Username] = user.FullName
	}
	for _, user := range users {
		if fullName, ok := held[user.Username]; !ok || fullName != user.FullName && !slices.Contains(existing, user.Username) {
			t.Errorf("%q: held %t, full name %q", user.Username, ok, fullName)
		}
	}
}

// TestInput_EscapesDoNotOutgrowAnObject uses characters that JSON escapes to six bytes each.
func TestInput_EscapesDoNotOutgrowAnObject(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	var users []v1alpha1.User
	for i := range 500 {
		users = append(users, v1alpha1.User{Username: fmt.Sprintf("%s%04d", strings.Repeat("<", 252), i), FullName: strings.Repeat("&", 256)})
	}
	w.CreateBatch("escaped", users...)
	if status := w.Await("escaped", v1alpha1.ReasonSucceeded).Status; status.Counts.Created != 500 {
		t.Errorf("counts: %+v", status.Counts)
	}
	for _, slice := range w.Slices() {
		encoded, err := json.Marshal(slice)
		w.Must(err)
		if len(encoded) > 400_000 {
			t.Errorf("%s has %d bytes", slice.Name, len(encoded))
		}
	}
}
