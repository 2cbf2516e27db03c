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

func TestClassifyBatch(t *testing.T) {
	t.Parallel()
	sent := []users.User{{Username: "ann"}, {Username: "Bob"}, {Username: "bob"}, {Username: "cy"}}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Answer
	}{
		"success":                                {200, `{"message":"success","invalidUsers":[]}`, Answer{Outcome: Accepted, Named: names()}},
		"success without invalidUsers":           {200, `{"message":"success"}`, Answer{Outcome: Accepted, Named: names()}},
		"success with null":                      {200, `{"message":"success","invalidUsers":null}`, Answer{Outcome: Accepted, Named: names()}},
		"success in another spelling":            {201, `{"message":" Success "}`, Answer{Outcome: Accepted, Named: names()}},
		"the vendor's own example":               {200, `{"message":"success","invalidUsers":[{"fullName":"Missing Username"},{"username":"alreadyexists123"}]}`, Answer{Outcome: Accepted, Named: names(), Unmatched: 2}},
		"a user named exactly":                   {200, `{"message":"success","invalidUsers":[{"username":"Bob"}]}`, Answer{Outcome: Accepted, Named: names("Bob")}},
		"a user named in another case":           {200, `{"message":"success","invalidUsers":[{"username":" ANN "}]}`, Answer{Outcome: Accepted, Named: names("ann")}},
		"a name that fits two users":             {200, `{"message":"success","invalidUsers":[{"username":"BOB"}]}`, Answer{Outcome: Accepted, Named: names("Bob", "bob")}},
		"another message":                        {200, `{"message":"partly"}`, Answer{Outcome: Unavailable}},
		"no message":                             {200, `{}`, Answer{Outcome: Unavailable}},
		"an empty body":                          {204, ``, Answer{Outcome: Unavailable}},
		"half a body":                            {200, `{"message":"success","inv`, Answer{Outcome: Unavailable}},
		"something behind the body":              {200, `{"message":"success"} {}`, Answer{Outcome: Unavailable}},
		"invalidUsers of another form":           {200, `{"message":"success","invalidUsers":["ann"]}`, Answer{Outcome: Unavailable}},
		"a username that is no string":           {200, `{"message":"success","invalidUsers":[{"username":1}]}`, Answer{Outcome: Unavailable}},
		"bytes that are no text":                 {200, "{\"message\":\"success\",\"invalidUsers\":[{\"username\":\"\xff\"}]}", Answer{Outcome: Unavailable}},
		"HTML":                                   {200, `<html>`, Answer{Outcome: Unavailable}},
		"all exist":                              {400, `{"message":"All users already exist"}`, Answer{Outcome: AllExist}},
		"all exist in another spelling":          {400, `{"message":" all USERS already exist\n"}`, Answer{Outcome: AllExist}},
		"none valid":                             {400, `{"message":"No valid users provided"}`, Answer{Outcome: NoneValid}},
		"another 400":                            {400, `{"message":"no"}`, Answer{Outcome: Refused}},
		"a 400 without JSON":                     {400, `All users already exist`, Answer{Outcome: Refused}},
		"the words of a 400 with another status": {409, `{"message":"All users already exist"}`, Answer{Outcome: Rejected}},
		"422":                                    {422, `{}`, Answer{Outcome: Refused}},
		"413":                                    {413, ``, Answer{Outcome: TooLarge}},
		"401":                                    {401, `{}`, Answer{Outcome: Unauthorized}},
		"403":                                    {403, ``, Answer{Outcome: Unauthorized}},
		"402":                                    {402, ``, Answer{Outcome: Rejected}},
		"404":                                    {404, ``, Answer{Outcome: Rejected}},
		"410":                                    {410, ``, Answer{Outcome: Rejected}},
		"408":                                    {408, ``, Answer{Outcome: Unavailable}},
		"425":                                    {425, ``, Answer{Outcome: Deferred}},
		"429":                                    {429, ``, Answer{Outcome: Deferred}},
		"500":                                    {500, `{"message":"success"}`, Answer{Outcome: Unavailable}},
		"502":                                    {502, `<html>`, Answer{Outcome: Unavailable}},
		"302":                                    {302, ``, Answer{Outcome: Redirected}},
		"308":                                    {308, ``, Answer{Outcome: Redirected}},
		"199":                                    {199, ``, Answer{Outcome: Unavailable}},
		"600":                                    {600, ``, Answer{Outcome: Unavailable}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := classifyBatch(tc.status, body{text: []byte(tc.body), whole: true}, sent)
			tc.want.StatusCode = tc.status
			got.Message = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			cut := classifyBatch(tc.status, body{text: []byte(tc.body), cut: true}, sent)
			want := tc.want.Outcome
			switch want {
			case Accepted, AllExist, NoneValid, Refused:
				want = Unavailable
			default: // the status says it all
			}
			if cut.Outcome != want {
				t.Errorf("cut off it became %s, want %s", cut.Outcome, want)
			}
			long := classifyBatch(tc.status, body{text: []byte(tc.body)}, sent)
			if long.Outcome == Accepted || long.Outcome == AllExist || long.Outcome == NoneValid {
				t.Errorf("too long it became %s", long.Outcome)
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
		"half an answer":       {200, `{"userId":"1","user`, Unavailable},
		"404 with JSON":        {404, `{"message":"User not found"}`, Absent},
		"404 of a proxy":       {404, `<html>not here</html>`, Inconclusive},
		"404 without a body":   {404, ``, Inconclusive},
		"400":                  {400, `{"message":"bad id"}`, Inconclusive},
		"405":                  {405, ``, Inconclusive},
		"413":                  {413, ``, Inconclusive},
		"401":                  {401, `{}`, Unauthorized},
		"429":                  {429, ``, Deferred},
		"503":                  {503, ``, Unavailable},
		"a redirect elsewhere": {301, ``, Redirected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := classifyUser(tc.status, body{text: []byte(tc.body), whole: true}, "ann"); got.Outcome != tc.want {
				t.Errorf("got %s, want %s", got.Outcome, tc.want)
			}
		})
	}
}

