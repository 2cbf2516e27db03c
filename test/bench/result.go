// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// maxSlice is the maximum size of a slice in bytes.
const maxSlice = 400_000

// result holds the measurements of a case; 0 means not measured.
type result struct {
	name           string
	users, batches int
	seeded         bool // the users exist already

	wall  time.Duration // from storing the batch, or from the first request, until the last batch is Ready
	bound time.Duration // what latency and concurrency alone allow
	bare  time.Duration // of the loop that posts the same users

	posts, others, writes int
	peak                  int // bytes
	cpu                   time.Duration

	fromStart                  time.Duration // from the operator's start until the last batch is Ready
	stored                     time.Duration // of storing the batch, before wall
	slicesAlone                time.Duration // of the loop that writes the same slices
	idle                       int           // bytes
	slicesWritten              int
	largestSlice, largestBatch int // bytes
}

// missed returns the performance targets that the results miss.
func missed(results []*result) []string {
	var missed []string
	for _, r := range results {
		check := func(holds bool, format string, args ...any) {
			if !holds {
				missed = append(missed, "case "+r.name+": "+fmt.Sprintf(format, args...))
			}
		}
		check(r.largestSlice <= maxSlice, "a slice of %d bytes, more than %d", r.largestSlice, maxSlice)
		switch r.name {
		case "a", "f":
			check(5*r.wall <= 7*r.bare, "%s, more than 1.4 times the bare loop, %s", seconds(r.wall), seconds(r.bare))
			check(r.posts == requestsFor(r.users), "%d POSTs, not %d", r.posts, requestsFor(r.users))
		case "b1":
			check(r.posts == requestsFor(r.users), "%d POSTs, not %d", r.posts, requestsFor(r.users))
		case "b2":
			least := max(r.bare, r.slicesAlone)
			check(r.wall <= 2*least, "%s, more than twice the bare loop or writing the slices alone, %s", seconds(r.wall), seconds(least))
			check(r.posts == requestsFor(r.users), "%d POSTs, not %d", r.posts, requestsFor(r.users))
			check(r.peak <= 512*mib, "a peak of %d MiB, more than 512", r.peak/mib)
			check(r.idle <= 128*mib, "%d MiB when idle, more than 128", r.idle/mib)
		case "r":
			check(r.posts == 0 && r.others == 1, "%d POSTs and %d other requests, not 0 and 1", r.posts, r.others)
			check(r.writes <= 2, "%d API writes, more than 2", r.writes)
			check(r.peak <= 512*mib, "a peak of %d MiB, more than 512", r.peak/mib)
		case "c1":
			check(r.posts <= 10, "%d POSTs, more than 10", r.posts)
			check(r.writes <= 4*r.batches, "%d API writes for %d batches, more than 4 each", r.writes, r.batches)
		case "c2":
			check(r.posts <= 50, "%d POSTs, more than 50", r.posts)
			check(r.writes <= 4*r.batches, "%d API writes for %d batches, more than 4 each", r.writes, r.batches)
		case "d":
			check(r.posts == 1, "%d POSTs, not 1", r.posts)
			check(r.slicesWritten <= 2, "%d slices written, more than 2", r.slicesWritten)
		case "e":
			check(r.posts+r.others == 0, "%d requests, not 0", r.posts+r.others)
			check(r.peak <= 256*mib, "a peak of %d MiB, more than 256", r.peak/mib)
		case "g":
			check(r.posts+r.others <= 8, "%d requests, more than 8", r.posts+r.others)
			check(r.peak <= 512*mib, "a peak of %d MiB, more than 512", r.peak/mib)
		}
	}
	return missed
}
