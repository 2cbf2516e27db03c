// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

func TestSharedIsolation_OneOwnersFaultIsNotTheOthers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 404, 413, 422, 500} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			options := sharing()
			options.BackOff.User = sender.BackOff{Min: time.Hour, Max: time.Hour}
			o := newHarness(t, simulator.Options{}, options)
			o.sim.Inject(simulator.Fault{
				Operation: simulator.Create, Status: status, Body: `{"message": "poison of another namespace"}`,
				Match: func(r simulator.Request) bool { return slices.Contains(r.Usernames, "poison") },
			})
			for i := range 200 {
				o.Submit(o.work(id(strconv.Itoa(i)), fmt.Sprint("user-", i), fmt.Sprint("another-", i)))
			}
			o.Submit(o.work(id("guilty"), "poison"))
			guilty := o.await(id("guilty"), func(r sender.Report) bool {
				return len(r.Results) > 0 || r.Failed != nil && r.Failed.Answer.Message != ""
			})
			for i := range 200 {
				report := o.await(id(strconv.Itoa(i)), settled(2))
				if report.Failed != nil || report.Results[fmt.Sprint("user-", i)].State == sender.Invalid {
					t.Errorf("owner %d is told: %+v", i, report)
				}
			}
			said := ""
			if guilty.Failed != nil {
				said = guilty.Failed.Answer.Message
			} else {
				said = guilty.Results["poison"].Message
			}
			if said != "poison of another namespace" {
				t.Errorf("the guilty owner is told %q", said)
			}
			if n := len(o.posts()); n > 30 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

func TestSharedIsolation_WhenNothingIsTakenAllWaitAndNobodyIsToldOfOthers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 400, 402, 404, 429, 500} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			options := sharing()
			options.BackOff.API = sender.BackOff{Min: time.Hour, Max: time.Hour}
			o := newHarness(t, simulator.Options{}, options)
			o.sim.Inject(simulator.Fault{Operation: simulator.Create, Status: status, Body: `{"message": "someone is wrong"}`})
			for i := range 200 {
				o.Submit(o.work(id(strconv.Itoa(i)), fmt.Sprint("user-", i)))
			}
			told := 0
			for i := range 200 {
				report := o.await(id(strconv.Itoa(i)), func(r sender.Report) bool { return r.Failed != nil && !r.Failed.Isolating })
				if report.Failed.Answer.StatusCode != status || len(report.Results) > 0 {
					t.Errorf("owner %d is told: %+v", i, report)
				}
				if report.Failed.Answer.Message != "" {
					told++
				}
			}
			posts := o.posts()
			alone := 0
			for _, r := range posts {
				if len(r.Usernames) == 1 {
					alone++
				}
			}
			if len(posts) > 3 || told != alone {
				t.Errorf("%d requests were sent, %d for one owner alone, and %d owners were told the API's words", len(posts), alone, told)
			}
		})
	}
}

func TestSharedIsolation_AHiccupCostsFewRequests(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, sharing())
	o.sim.Inject(simulator.Fault{Operation: simulator.Create, Status: 503, Apply: true, Times: 1})
	for i := range 200 {
		o.Submit(o.work(id(strconv.Itoa(i)), fmt.Sprint("user-", i)))
	}
	for i := range 200 {
		report := o.await(id(strconv.Itoa(i)), settled(1))
		if result := report.Results[fmt.Sprint("user-", i)]; result.State != sender.Existing || !result.Unconfirmed {
			t.Errorf("owner %d is told %+v", i, result)
		}
	}
	if n := len(o.posts()); n > 4 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestSharedIsolation_TwoGuiltyOwnersDoNotMakeTheThirdGuilty(t *testing.T) {
	t.Parallel()
	options := sharing()
	options.BackOff.Refused = brief
	o := newHarness(t, simulator.Options{}, options)
	isPoisoned := func(r simulator.Request) bool {
		return slices.ContainsFunc(r.Usernames, func(u string) bool { return strings.HasPrefix(u, "poison") })
	}
	o.sim.Inject(simulator.Fault{Operation: simulator.Create, Status: 422, Body: `{"message":"poison"}`, Match: isPoisoned})
	o.Submit(o.work(id("a"), "poison-a"))
	o.Submit(o.work(id("b"), "poison-b"))
	o.Submit(o.work(id("innocent"), "x"))
	report := o.await(id("innocent"), func(r sender.Report) bool {
		if r.Failed != nil && r.Failed.Answer.Message != "" {
			t.Errorf("the innocent owner is told %+v", r.Failed)
		}
		return len(r.Results) == 1
	})
	if report.Results["x"].State != sender.Created {
		t.Errorf("report: %+v", report)
	}
}