func TestDecodeList(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want []string
		fail bool
	}{
		"users, one without a username": {body: `{"data":[{"userId":"1","username":"a"},{"userId":"2"},{"username":"b"}]}`, want: []string{"a", "b"}},
		"nobody":                        {body: `{"data":[]}`},
		"other fields around":           {body: `{"count":{"n":[1]},"data":[{"username":"a","x":{"username":"no"}}],"next":null}`, want: []string{"a"}},
		"cut in the middle":             {body: `{"data":[{"username":"a"},{"user`, want: []string{"a"}, fail: true},
		"cut after a row":               {body: `{"data":[{"username":"a"}`, want: []string{"a"}, fail: true},
		"cut at the end":                {body: `{"data":[{"username":"a"}]`, want: []string{"a"}, fail: true},
		"no data":                       {body: `{"users":[]}`, fail: true},
		"null":                          {body: `{"data":null}`, fail: true},
		"an array":                      {body: `[{"username":"a"}]`, fail: true},
		"HTML":                          {body: `<html>`, fail: true},
		"nothing":                       {body: ``, fail: true},
		"a row that is too large":       {body: `{"data":[{"username":"` + strings.Repeat("x", 2*maxListRow) + `"}]}`, fail: true},
		"a field that is too large":     {body: `{"x":"` + strings.Repeat("x", 2*maxListRow) + `","data":[]}`, fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			err := decodeList(strings.NewReader(tc.body), func(username string) { got = append(got, username) })
			if (err != nil) != tc.fail {
				t.Errorf("error %v, want one: %t", err, tc.fail)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("users %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDecodeList_LongListsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	const n = 50_000 // 3 MB, well above what one row may have
	body := `{"data":[` + strings.Repeat(`{"userId":"0123456789","username":"somebody@example.com"},`, n-1) + `{"username":"last"}]}`
	seen := 0
	if err := decodeList(strings.NewReader(body), func(string) { seen++ }); err != nil || seen != n {
		t.Errorf("%d users, %v", seen, err)
	}
}

// FuzzClassifyBatch checks that no answer makes more of a user than it says: only a success or one of the two known 400s
// settle anything, and whoever is named was sent.
func FuzzClassifyBatch(f *testing.F) {
	f.Add(200, []byte(`{"message":"success","invalidUsers":[{"username":"ANN"}]}`))
	f.Add(400, []byte(`{"message":"All users already exist"}`))
	f.Add(200, []byte(`{"message":"success","invalidUsers":null}`))
	f.Add(503, []byte(`<html>`))
	sent := []users.User{{Username: "ann"}, {Username: "Ann"}, {Username: "böb"}}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		got := classifyBatch(status, body{text: text, whole: true}, sent)
		for username := range got.Named {
			if !slices.ContainsFunc(sent, func(u users.User) bool { return u.Username == username }) {
				t.Errorf("%q was not sent", username)
			}
		}
		switch got.Outcome {
		case Accepted:
			if status/100 != 2 || !json.Valid(text) {
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

// FuzzDecodeList checks that a list is either read to its end or fails, and that a list which succeeds is a JSON object.
func FuzzDecodeList(f *testing.F) {
	for _, seed := range []string{`{"data":[{"username":"a"},{}]}`, `{"data":[]}`, `{"x":{},"data":[{"username":"a"}],"y":1}`, `{"data":[{"username":"a"}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		seen := 0
		err := decodeList(strings.NewReader(string(text)), func(string) { seen++ })
		if err == nil && seen > len(text) {
			t.Errorf("%d users in %d bytes", seen, len(text))
		}
		var whole map[string]json.RawMessage
		if valid := json.Unmarshal(text, &whole) == nil; err == nil && !valid && json.Valid(text) {
			t.Errorf("%q is no object, and was taken for a list", text)
		}
	})
}
