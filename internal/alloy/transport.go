// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	dialTimeout       = 10 * time.Second
	maxHeaderBytes    = 64 << 10
	maxIdlePerHost    = 16 // above the requests in flight for a few keys, so that connections are used again
	idleConnTimeout   = 90 * time.Second
	keepAliveInterval = 30 * time.Second
	pingInterval      = 15 * time.Second
)

// newTransport is the only place that makes what sends requests. It honours HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, as every
// Go program does; it has no time limit of its own, since each request has one. No http.Client stands before it, and so nothing
// reads the Location of a redirect, neither to follow it, with which the key would travel, nor to fail when it is malformed.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAliveInterval}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleConnTimeout,
		ForceAttemptHTTP2:      true,
		// Without pings a connection that a middlebox dropped is used until the kernel gives it up, about 15 minutes later.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingInterval, PingTimeout: dialTimeout},
	}
}
