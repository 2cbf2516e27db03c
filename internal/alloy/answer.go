package alloy

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Outcome is what an answer of the API, or its absence, means. Its values are a closed set, so that they can label a metric.
type Outcome string

const (
	// Accepted means: the users were created, except those that the answer names as invalid.
	Accepted Outcome = "accepted"
	// AllExist means: every user existed already; none was created.
	AllExist Outcome = "all_exist"
	// NoneValid means: none of the users could be created. Whether each exists or is not acceptable, the answer does not say.
	NoneValid Outcome = "none_valid"

	// Found means: a user with exactly this username exists.
	Found Outcome = "found"
	// Absent means: no such user exists.
	Absent Outcome = "absent"
	// Inconclusive means: the answer to a question for one user proves neither; the list of all users can.
	Inconclusive Outcome = "inconclusive"
	// Listed means: every user was listed.
	Listed Outcome = "listed"

	// Unauthorized means: the API does not accept the key (401, 403).
	Unauthorized Outcome = "unauthorized"
	// Unavailable means: there was no answer, or one that proves nothing (408, 5xx, timeout, reset, unreadable). The request may have
	// been applied.
	Unavailable Outcome = "unavailable"
	// Deferred means: the request was certainly not applied, and may be repeated (425, 429, no connection).
	Deferred Outcome = "deferred"
	// TooLarge means: the request has too many bytes (413).
	TooLarge Outcome = "too_large"
	// Refused means: the API does not like something in this request, perhaps a single user (other 400, 422).
	Refused Outcome = "refused"
	// Rejected means: the API does not take such requests at all (every other 4xx).
	Rejected Outcome = "rejected"
	// Redirected means: the API points to another address, to which the key is not sent (3xx).
	Redirected Outcome = "redirected"
)

// maxMessage is the most characters kept of a text of the server: enough to understand it, and little enough that several
// fit into a condition.
const maxMessage = 200

// Answer is one answer of the API, classified.
type Answer struct {
	Outcome    Outcome
	StatusCode int    // 0 when there was no answer
	Message    string // the server's or the network's own words, without the key; may name users, so not for logs

	// RetryAfter is how long the server asks to be left alone; 0 if it does not.
	RetryAfter time.Duration

	// Named holds, for Accepted, the usernames of the request that the answer names as invalid.
	Named map[string]struct{}
	// Unmatched counts, for Accepted, the invalid users in the answer that are none of the request's.
	Unmatched int
}

// InDoubt tells that the request may have been applied although its answer does not say so.
func (a Answer) InDoubt() bool { return a.Outcome == Unavailable }

// MayPass tells that the same request may succeed later.
func (a Answer) MayPass() bool { return a.Outcome == Unavailable || a.Outcome == Deferred }

// Explain says for people what the API answered, in one sentence without a period. It is stable while the answer is.
func (a Answer) Explain() string {
	text := "The Alloy API did not answer"
	if a.StatusCode != 0 {
		text = strings.TrimSpace(fmt.Sprintf("The Alloy API answered %d %s", a.StatusCode, http.StatusText(a.StatusCode)))
	}
	if a.Message != "" {
		text += ": " + a.Message
	}
	return text
}

// batchBody is the body of an answer to POST /users/batch.
type batchBody struct {
	Message      *string `json:"message"`
	InvalidUsers []struct {
		Username *string `json:"username"`
	} `json:"invalidUsers"`
}

// Messages of POST /users/batch (https://docs.runalloy.com/reference/embedded/batch-create-users), compared trimmed and
// without regard to case.
const (
	messageSuccess   = "success"
	messageAllExist  = "All users already exist"
	messageNoneValid = "No valid users provided"
)

