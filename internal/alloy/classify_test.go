// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func names(list ...string) map[string]struct{} {
	set := make(map[string]struct{}, len(list))
	for _, name := range list {
		set[name] = struct{}{}
	}
	return set
}

// received is a body that came whole.
func received(text string) body { return readText(strings.NewReader(text), maxBatchBody) }

func TestClassifyBatch(t *testing.T) {
	t.Parallel()
	sent := []users.User{{Username: "ann"}, {Username: "Bob"}, {Username: "bob"}, {Username: "cy"}}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Answer
	}{
		"success":                      {200, `{"message":"success","invalidUsers":[]}`, Answer{Outcome: Accepted, Named: names()}},
		"success without invalidUsers": {200, `{"message":"success"}`, Answer{Outcome: Accepted, Named: names()}},
		"success with null":            {200, `{"message":"success","invalidUsers": null}`, Answer{Outcome: Accepted, Named: names()}},
		"success in another spelling":  {201, `{"message":" Success "}`, Answer{Outcome: Accepted, Named: names()}},
		"the vendor's own example": {
			200, `{"message":"success","invalidUsers":[{"fullName":"Missing Username"},{"username":"alreadyexists123"}]}`,
			Answer{Outcome: Accepted, Named: names(), Unmatched: 1, Nameless: 1},
		},
		"a user named exactly": {
			200, `{"message":"success","invalidUsers":[{"username":"Bob"}]}`, Answer{Outcome: Accepted, Named: names("Bob")},
		},
		"a user named in another case": {
			200, `{"message":"success","invalidUsers":[{"username":" ANN "}]}`, Answer{Outcome: Accepted, Named: names("ann")},
		},
		"another message":                 {200, `{"message":"partly"}`, Answer{Outcome: Unavailable}},
		"no message":                      {200, `{}`, Answer{Outcome: Unavailable}},
		"an empty body":                   {204, ``, Answer{Outcome: Unavailable}},
		"half a body":                     {200, `{"message":"success","inv`, Answer{Outcome: Unavailable, Incomplete: true}},
		"something behind the body":       {200, `{"message":"success"} {}`, Answer{Outcome: Unavailable}},
		"invalidUsers that are an object": {200, `{"message":"success","invalidUsers":{"username":"ann"}}`, Answer{Outcome: Unavailable}},
		"invalidUsers that are a string":  {200, `{"message":"success","invalidUsers":"ann"}`, Answer{Outcome: Unavailable}},
		"an array":                        {200, `["success"]`, Answer{Outcome: Unavailable}},
		"bytes that are no text": {
			200, "{\"message\":\"success\",\"invalidUsers\":[{\"username\":\"\xff\"}]}", Answer{Outcome: Unavailable},
		},
		"HTML":                                   {200, `<html>`, Answer{Outcome: Unavailable}},
		"all exist":                              {400, `{"message":"All users already exist"}`, Answer{Outcome: AllExist}},
		"all exist in another spelling":          {400, `{"message":" all USERS already exist\n"}`, Answer{Outcome: AllExist}},
		"none valid":                             {400, `{"message":"No valid users provided"}`, Answer{Outcome: NoneValid}},
		"another 400":                            {400, `{"message":"no"}`, Answer{Outcome: Refused}},
		"a 400 without JSON":                     {400, `All users already exist`, Answer{Outcome: Refused}},
		"half a 400":                             {400, `{"message":"All users alr`, Answer{Outcome: Unavailable, Incomplete: true}},
		"the words of a 400 with another status": {409, `{"message":"All users already exist"}`, Answer{Outcome: Refused}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkBatch(t, tc.status, tc.body, sent, tc.want)
		})
	}
}

