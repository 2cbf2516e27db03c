// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestInheritance_EachSliceWaitsSinceItWasNoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 30 * time.Second
		var i inheritance
		note := func(uid string) { i.add(types.UID(uid), time.Now().Add(timeout)) }
		claim := func(uid string) (bool, time.Duration) {
			inDoubt, notBefore := i.claim(types.UID(uid), time.Time{})
			return inDoubt, max(time.Until(notBefore), 0)
		}
		note("first")
		time.Sleep(gathering / 2)
		note("second")
		first, wait := claim("first")
		second, same := claim("second")
		if !first || !second || wait != same || same < timeout {
			t.Errorf("in doubt %t and %t, for %s and %s", first, second, wait, same)
		}
		time.Sleep(10 * time.Minute)
		note("of a namespace that was taken up later")
		if inDoubt, wait := claim("of a namespace that was taken up later"); !inDoubt || wait < timeout {
			t.Errorf("in doubt %t, for %s", inDoubt, wait)
		}
		if inDoubt, wait := claim("first"); inDoubt || wait > 0 {
			t.Errorf("the first is in doubt %t again, for %s", inDoubt, wait)
		}
	})
}
