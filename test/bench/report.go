// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// The lines before and after the results in a file.
const (
	resultsBegin = "<!-- results: begin -->"
	resultsEnd   = "<!-- results: end -->"
)

// none is the text of a column that a case does not have.
const none = "–"

// report prints the results, writes them to the output file, if any, and returns an error for each missed target.
func (b *bench) report(ctx context.Context) error {
	machine, err := b.machine(ctx)
	if err != nil {
		return err
	}
	text := table(b.results) + "\n" + strings.Join(append(details(b.results), machine...), "\n") + "\n"
	fmt.Println("\n" + text)
	if b.output != "" {
		parts, err := splitResults(b.output)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.output, []byte(parts[0]+"\n"+text+parts[1]), 0o600); err != nil {
			return fmt.Errorf("writing the results: %w", err)
		}
	}
	var errs []error
	for _, miss := range missed(b.results) {
		errs = append(errs, errors.New(miss))
	}
	return errors.Join(errs...)
}

// table returns a table with a row for each case.
func table(results []*result) string {
	var text strings.Builder
	text.WriteString("| case | users | wall s | × bound | × bare loop | POST | other | peak RSS MiB | CPU s " +
		"| API writes per 1,000 users | per batch |\n" +
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range results {
		wall, bound, bare, perUsers := none, none, none, none
		if r.wall > 0 {
			wall, bound = fmt.Sprintf("%.2f", r.wall.Seconds()), ratio(r.wall, r.bound)
		}
		if r.bare > 0 {
			bare, perUsers = ratio(r.wall, r.bare), fmt.Sprintf("%.1f", float64(r.writes)*1000/float64(r.users))
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %d | %d | %.0f | %.2f | %s | %.2f |\n",
			r.name, thousands(r.users), wall, bound, bare, r.posts, r.others, float64(r.peak)/mib, r.cpu.Seconds(),
			perUsers, float64(r.writes)/float64(r.batches))
	}
	return text.String()
}

// details returns the lines for figures that only some cases have.
func details(results []*result) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, "- "+fmt.Sprintf(format, args...)) }
	byName := map[string]*result{}
	for _, r := range results {
		byName[r.name] = r
		if r.bare > 0 {
			add("%s: the bare loop takes %s", r.name, seconds(r.bare))
		}
		if r.stored > 0 {
			add("%s: storing the batch takes %s, before the time that is measured", r.name, seconds(r.stored))
		}
		if r.slicesAlone > 0 {
			add("%s: writing the slices alone takes %s; the case takes %s times as long",
				r.name, seconds(r.slicesAlone), ratio(r.wall, r.slicesAlone))
		}
		if r.idle > 0 {
			add("%s: %.0f MiB RSS when idle again", r.name, float64(r.idle)/mib)
		}
		if r.largestBatch > 0 {
			add("%s: the largest slice has %s bytes, the largest batch %s", r.name, thousands(r.largestSlice), thousands(r.largestBatch))
		}
		if r.slicesWritten > 0 {
			add("%s: slices written: %d", r.name, r.slicesWritten)
		}
		if r.fromStart > 0 {
			add("%s: %s from the start of the operator", r.name, seconds(r.fromStart))
		}
	}
	if b1, b2 := byName["b1"], byName["b2"]; b1 != nil && b2 != nil {
		add("b2 has %.1f times the users of b1, takes %s times as long and %.1f times the requests", float64(b2.users)/float64(b1.users),
			ratio(b2.wall, b1.wall), float64(b2.posts+b2.others)/float64(b1.posts+b1.others))
	}
	return lines
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", a.Seconds()/b.Seconds()) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// thousands formats a number with commas as thousands separators.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// splitResults returns the text of a file before and after the results, including the markers.
func splitResults(path string) ([2]string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the file is named on the command line
	if err != nil {
		return [2]string{}, fmt.Errorf("reading the file for the results: %w", err)
	}
	before, rest, found := bytes.Cut(data, []byte(resultsBegin))
	_, after, ends := bytes.Cut(rest, []byte(resultsEnd))
	if !found || !ends {
		return [2]string{}, fmt.Errorf("%s lacks the lines %s and %s", path, resultsBegin, resultsEnd)
	}
	return [2]string{string(before) + resultsBegin + "\n", "\n" + resultsEnd + string(after)}, nil
}