func TestClassifyBatch_ByStatus(t *testing.T) {
	t.Parallel()
	sent := []users.User{{Username: "ann"}}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Answer
	}{
		"422": {422, `{}`, Answer{Outcome: Refused}},
		"413": {413, ``, Answer{Outcome: TooLarge}},
		"401": {401, `{}`, Answer{Outcome: Unauthorized}},
		"403": {403, ``, Answer{Outcome: Forbidden}},
		"402": {402, ``, Answer{Outcome: Refused}},
		"404": {404, ``, Answer{Outcome: Refused}},
		"405": {405, ``, Answer{Outcome: Refused}},
		"410": {410, ``, Answer{Outcome: Refused}},
		"415": {415, ``, Answer{Outcome: Refused}},
		"408": {408, ``, Answer{Outcome: Unavailable}},
		"425": {425, ``, Answer{Outcome: Deferred}},
		"429": {429, ``, Answer{Outcome: Deferred}},
		"500": {500, `{"message":"success"}`, Answer{Outcome: Unavailable}},
		"502": {502, `<html>`, Answer{Outcome: Unavailable}},
		"300": {300, ``, Answer{Outcome: Redirected}},
		"302": {302, ``, Answer{Outcome: Redirected}},
		"308": {308, ``, Answer{Outcome: Redirected}},
		"199": {199, ``, Answer{Outcome: Unavailable}},
		"600": {600, ``, Answer{Outcome: Unavailable}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkBatch(t, tc.status, tc.body, sent, tc.want)
		})
	}
}

// checkBatch has an answer to a creation classified as it is, cut off, and too long.
func checkBatch(t *testing.T, status int, text string, sent []users.User, want Answer) {
	t.Helper()
	got := classifyBatch(status, received(text), sent)
	want.StatusCode = status
	got.Message = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	cut := classifyBatch(status, body{text: []byte(text), cut: true}, sent)
	outcome := want.Outcome
	if status/100 == 2 || status == http.StatusBadRequest {
		outcome = Unavailable // otherwise the status says it all
	}
	if cut.Outcome != outcome || !cut.Incomplete {
		t.Errorf("cut off it became %+v, want %s", cut, outcome)
	}
	if long := classifyBatch(status, body{text: []byte(text), long: true}, sent); long.Served() {
		t.Errorf("too long it became %s", long.Outcome)
	}
}

func TestClassifyUpdate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Outcome
	}{
		"the user":          {200, `{"userId":"1","username":"ann","fullName":"A"}`, Updated},
		"no userId":         {200, `{"success":true}`, Updated},
		"another user":      {200, `{"userId":"2","username":"ann","fullName":"A"}`, Refused},
		"nothing":           {204, ``, Updated},
		"a page":            {200, `<html>welcome</html>`, Unavailable},
		"half an answer":    {200, `{"userId":"1","user`, Unavailable},
		"404 with JSON":     {404, `{"message":"User not found"}`, Absent},
		"404 of a proxy":    {404, `<html>not here</html>`, Refused},
		"400":               {400, `{"message":"fullName is too long"}`, Refused},
		"403":               {403, `{}`, Forbidden},
		"401":               {401, `{}`, Unauthorized},
		"405":               {405, ``, Refused},
		"429":               {429, ``, Deferred},
		"503":               {503, ``, Unavailable},
		"a redirect":        {308, ``, Redirected},
		"too large a proxy": {413, ``, TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := classifyUpdate(tc.status, received(tc.body), "1"); got.Outcome != tc.want || got.StatusCode != tc.status {
				t.Errorf("got %+v, want %s", got, tc.want)
			}
		})
	}
}

