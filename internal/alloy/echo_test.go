// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestMatchEchoes(t *testing.T) {
	t.Parallel()
	sent := []users.User{
		{Username: "ann", FullName: "Ann Lee"}, {Username: "ann2", FullName: "Ann Lee"}, {Username: "Bob"}, {Username: "bob"},
		{Username: "straße"}, {Username: "Jose\u0301"}, {Username: "a&b"}, {Username: "x&amp;y"}, {Username: "12345"},
		{Username: "ΣΊΣΥΦΟΣ"}, {Username: "kb"}, {Username: "\u03b0"},
	}
	for name, tc := range map[string]struct {
		rows                string
		named               map[string]struct{}
		unmatched, nameless int
	}{
		"nobody":                                {rows: `[]`, named: names()},
		"an exact username":                     {rows: `[{"username":"Bob"}]`, named: names("Bob")},
		"another case":                          {rows: `[{"username":"ANN"}]`, named: names("ann")},
		"a username that fits two users":        {rows: `[{"username":"BOB"}]`, named: names("Bob", "bob")},
		"white space around":                    {rows: `[{"username":"\tann\u00a0"}]`, named: names("ann")},
		"the full folding of a case":            {rows: `[{"username":"STRASSE"}]`, named: names("straße")},
		"a sigma at the end":                    {rows: `[{"username":"σίσυφος"}]`, named: names("ΣΊΣΥΦΟΣ")},
		"a composed letter":                     {rows: `[{"username":"jos\u00e9"}]`, named: names("Jose\u0301")},
		"letters that only then have a case":    {rows: `[{"username":"㎅"}]`, named: names("kb")},
		"letters that compose only when folded": {rows: `[{"username":"\u03ab\u0301"}]`, named: names("\u03b0")},
		"full-width letters":                    {rows: `[{"username":"ａｎｎ"}]`, named: names("ann")},
		"a username escaped for HTML":           {rows: `[{"username":"a&amp;b"}]`, named: names("a&b")},
		"a numeric escape":                      {rows: `[{"username":"&#97;nn"}]`, named: names("ann")},
		"a username that was sent escaped":      {rows: `[{"username":"X&Y"}]`, named: names("x&amp;y")},
		"a number for digits":                   {rows: `[{"username":12345}]`, named: names("12345")},
		"a plain string":                        {rows: `["ann","nobody"]`, named: names("ann"), unmatched: 1},
		"a username of nobody":                  {rows: `[{"username":"zoe"}]`, named: names(), unmatched: 1},
		"a username of nobody with a full name": {rows: `[{"username":"zoe","fullName":"Ann Lee"}]`, named: names(), unmatched: 1},
		"a full name alone":                     {rows: `[{"fullName":"Ann Lee"}]`, named: names("ann", "ann2")},
		"a full name and null":                  {rows: `[{"username":null,"fullName":"Ann Lee"}]`, named: names("ann", "ann2")},
		"a full name and no letters":            {rows: `[{"username":"","fullName":"Ann Lee"}]`, named: names("ann", "ann2")},
		"a full name in another case":           {rows: `[{"fullName":"ann lee"}]`, named: names(), nameless: 1},
		"an empty full name":                    {rows: `[{"fullName":""}]`, named: names(), nameless: 1},
		"an empty row":                          {rows: `[{}]`, named: names(), nameless: 1},
		"rows of other types, and a good one": {
			rows: `[7,true,null,["ann"],"",{"username":["ann"]},{"username":"ann"}]`, named: names("ann"), nameless: 6,
		},
		"the same user twice":                     {rows: `[{"username":"ann"},{"username":"ANN"}]`, named: names("ann")},
		"fields that are not the API's to define": {rows: `[{"username":"ann","reason":{"code":1}}]`, named: names("ann")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := classifyBatch(200, received(`{"message":"success","invalidUsers":`+tc.rows+`}`), sent)
			want := Answer{Outcome: Accepted, StatusCode: 200, Message: "success", Named: tc.named, Unmatched: tc.unmatched, Nameless: tc.nameless}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMatchEchoes_CountsMoreRowsThanTheRequestHas(t *testing.T) {
	t.Parallel()
	const rows = 400_000
	list := json.RawMessage(`["nobody"` + strings.Repeat(`,"nobody"`, rows-1) + `]`)
	if got, ok := matchEchoes(list, []users.User{{Username: "ann"}}); !ok || got.unmatched != rows || len(got.named) != 0 {
		t.Errorf("%d of %d rows fit none, %t", got.unmatched, rows, ok)
	}
}