// classifyBatch says what an answer to POST /users/batch means.
func classifyBatch(status int, read body, sent []users.User) Answer {
	var decoded batchBody
	readable := read.decode(&decoded) && decoded.Message != nil
	said := func(message string) bool {
		return readable && strings.EqualFold(strings.TrimSpace(*decoded.Message), message)
	}
	switch {
	case status/100 == 2 && said(messageSuccess):
		answer := Answer{Outcome: Accepted, StatusCode: status, Message: *decoded.Message}
		answer.Named, answer.Unmatched = matchNamed(decoded, sent)
		return answer
	case status == http.StatusBadRequest && said(messageAllExist):
		return Answer{Outcome: AllExist, StatusCode: status, Message: *decoded.Message}
	case status == http.StatusBadRequest && said(messageNoneValid):
		return Answer{Outcome: NoneValid, StatusCode: status, Message: *decoded.Message}
	default:
		return classifyFailure(status, read)
	}
}

// classifyFailure says what an answer means that is none of those which were hoped for, whatever was asked.
func classifyFailure(status int, read body) Answer {
	answer := Answer{Outcome: classifyStatus(status), StatusCode: status}
	var decoded struct {
		Message *string `json:"message"`
	}
	switch {
	case read.decode(&decoded) && decoded.Message != nil:
		answer.Message = *decoded.Message
	case read.cut && answer.Outcome == Refused: // the rest could have said that all users exist
		answer.Outcome, answer.Message = Unavailable, "the answer was cut off"
	case status/100 == 2:
		answer.Message = "the answer could not be read"
	}
	return answer
}

// classifyStatus says what a status means whatever was asked.
func classifyStatus(status int) Outcome {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Unauthorized
	case status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return Deferred
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		return Refused
	case status == http.StatusRequestEntityTooLarge:
		return TooLarge
	case status == http.StatusRequestTimeout:
		return Unavailable
	case status/100 == 3:
		return Redirected
	case status/100 == 4:
		return Rejected
	default: // 5xx, and 2xx or what no server should send, where nothing else is known of it
		return Unavailable
	}
}

// classifyUser says what an answer to GET /users/{username} means.
func classifyUser(status int, read body, username string) Answer {
	var decoded struct {
		Username *string `json:"username"`
	}
	readable := read.decode(&decoded)
	switch {
	case status/100 == 2 && readable && decoded.Username != nil && *decoded.Username == username:
		return Answer{Outcome: Found, StatusCode: status}
	case status/100 == 2 && readable:
		// The path may have been read as a userId, or the username without regard to case.
		return Answer{Outcome: Inconclusive, StatusCode: status}
	case status == http.StatusNotFound && readable:
		return Answer{Outcome: Absent, StatusCode: status}
	}
	answer := classifyFailure(status, read)
	switch answer.Outcome {
	case Rejected, Refused, TooLarge: // a proxy's 404, or a username that does not go into a path
		answer.Outcome = Inconclusive
	default:
	}
	return answer
}

// matchNamed finds the users of the request that the answer names as invalid: by exact username, else trimmed and without
// regard to case.
func matchNamed(body batchBody, sent []users.User) (named map[string]struct{}, unmatched int) {
	named = make(map[string]struct{}, len(body.InvalidUsers))
	if len(body.InvalidUsers) == 0 {
		return named, 0
	}
	exact := make(map[string]struct{}, len(sent))
	folded := make(map[string][]string, len(sent))
	for _, user := range sent {
		exact[user.Username] = struct{}{}
		key := fold(user.Username)
		folded[key] = append(folded[key], user.Username)
	}
	for _, invalid := range body.InvalidUsers {
		if invalid.Username == nil {
			unmatched++
			continue
		}
		if _, ok := exact[*invalid.Username]; ok {
			named[*invalid.Username] = struct{}{}
			continue
		}
		similar := folded[fold(*invalid.Username)]
		if len(similar) == 0 {
			unmatched++
		}
		for _, username := range similar {
			named[username] = struct{}{}
		}
	}
	return named, unmatched
}

func fold(username string) string { return strings.ToLower(strings.TrimSpace(username)) }

// clean makes a text of the server fit for a condition: one line, printable, bounded.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxMessage {
		return string(runes[:maxMessage-1]) + "…"
	}
	return text
}
