// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// What a failure of the network is called. Each kind has one fixed text: what the standard library says of it may hold
// times, ports and the numbers of streams, which would change a condition with each attempt.
const (
	failureTimeout     = "it took too long"
	failureName        = "its name could not be resolved"
	failureProxy       = "the proxy could not be reached"
	failureRefused     = "the connection was refused"
	failureUnreachable = "the network does not reach it"
	failureCut         = "the connection was cut"
	failureUntrusted   = "its TLS certificate is not trusted"
	failureExpired     = "its TLS certificate has expired or is not valid yet"
	failureOtherName   = "its TLS certificate is for another name"
	failureHandshake   = "the TLS handshake failed"
	failureOther       = "the request failed"
)

// classifyError says what it means that no answer came. Without a connection nothing was sent.
func classifyError(err error, connected bool) Answer {
	if !connected {
		return Answer{Outcome: Deferred, Message: networkFailure(err)}
	}
	return Answer{Outcome: Unavailable, Message: networkFailure(err)}
}

// networkFailure names the kind of an error of the network.
func networkFailure(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return failureName
	}
	if failure := certificateFailure(err); failure != "" {
		return failure
	}
	operation, _ := errors.AsType[*net.OpError](err)
	switch {
	case operation != nil && operation.Op == "proxyconnect":
		return failureProxy
	case isTimeout(err):
		return failureTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return failureRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return failureUnreachable
	case isCut(err):
		return failureCut
	case isHandshake(err):
		return failureHandshake
	default:
		return failureOther
	}
}

// certificateFailure names what is wrong with the API's certificate, or nothing.
func certificateFailure(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return failureOtherName
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return failureExpired
	}
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	if unverified || unknown {
		return failureUntrusted
	}
	return ""
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// isCut reports whether the other side, or something in between, ended the connection or the stream. The errors of HTTP/2
// have no types outside net/http.
func isCut(err error) bool {
	for _, cut := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE} {
		if errors.Is(err, cut) {
			return true
		}
	}
	text := err.Error()
	return strings.Contains(text, "stream error: ") || strings.Contains(text, "http2: ") ||
		strings.Contains(text, "server closed idle connection")
}

func isHandshake(err error) bool {
	_, alert := errors.AsType[tls.AlertError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	return alert || noTLS || strings.Contains(err.Error(), "tls: ")
}
