// SPDX-License-Identifier: Apache-2.0

package secretpoll

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestNote_WhichReadCounts(t *testing.T) {
	t.Parallel()
	secret := types.NamespacedName{Namespace: "a", Name: "alloy"}
	known := time.Now()
	before, after := known.Add(-time.Second), known.Add(time.Second)
	for name, tc := range map[string]struct {
		is        version
		began     time.Time
		isUnknown bool
		isNews    bool
	}{
		"the same version":                    {is: version{"uid", "10"}, began: after},
		"a newer one":                         {is: version{"uid", "11"}, began: after, isNews: true},
		"a newer one, by a read that is over": {is: version{"uid", "11"}, began: before, isNews: true},
		"an older one, by a slow read":        {is: version{"uid", "9"}, began: before},
		"an older one, of a restored etcd":    {is: version{"uid", "9"}, began: after, isNews: true},
		"it was created again":                {is: version{"other", "9"}, began: after, isNews: true},
		"it is gone":                          {is: version{}, began: after, isNews: true},
		"nobody has asked for it":             {is: version{"uid", "11"}, began: after, isUnknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, told := New(nil, nil, time.Minute), 0
			p.handlers = append(p.handlers, func(context.Context, client.Object) { told++ })
			if !tc.isUnknown {
				p.known[secret] = seen{version{"uid", "10"}, known}
			}
			p.note(t.Context(), secret, tc.is, tc.began)
			is, ok := p.lookup(secret)
			if want := map[bool]version{true: tc.is, false: {"uid", "10"}}[tc.isNews]; !tc.isUnknown && is != want || ok == tc.isUnknown {
				t.Errorf("the version is %v, known: %t", is, ok)
			}
			if told != map[bool]int{true: 1}[tc.isNews] {
				t.Errorf("the controllers were told %d times", told)
			}
		})
	}
}
