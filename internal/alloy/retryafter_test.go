// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		value string
		want  time.Duration
	}{
		"none":                 {"", 0},
		"seconds":              {"7", 7 * time.Second},
		"white space around":   {" 7 ", 7 * time.Second},
		"a date":               {"Tue, 24 Nov 2026 12:00:30 GMT", 30 * time.Second},
		"a date that is past":  {"Tue, 24 Nov 2026 11:00:00 GMT", 0},
		"more than is allowed": {"86400", maxRetryAfter},
		"a date next year":     {"Wed, 24 Nov 2027 12:00:00 GMT", maxRetryAfter},
		"a number that is too large for anything": {"4294967295", maxRetryAfter},
		"a number that fits no type":              {"99999999999", maxRetryAfter},
		"forty digits":                            {"1234567890123456789012345678901234567890", maxRetryAfter},
		"a date in a thousand years":              {"Sun, 24 Nov 3026 12:00:00 GMT", maxRetryAfter},
		"a sign":                                  {"+5", 0},
		"a large negative number":                 {"-99999999999", 0},
		"two values":                              {"5, 7", 0},
		"a negative number":                       {"-5", 0},
		"half a second":                           {"0.5", 0},
		"words":                                   {"soon", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := retryAfter(http.Header{"Retry-After": {tc.value}}, now); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
