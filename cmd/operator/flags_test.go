// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse_SecretPoll(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want time.Duration
		says string
	}{
		"Secrets are watched by default": {},
		"off":                            {args: []string{"--secret-poll=0"}},
		"the default interval":           {args: []string{"--secret-poll"}, want: time.Minute},
		"another interval":               {args: []string{"--secret-poll=30s"}, want: 30 * time.Second},
		"too often":                      {args: []string{"--secret-poll=999ms"}, says: "--secret-poll must be at least 1s, not 999ms"},
		"a negative interval":            {args: []string{"--secret-poll=-1m"}, says: "--secret-poll must be at least 1s, not -1m0s"},
		"a number without a unit":        {args: []string{"--secret-poll=60"}, says: "must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := parse(tc.args)
			if tc.says == "" && (err != nil || o.secretPoll != tc.want) {
				t.Errorf("%s, error %v", o.secretPoll, err)
			}
			if tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestParse_ResyncInterval(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want time.Duration
		says string
	}{
		"never by default":         {},
		"never":                    {args: []string{"--resync-interval=0"}},
		"never, with a unit":       {args: []string{"--resync-interval=0s"}},
		"once a day":               {args: []string{"--resync-interval=24h"}, want: 24 * time.Hour},
		"as often as is allowed":   {args: []string{"--resync-interval=60s"}, want: time.Minute},
		"too often":                {args: []string{"--resync-interval=59s"}, says: "must be at least 1m, not 59s; 0 turns it off"},
		"a negative interval":      {args: []string{"--resync-interval=-24h"}, says: "--resync-interval must be at least 1m, not -24h0m0s"},
		"a number without a unit":  {args: []string{"--resync-interval=3600"}, says: "must be a duration"},
		"a unit of no Go duration": {args: []string{"--resync-interval=1d"}, says: "must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := parse(tc.args)
			if tc.says == "" && (err != nil || o.resyncInterval != tc.want) {
				t.Errorf("%s, error %v", o.resyncInterval, err)
			}
			if tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestParse_WatchNamespaces(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want []string
		says string
	}{
		"all namespaces without the flag": {},
		"one":                             {args: []string{"--watch-namespaces=a"}, want: []string{"a"}},
		"several":                         {args: []string{"--watch-namespaces=a,b-2"}, want: []string{"a", "b-2"}},
		"several flags":                   {args: []string{"--watch-namespaces=a", "--watch-namespaces=b"}, want: []string{"a", "b"}},
		"an empty list":                   {args: []string{"--watch-namespaces="}, says: "leave the flag out to watch all"},
		"an empty entry at the end":       {args: []string{"--watch-namespaces=a,"}, says: `entry 2, "", is not the name of a namespace`},
		"an empty entry at the beginning": {args: []string{"--watch-namespaces=,a"}, says: `entry 1, ""`},
		"an empty entry in a second flag": {args: []string{"--watch-namespaces=a", "--watch-namespaces=b,"}, says: `entry 3, ""`},
		"a blank list":                    {args: []string{"--watch-namespaces= "}, says: `entry 1, " "`},
		"a blank entry":                   {args: []string{"--watch-namespaces=a, "}, says: `entry 2, " "`},
		"a blank before a name":           {args: []string{"--watch-namespaces=a, b"}, says: `entry 2, " b"`},
		"a pattern":                       {args: []string{"--watch-namespaces=team-*"}, says: `entry 1, "team-*"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := parse(tc.args)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "--watch-namespaces") {
					t.Errorf("namespaces %q, error %v", o.namespaces, err)
				}
				return
			}
			if err != nil || !slices.Equal(tc.want, o.namespaces) {
				t.Errorf("namespaces %q, error %v", o.namespaces, err)
			}
		})
	}
}
