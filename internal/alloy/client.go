// SPDX-License-Identifier: Apache-2.0

// Package alloy speaks the Users API of Alloy Embedded: it sends requests, bounds what it reads, and says what each answer
// means. It repeats nothing and keeps nothing; that is the sender's work.
//
// The API is described at https://docs.runalloy.com/reference/embedded/batch-create-users; openapi.yaml beside this file
// holds what is relied on.
package alloy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Defaults of the vendor's page.
const (
	DefaultBaseURL    = "https://production.runalloy.com"
	DefaultAPIVersion = "2025-09"
)

// DefaultTimeout of a request. The vendor publishes none; a batch of 1000 users is much for an API that validates each.
const DefaultTimeout = 30 * time.Second

// DefaultListTimeout of a list of all users. A million of them take 150 MB.
const DefaultListTimeout = 5 * time.Minute

// MaxBatch is the most users in one POST /users/batch, as the vendor's page says.
const MaxBatch = 1000

// Operation names a call, for metrics.
type Operation string

// The calls that the client makes.
const (
	OperationCreate Operation = "batch_create"
	OperationGet    Operation = "get"
	OperationList   Operation = "list"
	OperationUpdate Operation = "update"
)

// Options of a Client.
type Options struct {
	// BaseURL of the API. It belongs to the operator, not to a batch: whoever may write a batch must not be able to choose where
	// a key is sent.
	BaseURL string
	// AllowInsecure allows a BaseURL with http, over which the key travels in the clear.
	AllowInsecure bool
	// APIVersion is sent as x-api-version.
	APIVersion string
	// Timeout bounds each request but lists, from the first byte sent to the last byte read.
	Timeout time.Duration
	// ListTimeout bounds each list of all users likewise; 0 for DefaultListTimeout.
	ListTimeout time.Duration
	// UserAgent is sent with each request.
	UserAgent string
	// Observe is told of each request when it is over. Optional.
	Observe func(operation Operation, answer Answer, elapsed time.Duration)
}

// Client speaks to one Alloy API. It is safe for concurrent use.
type Client struct {
	options   Options
	transport *http.Transport
}

// New makes a client. It returns an error when the base URL is not one that a key may be sent to.
func New(options Options) (*Client, error) {
	options.BaseURL = strings.TrimRight(options.BaseURL, "/")
	base, err := url.Parse(options.BaseURL)
	switch {
	case err != nil || base.Host == "" || base.Opaque != "":
		return nil, errors.New("the URL of the Alloy API must be absolute, such as " + DefaultBaseURL)
	case base.User != nil || strings.ContainsAny(options.BaseURL, "?#"):
		return nil, errors.New("the URL of the Alloy API must have no user, query or fragment")
	case base.Scheme == "http" && !options.AllowInsecure:
		return nil, errors.New("the URL of the Alloy API must be https; " +
			"http, which shows the API key to the network, has to be allowed expressly")
	case base.Scheme != "https" && base.Scheme != "http":
		return nil, fmt.Errorf("the URL of the Alloy API must be https, not %q", base.Scheme)
	case options.Timeout <= 0:
		return nil, fmt.Errorf("the timeout of requests to the Alloy API must be above 0, not %s", options.Timeout)
	case options.ListTimeout < 0:
		return nil, fmt.Errorf("the timeout of a list of the Alloy API's users must be above 0, not %s", options.ListTimeout)
	}
	options.ListTimeout = cmp.Or(options.ListTimeout, DefaultListTimeout)
	if options.Observe == nil {
		options.Observe = func(Operation, Answer, time.Duration) {}
	}
	return &Client{options: options, transport: newTransport()}, nil
}

// BaseURL is the API's address without a slash at its end.
func (c *Client) BaseURL() string { return c.options.BaseURL }

// wireUser is a user as POST /users/batch takes it.
type wireUser struct {
	Username string `json:"username"`
	FullName string `json:"fullName,omitempty"`
}