func TestClassifyUser(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Outcome
	}{
		"the user":             {200, `{"userId":"1","username":"ann","fullName":""}`, Found},
		"another user":         {200, `{"userId":"ann","username":"zoe"}`, Inconclusive},
		"another case":         {200, `{"username":"Ann"}`, Inconclusive},
		"no username":          {200, `{"userId":"1"}`, Inconclusive},
		"a page":               {200, `<html>welcome</html>`, Inconclusive},
		"nothing":              {204, ``, Inconclusive},
		"half an answer":       {200, `{"userId":"1","user`, Unavailable},
		"404 with JSON":        {404, `{"message":"User not found"}`, Absent},
		"half a 404":           {404, `{"message":"User`, Unavailable},
		"404 with null":        {404, `null`, Inconclusive},
		"404 with a list":      {404, `[]`, Inconclusive},
		"404 of a proxy":       {404, `<html>not here</html>`, Inconclusive},
		"404 without a body":   {404, ``, Inconclusive},
		"400":                  {400, `{"message":"bad id"}`, Inconclusive},
		"half a 400":           {400, `{"message":"bad`, Inconclusive},
		"403":                  {403, `{"message":"no"}`, Inconclusive},
		"405":                  {405, ``, Inconclusive},
		"413":                  {413, ``, Inconclusive},
		"a redirect elsewhere": {301, ``, Inconclusive},
		"401":                  {401, `{}`, Unauthorized},
		"425":                  {425, ``, Deferred},
		"429":                  {429, ``, Deferred},
		"408":                  {408, ``, Unavailable},
		"503":                  {503, ``, Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := classifyUser(tc.status, received(tc.body), "ann")
			if got.Outcome != tc.want || got.StatusCode != tc.status {
				t.Errorf("got %+v, want %s", got, tc.want)
			}
		})
	}
	long := body{text: []byte(`{`), long: true}
	if got := classifyUser(200, long, "ann"); got.Outcome != Inconclusive || !strings.Contains(got.Message, "too long") {
		t.Errorf("an answer that is too long: %+v", got)
	}
	if got := classifyUser(403, received(`{"message":"no"}`), "ann"); got.Message != "no" {
		t.Errorf("the words of a 403: %+v", got)
	}
}

// FuzzClassifyBatch checks that no answer makes more of a user than it says: only a success or one of the two known 400s
// settle anything, and whoever is named was sent.
func FuzzClassifyBatch(f *testing.F) {
	f.Add(200, []byte(`{"message":"success","invalidUsers":[{"username":"ANN"}]}`))
	f.Add(200, []byte(`{"message":"success","invalidUsers":["B\u00f6b",{"fullName":"Ann"},{"username":7},null,[],{"username":"&#97;nn"}]}`))
	f.Add(400, []byte(`{"message":"All users already exist"}`))
	f.Add(200, []byte(`{"message":"success","invalidUsers":null}`))
	f.Add(422, []byte(`{"errors":[{"message":["a","b"]},"c"],"error":{"title":"d","detail":"e"}}`))
	f.Add(503, []byte(`<html>`))
	sent := []users.User{{Username: "ann", FullName: "Ann"}, {Username: "Ann", FullName: "Ann"}, {Username: "böb"}, {Username: "7"}}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		got := classifyBatch(status, received(string(text)), sent)
		for username := range got.Named {
			if !slices.ContainsFunc(sent, func(u users.User) bool { return u.Username == username }) {
				t.Errorf("%q was not sent", username)
			}
		}
		if got.Outcome != Accepted && (got.Named != nil || got.Unmatched != 0 || got.Nameless != 0) {
			t.Errorf("%s names users: %+v", got.Outcome, got)
		}
		if got.Served() && got.InDoubt() || got.MayBeRunning() && !got.InDoubt() {
			t.Errorf("%+v contradicts itself", got)
		}
		if message := clean(got.Message); len([]rune(message)) > maxMessage || clean(message) != message {
			t.Errorf("message %q", message)
		}
		switch got.Outcome {
		case Accepted:
			if status/100 != 2 || !json.Valid(text) || got.Named == nil {
				t.Errorf("%d %q was accepted", status, text)
			}
		case AllExist, NoneValid:
			if status != http.StatusBadRequest || !json.Valid(text) {
				t.Errorf("%d %q became %s", status, text, got.Outcome)
			}
		default: // settles nothing
		}
	})
}
