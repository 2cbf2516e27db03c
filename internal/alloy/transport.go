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
)

// newHTTPClient is the only place that makes an HTTP client. The client honours HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, as
// every Go program does; it never follows a redirect, because the key would travel with it; and it has no time limit of
// its own: each request has one.
func newHTTPClient() *http.Client {
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAliveInterval}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleConnTimeout,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