// CreateUsers asks the API to create users, 1 to MaxBatch with distinct usernames. The answer's outcome is Accepted,
// AllExist or NoneValid, or one of the failures.
func (c *Client) CreateUsers(ctx context.Context, key Key, batch []users.User) Answer {
	wire := make([]wireUser, len(batch))
	for i, user := range batch {
		wire[i] = wireUser(user)
	}
	body, err := json.Marshal(map[string][]wireUser{"users": wire})
	if err != nil { // strings always encode
		return Answer{Outcome: Refused, Message: "encoding the request failed"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	return c.do(ctx, key, OperationCreate, http.MethodPost, "/users/batch", body, func(response *http.Response) Answer {
		return classifyBatch(response.StatusCode, readBody(response, maxBatchBody), batch)
	})
}

// GetUser asks for one user by username. The answer's outcome is Found, Absent or Inconclusive, or Unauthorized, Unavailable or
// Deferred. A username that a path cannot carry is Inconclusive without a request.
func (c *Client) GetUser(ctx context.Context, key Key, username string) Answer {
	if !goesIntoPath(username) {
		return Answer{Outcome: Inconclusive, Message: "this username does not go into a path"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	return c.do(ctx, key, OperationGet, http.MethodGet, "/users/"+pathSegment(username), nil, func(response *http.Response) Answer {
		return classifyUser(response.StatusCode, readBody(response, maxUserBody), username)
	})
}

// UpdateUser writes the full name of the user with an ID. The answer's outcome is Updated, Absent, or one of the failures. An ID that
// a path cannot carry is Refused without a request.
func (c *Client) UpdateUser(ctx context.Context, key Key, userID, fullName string) Answer {
	if !goesIntoPath(userID) {
		return Answer{Outcome: Refused, Message: "this userId does not go into a path"}
	}
	body, err := json.Marshal(map[string]string{"fullName": fullName})
	if err != nil { // strings always encode
		return Answer{Outcome: Refused, Message: "encoding the request failed"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	return c.do(ctx, key, OperationUpdate, http.MethodPut, "/users/"+pathSegment(userID), body, func(response *http.Response) Answer {
		return classifyUpdate(response.StatusCode, readBody(response, maxUserBody), userID)
	})
}

// ListUsers calls visit with each user of the account, at most MaxListed; users without a username are passed over. The answer's
// outcome is Listed; or Inconclusive, Unauthorized, Unavailable or Deferred: then visit may have seen a part of the users. Unlike
// the other calls it may take as long as Options.ListTimeout.
func (c *Client) ListUsers(ctx context.Context, key Key, visit func(ListedUser)) Answer {
	ctx, cancel := context.WithTimeout(ctx, c.options.ListTimeout)
	defer cancel()
	return c.do(ctx, key, OperationList, http.MethodGet, "/users", nil, func(response *http.Response) Answer {
		if response.StatusCode/100 != 2 {
			return classifyReading(response.StatusCode, readBody(response, maxUserBody))
		}
		return classifyList(response.StatusCode, decodeList(response.Body, visit))
	})
}

// do sends one request, bounded by its context, and has its answer classified.
func (c *Client) do(
	ctx context.Context, key Key, operation Operation, method, path string, body []byte, classify func(*http.Response) Answer,
) Answer {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})

	request, err := http.NewRequestWithContext(ctx, method, c.options.BaseURL+path, bytes.NewReader(body))
	if err != nil { // the base URL was checked and the path is encoded
		return Answer{Outcome: Refused, Message: "the request could not be formed"}
	}
	request.Header.Set("Authorization", "Bearer "+key.reveal())
	request.Header.Set("X-Api-Version", c.options.APIVersion)
	request.Header.Set("User-Agent", c.options.UserAgent)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}

	start := time.Now()
	var answer Answer
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		answer = classifyError(err, connected.Load())
	} else {
		answer = classify(response)
		answer.RetryAfter = retryAfter(response.Header, time.Now())
		_ = response.Body.Close() // what matters was read
	}
	answer.Message = clean(key.Scrub(answer.Message)) // in this order: half a key would not be found
	c.options.Observe(operation, answer, time.Since(start))
	return answer
}

// goesIntoPath reports whether a text can be a segment of a path: servers drop or resolve others, whatever their encoding.
func goesIntoPath(text string) bool { return text != "" && text != "." && text != ".." }

// pathSegment encodes a username or a userId as one segment of a path. Everything but letters, digits and -._~ is encoded, also what
// RFC 3986 allows in a segment, because servers differ in how they read it.
func pathSegment(username string) string {
	return strings.ReplaceAll(url.QueryEscape(username), "+", "%20")
}
