// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAnswer_SaysWhatBecameOfTheRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer                   Answer
		served, inDoubt, running bool
	}{
		"accepted":               {answer: Answer{Outcome: Accepted, StatusCode: 200}, served: true},
		"all exist":              {answer: Answer{Outcome: AllExist, StatusCode: 400}, served: true},
		"none valid":             {answer: Answer{Outcome: NoneValid, StatusCode: 400}, served: true},
		"found":                  {answer: Answer{Outcome: Found, StatusCode: 200}, served: true},
		"absent":                 {answer: Answer{Outcome: Absent, StatusCode: 404}, served: true},
		"listed":                 {answer: Answer{Outcome: Listed, StatusCode: 200}, served: true},
		"inconclusive":           {answer: Answer{Outcome: Inconclusive, StatusCode: 200}},
		"unauthorized":           {answer: Answer{Outcome: Unauthorized, StatusCode: 401}},
		"forbidden":              {answer: Answer{Outcome: Forbidden, StatusCode: 403}},
		"deferred":               {answer: Answer{Outcome: Deferred, StatusCode: 429}},
		"no connection":          {answer: Answer{Outcome: Deferred}},
		"too large":              {answer: Answer{Outcome: TooLarge, StatusCode: 413}},
		"refused":                {answer: Answer{Outcome: Refused, StatusCode: 400}},
		"redirected":             {answer: Answer{Outcome: Redirected, StatusCode: 302}},
		"no answer":              {answer: Answer{Outcome: Unavailable}, inDoubt: true, running: true},
		"408":                    {answer: Answer{Outcome: Unavailable, StatusCode: 408}, inDoubt: true, running: true},
		"502":                    {answer: Answer{Outcome: Unavailable, StatusCode: 502}, inDoubt: true, running: true},
		"504":                    {answer: Answer{Outcome: Unavailable, StatusCode: 504}, inDoubt: true, running: true},
		"a 200 of unknown shape": {answer: Answer{Outcome: Unavailable, StatusCode: 200}, inDoubt: true, running: true},
		"half a 400":             {answer: Answer{Outcome: Unavailable, StatusCode: 400, Incomplete: true}, inDoubt: true, running: true},
		"half a 500":             {answer: Answer{Outcome: Unavailable, StatusCode: 500, Incomplete: true}, inDoubt: true, running: true},
		"a complete 500":         {answer: Answer{Outcome: Unavailable, StatusCode: 500}, inDoubt: true},
		"a complete 503":         {answer: Answer{Outcome: Unavailable, StatusCode: 503}, inDoubt: true},
		"half a 401":             {answer: Answer{Outcome: Unauthorized, StatusCode: 401, Incomplete: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.answer.Served() != tc.served || tc.answer.InDoubt() != tc.inDoubt || tc.answer.MayBeRunning() != tc.running {
				t.Errorf("served %t, in doubt %t, may be running %t; want %t, %t, %t",
					tc.answer.Served(), tc.answer.InDoubt(), tc.answer.MayBeRunning(), tc.served, tc.inDoubt, tc.running)
			}
		})
	}
}

func TestAnswer_Explain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer Answer
		want   string
	}{
		"a status with words":     {Answer{Outcome: Refused, StatusCode: 400, Message: "no"}, "The Alloy API answered 400 Bad Request: no"},
		"a status without words":  {Answer{Outcome: Forbidden, StatusCode: 403}, "The Alloy API answered 403 Forbidden"},
		"a status without a name": {Answer{Outcome: Unavailable, StatusCode: 599}, "The Alloy API answered 599"},
		"no answer":               {Answer{Outcome: Unavailable, Message: "it took too long"}, "The Alloy API did not answer: it took too long"},
		"no connection": {
			Answer{Outcome: Deferred, Message: "the connection was refused"},
			"The Alloy API did not answer: the connection was refused",
		},
		"a question that was never": {Answer{Outcome: Inconclusive, Message: "no"}, "The Alloy API was not asked: no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.answer.Explain(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestMetrics_CountInvalidUsersThatFitNone(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	observe, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	observe(OperationCreate, Answer{Outcome: Accepted, Unmatched: 2, Nameless: 3}, time.Second)
	observe(OperationCreate, Answer{Outcome: Forbidden}, time.Second)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]bool{}
	for _, family := range families {
		switch family.GetName() {
		case "embeddeduser_alloy_unmatched_invalid_users_total":
			if got := family.GetMetric()[0].GetCounter().GetValue(); got != 5 {
				t.Errorf("%v were counted, want 5", got)
			}
		case "embeddeduser_alloy_requests_total":
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					outcomes[label.GetValue()] = true
				}
			}
		}
	}
	if !outcomes["forbidden"] || !outcomes["accepted"] {
		t.Errorf("labels: %v", outcomes)
	}
}
