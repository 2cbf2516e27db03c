// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	// rowsPerFile fills a ConfigMap to about half of its limit.
	rowsPerFile = 40_000
	maxFile     = 900_000 // bytes; the limit of a ConfigMap is 1 MiB
	maxFiles    = 64
	fileKey     = "users.csv.gz"
)

var (
	firstNames = []string{"Ada", "Benedikt", "Chiara", "Daniel", "Eleni", "Farid", "Greta", "Hiroshi", "Ines", "Joanna", "Lucía"}
	lastNames  = []string{"Mojica", "Okafor", "Petersen", "Quispe", "Rossi", "Sørensen", "Tanaka", "Ulloa", "Vargas", "Yilmaz"}
)

// user returns the i-th user of a list: about 50 bytes, varied enough to compress like real users.
func user(list string, i int) users.User {
	mixed := (uint64(i) + 1) * 0x9e3779b97f4a7c15 //nolint:gosec // an index is not negative
	mixed ^= mixed >> 32
	return users.User{
		Username: fmt.Sprintf("%s-%07d-%08x@example.com", list, i, uint32(mixed)), //nolint:gosec // any 32 bits do
		FullName: firstNames[mixed%uint64(len(firstNames))] + " " + lastNames[mixed/16%uint64(len(lastNames))],
	}
}

// chunk returns a part of a list.
func chunk(list string, from, to int) []users.User {
	part := make([]users.User, 0, to-from)
	for i := from; i < to; i++ {
		part = append(part, user(list, i))
	}
	return part
}

// files returns the number of CSV files for n users.
func files(n int) int { return max(1, (n+rowsPerFile-1)/rowsPerFile) }

// csvFile returns a part of a list as gzipped CSV.
func csvFile(list string, from, to int) ([]byte, error) {
	var buffer bytes.Buffer
	compressed := gzip.NewWriter(&buffer)
	writer := csv.NewWriter(compressed)
	err := writer.Write([]string{"username", "fullName"})
	for i := from; i < to && err == nil; i++ {
		u := user(list, i)
		err = writer.Write([]string{u.Username, u.FullName})
	}
	writer.Flush()
	if err := errors.Join(err, writer.Error(), compressed.Close()); err != nil {
		return nil, fmt.Errorf("writing CSV: %w", err)
	}
	if buffer.Len() > maxFile {
		return nil, fmt.Errorf("%d users take %d bytes of gzipped CSV, more than %d", to-from, buffer.Len(), maxFile)
	}
	return buffer.Bytes(), nil
}

// object is a JSON object. Batches are built from it and not from the typed API, to send exactly what a person would write.
type object map[string]any

// named returns a reference to an object, or its metadata.
func named(name string) object { return object{"name": name} }

// batch returns an EmbeddedUserBatch that uses the Secret of its account.
func batch(name string, spec object) ([]byte, error) {
	spec["apiKeySecretRef"] = named(testenv.SecretName)
	body, err := json.Marshal(object{
		"apiVersion": "embedded.runalloy.com/v1alpha1", "kind": "EmbeddedUserBatch",
		"metadata": named(name), "spec": spec,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the batch: %w", err)
	}
	return body, nil
}

// inline returns the spec of a batch with inline users.
func inline(list []users.User) object {
	rows := make([]object, len(list))
	for i, u := range list {
		rows[i] = object{"username": u.Username, "fullName": u.FullName}
	}
	return object{"users": rows}
}

// fromFiles returns the spec of a batch with n ConfigMaps.
func fromFiles(n int) object {
	sources := make([]object, n)
	for i := range sources {
		sources[i] = object{"configMapKeyRef": object{"name": fileName(i), "key": fileKey}, "format": "CSV"}
	}
	return object{"usersFrom": sources}
}

func fileName(i int) string { return fmt.Sprintf("users-%02d", i) }
