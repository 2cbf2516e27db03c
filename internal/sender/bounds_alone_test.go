// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestBounds_AnOwnerIsNotHeldUpByOthersUsersThatFailAlone has the API fail once for an owner's only user, while another owner has so many
// users on which it always fails, and takes half a minute for each, that one of them may go at any time.
func TestBounds_AnOwnerIsNotHeldUpByOthersUsersThatFailAlone(t *testing.T) {
	t.Parallel()
	for name, wish := range map[string]func(*driver, string, []users.User){
		"it fails to create them":      (*driver).submit,
		"it fails to tell the userIds": (*driver).ask,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			latest := time.Duration(0)
			for seed := range 20 {
				hiccups := 0
				d := newDriver(t, seed, func(now time.Duration, sent []users.User) alloy.Answer {
					if hiccups == 0 && sent[0].Username == "late-0" {
						hiccups++
						return answerOf(503, "")
					}
					return against(poison, 504)(now, sent)
				})
				wish(d, "bad", batch("bad", 40, poison, everyone(40)...))
				d.serveOthers(4 * time.Hour) // until each of the users has failed alone
				arrived := d.now
				d.submit("late", batch("late", 1, ""))
				d.runUntil(func() bool { return d.results["late-0"].State == Created })
				if latest = max(latest, d.now-arrived); hiccups != 1 {
					t.Errorf("seed %d: it fails %d times", seed, hiccups)
				}
			}
			atMost(t, "until the owner's user is created", latest, 10*time.Minute)
		})
	}
}

// serveOthers lets time pass in which the API now and then creates the user of another owner.
func (d *driver) serveOthers(period time.Duration) {
	d.Helper()
	for range int(period / time.Minute) {
		name := fmt.Sprint("other-", d.now)
		d.submit(name, batch(name, 1, ""))
		d.run(time.Minute)
	}
}

// TestBounds_UserIdsAreNotHeldUpByThoseThatFail has the API fail on an owner's users, and take half a minute for each, before the owner
// asks for one more.
func TestBounds_UserIdsAreNotHeldUpByThoseThatFail(t *testing.T) {
	t.Parallel()
	d := newDriver(t, 1, against(poison, 504))
	list := batch("a", 41, poison, everyone(40)...)
	d.ask("a", list[:40])
	d.serveOthers(2 * time.Hour)
	d.ask("a", list)
	d.serveOthers(time.Hour)
	if d.results["a-40"].State != Identified {
		t.Errorf("after %d requests the last userId is not known", len(d.posts))
	}
}
