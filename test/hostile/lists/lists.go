// SPDX-License-Identifier: Apache-2.0

// Package lists has lists of users that are made to exhaust the memory.
package lists

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// List is a list of users over one or several sources.
type List struct {
	IsQuick bool     // it takes seconds
	Want    []string // reasons of which each batch gets one; none if it takes too long to wait for

	format v1alpha1.UsersFormat
	parts  []string // of text, each compressed into a ConfigMap
	times  int      // how often the parts are named in usersFrom; 0 for once
	nested bool     // compressed twice
}

// The formats of the lists.
const (
	csv    v1alpha1.UsersFormat = "CSV"
	json   v1alpha1.UsersFormat = "JSON"
	ndjson v1alpha1.UsersFormat = "NDJSON"
	yaml   v1alpha1.UsersFormat = "YAML"
)

// done are the reasons of a batch whose list was read.
var done = []string{v1alpha1.ReasonSucceeded, v1alpha1.ReasonInvalidUsers}

// tooLarge is the reason of a batch whose list takes too much memory, and unreadable of one that cannot be parsed.
var (
	tooLarge   = []string{v1alpha1.ReasonListTooLarge}
	unreadable = []string{v1alpha1.ReasonSourceUnreadable}
)

// rows returns n rows, of which each is made from its number.
func rows(first, n int, format string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, format, first+i)
	}
	return text.String()
}

// parts returns n rows in several parts, which begin with a header.
func parts(n, in int, header, format string) (texts []string) {
	for i := range in {
		texts = append(texts, header+rows(i*n/in, n/in, format))
	}
	return texts
}

// All returns all lists by name.
func All() map[string]List {
	const million = 1_000_000
	long, wide := strings.Repeat("x", 240), strings.Repeat("😀", 245)
	laughs, item := strings.Builder{}, "lol"
	for i := range 60 {
		fmt.Fprintf(&laughs, "- &a%d [%s]\n", i, strings.TrimSuffix(strings.Repeat(item+", ", 10), ", "))
		item = fmt.Sprintf("*a%d", i)
	}
	return map[string]List{
		"two million short rows": {format: csv, parts: parts(2*million, 8, "username\n", "%d\n"), Want: tooLarge},
		"a million users": {
			format: csv, parts: parts(million, 4, "username,fullName\n", "user-%07d@example.com,Customer number 1234567\n"),
		},
		"long names": {format: ndjson, parts: parts(300_000, 5, "", `{"username":"`+long+`%d","fullName":"`+long+`"}`+"\n")},
		"long names of emoji": {
			format: ndjson, parts: parts(250_000, 10, "", `{"username":"`+wide+`%d","fullName":"`+wide+`"}`+"\n"), Want: tooLarge,
		},
		"64 sources of blank lines": {
			format: ndjson, parts: []string{"{\"username\":\"ann\"}\n" + strings.Repeat("\n", 60<<20)}, times: 64, Want: tooLarge,
		},
		"rows of no list":             {format: ndjson, parts: []string{strings.Repeat("{\"x\":1}\n", 7<<20)}, Want: unreadable},
		"64 sources of the same rows": {format: csv, parts: []string{"username\n" + rows(0, 30_000, "user-%d\n")}, times: 64},
		"two million invalid rows":    {format: csv, parts: parts(2*million, 8, "username\n", "\t%d\n"), Want: done},
		"two million duplicates":      {format: csv, parts: parts(2*million, 8, "username,fullName\n", "ann,%d\n"), Want: done},
		"YAML aliases":                {IsQuick: true, format: yaml, parts: []string{laughs.String()}, Want: unreadable},
		"8 MiB of YAML": {
			format: yaml, parts: []string{rows(0, 125_000, "- username: user-%07d@example.com\n  fullName: Customer\n")},
		},
		"YAML of commas":     {IsQuick: true, format: yaml, parts: []string{"[{" + strings.Repeat("a,", 4<<20-4) + "}]"}, Want: tooLarge},
		"YAML of short rows": {format: yaml, parts: []string{rows(0, 390_000, "- username: u%d\n")}},
		"YAML of pairs":      {format: yaml, parts: []string{strings.Repeat("- a: b\n", 480_000) + "- username: ann\n"}, Want: done},
		"YAML of dashes":     {format: yaml, parts: []string{strings.Repeat("-\n", 4<<20-4)}, Want: tooLarge},
		"gzip in gzip": {
			IsQuick: true, format: csv, parts: []string{"username\n" + rows(0, 3*million, "%d\n")}, nested: true, Want: unreadable,
		},
		"a quote that is never closed": {
			IsQuick: true, format: csv, parts: []string{"username\n\"" + strings.Repeat("x\n", 30<<20)}, Want: unreadable,
		},
		"one row of 60 MiB": {format: json, parts: []string{`[{"username":"` + strings.Repeat("x", 60<<20) + `"}]`}, Want: unreadable},
		"brackets":          {format: json, parts: []string{strings.Repeat("[", 60<<20)}, Want: unreadable},
		"20,000 rows and then repeated ones": {
			format: csv, parts: []string{"username\n" + rows(0, 20_000, "user-%d\n"), "username\n" + rows(0, 3, "user-%d\n")},
			Want: done,
		},
	}
}

// Slices returns how many slices are written of a long list before a test ends: so many of one batch that the next list is read
// meanwhile.
func (l List) Slices() int {
	rows := 0
	for _, text := range l.parts {
		rows += strings.Count(text, "\n")
	}
	return min(rows, 1_000_000) / 1000 / 2
}

// Store writes the parts of the list into ConfigMaps of a namespace, and returns the sources that name them.
func (l List) Store(ctx context.Context, c client.Client, namespace string) ([]v1alpha1.UsersSource, error) {
	var sources []v1alpha1.UsersSource
	for i, text := range l.parts {
		data, err := l.zipped(text)
		if err != nil {
			return nil, err
		}
		part := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("list-%d", i)}, BinaryData: map[string][]byte{"list": data},
		}
		if err := testenv.Create(ctx, c, part); err != nil {
			return nil, err
		}
		sources = append(sources, v1alpha1.UsersSource{
			ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: part.Name, Key: "list"}, Format: l.format,
		})
	}
	return slices.Repeat(sources, max(l.times, 1)), nil
}

// zipped returns a part of a list as it is stored.
func (l List) zipped(text string) ([]byte, error) {
	data, times := []byte(text), 1
	if l.nested {
		times = 2
	}
	for range times {
		var buffer bytes.Buffer
		writer, err := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
		if err != nil {
			return nil, fmt.Errorf("compressing a list: %w", err)
		}
		if _, err := writer.Write(data); err != nil {
			return nil, fmt.Errorf("compressing a list: %w", err)
		}
		if err := writer.Close(); err != nil {
			return nil, fmt.Errorf("compressing a list: %w", err)
		}
		data = buffer.Bytes()
	}
	if len(data) > 1<<20 {
		return nil, fmt.Errorf("a part of a list takes %d bytes, more than a ConfigMap may", len(data))
	}
	return data, nil
}
