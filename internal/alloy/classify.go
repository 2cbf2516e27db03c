// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Messages of POST /users/batch (https://docs.runalloy.com/reference/embedded/batch-create-users), compared trimmed and
// without regard to case.
const (
	messageSuccess   = "success"
	messageAllExist  = "All users already exist"
	messageNoneValid = "No valid users provided"
)

// classifyBatch says what an answer to POST /users/batch means.
func classifyBatch(status int, read body, sent []users.User) Answer {
	var decoded struct {
		Message      string          `json:"message"`
		InvalidUsers json.RawMessage `json:"invalidUsers"`
	}
	readable := read.decode(&decoded)
	says := func(message string) bool { return readable && sameMessage(decoded.Message, message) }
	answer := Answer{StatusCode: status, Message: decoded.Message}
	switch {
	case status/100 == 2 && says(messageSuccess):
		echoed, ok := matchEchoes(decoded.InvalidUsers, sent)
		if !ok {
			break
		}
		answer.Outcome, answer.Named, answer.Unmatched, answer.Nameless = Accepted, echoed.named, echoed.unmatched, echoed.nameless
		return answer
	case status == http.StatusBadRequest && says(messageAllExist):
		answer.Outcome = AllExist
		return answer
	case status == http.StatusBadRequest && says(messageNoneValid):
		answer.Outcome = NoneValid
		return answer
	}
	answer = classifyFailure(status, read)
	if status == http.StatusBadRequest && read.cut { // the rest could have said that all users exist
		answer.Outcome = Unavailable
	}
	return answer
}

func sameMessage(got, want string) bool { return strings.EqualFold(strings.TrimSpace(got), want) }

// classifyUser says what an answer to GET /users/{username} means.
func classifyUser(status int, read body, username string) Answer {
	var decoded struct {
		Username *string `json:"username"`
		UserID   lenient `json:"userId"`
		FullName lenient `json:"fullName"`
	}
	readable, success := read.decode(&decoded), status/100 == 2
	answer := Answer{StatusCode: status}
	switch {
	case success && readable && decoded.Username != nil && *decoded.Username == username:
		answer.Outcome, answer.User = Found, ListedUser{string(decoded.UserID), username, string(decoded.FullName)}
	case success && readable:
		// The path may have been read as a userId, or the username without regard to case.
		answer.Outcome, answer.Message = Inconclusive, "the answer does not show this user"
	case status == http.StatusNotFound && readable:
		answer.Outcome = Absent
	case success && !read.cut:
		answer.Outcome, answer.Message = Inconclusive, read.message(status)
	case status == http.StatusNotFound && read.cut: // whether it was the API's 404 or a proxy's, the rest would have shown
		answer = classifyFailure(status, read)
		answer.Outcome = Unavailable
	default:
		answer = classifyReading(status, read)
	}
	return answer
}

// classifyUpdate says what an answer to PUT /users/{userId} means.
func classifyUpdate(status int, read body, userID string) Answer {
	var decoded struct {
		UserID lenient `json:"userId"`
	}
	readable, success := read.decode(&decoded), status/100 == 2
	switch {
	case success && (read.isEmpty() || readable && (decoded.UserID == "" || string(decoded.UserID) == userID)):
		return Answer{Outcome: Updated, StatusCode: status}
	case success && readable:
		return Answer{Outcome: Refused, StatusCode: status, Message: "the answer shows another user"}
	case status == http.StatusNotFound && readable:
		return Answer{Outcome: Absent, StatusCode: status, Message: read.message(status)}
	default:
		return classifyFailure(status, read)
	}
}

// classifyReading says what an answer to a reading call means that shows no users. A proxy may refuse to read what may be
// created, so only a 401 says something of the key.
func classifyReading(status int, read body) Answer {
	answer := classifyFailure(status, read)
	switch answer.Outcome {
	case Forbidden, TooLarge, Refused, Redirected:
		answer.Outcome = Inconclusive
	default: // the same as for a creation
	}
	return answer
}

// classifyFailure says what an answer means that is none of those which were hoped for, whatever was asked.
func classifyFailure(status int, read body) Answer {
	return Answer{Outcome: classifyStatus(status), StatusCode: status, Message: read.message(status), Incomplete: read.cut}
}

// classifyStatus says what a status means whatever was asked.
func classifyStatus(status int) Outcome {
	switch {
	case status == http.StatusUnauthorized:
		return Unauthorized
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return Deferred
	case status == http.StatusRequestEntityTooLarge:
		return TooLarge
	case status == http.StatusRequestTimeout:
		return Unavailable
	case status/100 == 3:
		return Redirected
	case status/100 == 4:
		return Refused
	default: // 5xx, and 2xx or what no server should send, where nothing else is known of it
		return Unavailable
	}
}
