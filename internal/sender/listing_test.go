// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

func TestListing_HasWhoWasAdded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, 2*chunkSize + 7} {
		l := readListing(n)
		if l.Len() != n || l.Has("x") {
			t.Errorf("a list of %d users has %d, or somebody else", n, l.Len())
		}
		for _, k := range []int{0, 1, n / 2, n - 1} {
			if k >= 0 && k < n && !l.Has(strconv.Itoa(k)) {
				t.Errorf("a list of %d users lacks user %d", n, k)
			}
		}
	}
}

func TestListing_WhatMakesItPartial(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		note        func(*Listing)
		wantPartial bool
	}{
		"an existing user that it lacks":                {func(l *Listing) { l.exists("x") }, true},
		"an existing user that it shows":                {func(l *Listing) { l.exists("0") }, false},
		"an existing user that was created since":       {func(l *Listing) { l.saw("x"); l.exists("x") }, false},
		"one that it lacks, if it is not usable anyway": {func(l *Listing) { l.answer = lagging; l.exists("x") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := readListing(1)
			if tc.note(l); l.IsPartial() != tc.wantPartial || l.Answer().Outcome == alloy.Listed && tc.wantPartial {
				t.Errorf("partial: %v, %+v", l.IsPartial(), l.Answer())
			}
		})
	}
}

// TestLists_TheOldestAreForgotten keeps lists of several keys.
func TestLists_TheOldestAreForgotten(t *testing.T) {
	t.Parallel()
	s := New(noAPI{}, DefaultOptions, func(ID) {})
	big := set[digest]{sorted: [][]digest{make([]digest, alloy.MaxListed)}}
	var shells []*shell
	for k := range simKeys {
		shell := newShell(simKeys[k].key, simKeys[k].fingerprint, DefaultOptions)
		s.shells[shell.fingerprint], shells = shell, append(shells, shell)
		l := &Listing{began: time.Now().Add(time.Duration(k) * time.Second), shown: big}
		s.noteList(shell, decision{listed: &listEnd{listing: l, isWished: true}})
	}
	if shells[0].listing != nil || shells[1].listing == nil || shells[2].listing == nil {
		t.Error("of three lists that are too long together not the first is forgotten")
	}
}

func readListing(n int) *Listing {
	l := &Listing{seen: map[digest]struct{}{}}
	for k := range n {
		l.shown.add(digestOf(strconv.Itoa(k)))
	}
	l.finish(alloy.Answer{Outcome: alloy.Listed})
	return l
}

// BenchmarkListing keeps a million users, and says how much memory they take.
func BenchmarkListing(b *testing.B) {
	const n = 1_000_000
	var before, after runtime.MemStats
	var l *Listing
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		l = readListing(n)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/user")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/user")
	runtime.KeepAlive(l)
}

func BenchmarkListing_Has(b *testing.B) {
	l := readListing(1_000_000)
	for k := 0; b.Loop(); k++ {
		l.Has(strconv.Itoa(k * 7))
	}
}
