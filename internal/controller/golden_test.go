// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

var update = flag.Bool("update", false, "write what is observed to testdata")

// varying is what differs from run to run in what kubectl prints.
var varying = map[*regexp.Regexp]string{
	regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`):           "TIME",
	regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`): "UID",
	regexp.MustCompile(`customers-[0-9a-f]{8}-`):                      "customers-UID-",
	regexp.MustCompile(`(Resource Version: +)\d+`):                    "${1}VERSION",
	regexp.MustCompile(`\b[0-9a-f]{16,32}\b`):                         "DIGEST",
	regexp.MustCompile(`(?m) +\d+s$`):                                 "   AGE",
	regexp.MustCompile(`(?m) \d+s +(\d)`):                             " AGE $1",
	regexp.MustCompile(`test-\d+`):                                    "NAMESPACE",
}

// The example of the vendor's page: a user without a username, one that exists, and a new one.
func TestGolden_WhatKubectlPrints(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.Sim.Seed(w.Key, "existing@example.com")
	w.CreateBatch("customers", v1alpha1.User{FullName: "Missing Username"},
		v1alpha1.User{Username: "existing@example.com", FullName: "Existing User"},
		v1alpha1.User{Username: "new@example.com", FullName: "New User"})
	w.Await("customers", v1alpha1.ReasonInvalidUsers)
	for name, args := range map[string]string{
		"get":            "get eub",
		"get-wide":       "get eub -o wide",
		"get-slices":     "get eus",
		"describe":       "describe eub customers --show-events=false",
		"explain-spec":   "explain eub.spec",
		"explain-source": "explain eub.spec.usersFrom",
		"explain-status": "explain eub.status",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := w.Kubectl("", strings.Fields(args)...)
			if err != nil {
				t.Fatal(out)
			}
			got := "$ kubectl " + args + "\n" + out
			for pattern, replacement := range varying {
				got = pattern.ReplaceAllString(got, replacement)
			}
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("kubectl prints something else; run this test with -update if that is right (-want +got):\n%s", diff)
			}
		})
	}
}
