// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"fmt"
	"net/http"
	"strings"
	"time"
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
	// Listed means: every user was listed.
	Listed Outcome = "listed"
	// Updated means: the user was changed as asked.
	Updated Outcome = "updated"
	// Inconclusive means: the answer to a reading call proves nothing, neither of a user nor of the key. Another way of reading may.
	Inconclusive Outcome = "inconclusive"

	// Unauthorized means: the API does not accept the key (401).
	Unauthorized Outcome = "unauthorized"
	// Forbidden means: the API, or a gateway before it, does not permit the request (403). Whether that is the key's fault, the
	// answer does not say.
	Forbidden Outcome = "forbidden"
	// Unavailable means: there was no answer, or one that proves nothing (408, 5xx, timeout, reset, unreadable). The request may have
	// been applied.
	Unavailable Outcome = "unavailable"
	// Deferred means: the request was certainly not applied, and may be repeated (425, 429, no connection).
	Deferred Outcome = "deferred"
	// TooLarge means: the request has too many bytes (413).
	TooLarge Outcome = "too_large"
	// Refused means: the API does not take this request (400 with another message, 422, every other 4xx). The cause may be a single
	// user, or the request as such.
	Refused Outcome = "refused"
	// Redirected means: the API points to another address, to which the key is not sent (3xx).
	Redirected Outcome = "redirected"
)

// Answer is one answer of the API, classified.
type Answer struct {
	Outcome    Outcome
	StatusCode int    // 0 when there was no answer
	Message    string // the server's own words or the kind of failure, without the key; may name users, so not for logs

	// Incomplete reports that the answer began with StatusCode and then broke off.
	Incomplete bool

	// RetryAfter is how long the server asks to be left alone; 0 if it does not.
	RetryAfter time.Duration

	// Named holds, for Accepted, the usernames of the request, as sent, that the answer names as invalid.
	Named map[string]struct{}
	// Unmatched counts, for Accepted, the invalid users in the answer whose username fits none of the request's.
	Unmatched int
	// Nameless counts, for Accepted, the invalid users in the answer that have no username and fit no user of the request.
	Nameless int
	// User is, for Found, the user as the API shows it.
	User ListedUser
}

// Served reports whether the API did what was asked, and so accepted the key.
func (a Answer) Served() bool {
	switch a.Outcome {
	case Accepted, AllExist, NoneValid, Found, Absent, Listed, Updated:
		return true
	default:
		return false
	}
}

// InDoubt reports whether the request may have been applied although its answer does not say so.
func (a Answer) InDoubt() bool { return a.Outcome == Unavailable }

// MayBeRunning reports whether the API may still be working on the request: it is in doubt, and there was no complete answer,
// or one that a proxy gives when it stops waiting, or a success that could not be understood. After any other complete 5xx the
// API is done with the request.
func (a Answer) MayBeRunning() bool {
	switch {
	case !a.InDoubt():
		return false
	case a.Incomplete, a.StatusCode == http.StatusBadGateway, a.StatusCode == http.StatusGatewayTimeout:
		return true
	default:
		return a.StatusCode/100 != 5
	}
}

// Explain says for people what the API answered, in one sentence without a period. It is stable while the answer is.
func (a Answer) Explain() string {
	var text string
	switch {
	case a.StatusCode != 0:
		text = strings.TrimSpace(fmt.Sprintf("The Alloy API answered %d %s", a.StatusCode, http.StatusText(a.StatusCode)))
	case a.Outcome == Inconclusive, a.Outcome == Refused: // no request could be made
		text = "The Alloy API was not asked"
	default:
		text = "The Alloy API did not answer"
	}
	if a.Message != "" {
		text += ": " + a.Message
	}
	return text
}
