// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestNetworkFailure(t *testing.T) {
	t.Parallel()
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: err}
	}
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"the request's time limit":   {context.DeadlineExceeded, failureTimeout},
		"a dial that takes too long": {dial(timeoutError{}), failureTimeout},
		"a name that does not exist": {dial(&net.DNSError{Err: "no such host", Name: "a", Server: "10.0.0.2:53", IsNotFound: true}), failureName},
		"a name server that is away": {dial(&net.DNSError{Err: "i/o timeout", Name: "a", Server: "10.0.0.2:53", IsTimeout: true}), failureName},
		"a port that is closed":      {dial(syscall.ECONNREFUSED), failureRefused},
		"a host without a route":     {dial(syscall.EHOSTUNREACH), failureUnreachable},
		"a proxy that is away":       {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(syscall.ECONNREFUSED)}, failureProxy},
		"a reset":                    {&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, failureCut},
		"an end":                     {io.EOF, failureCut},
		"an end in the middle":       {fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), failureCut},
		"a stream of HTTP/2":         {errors.New("stream error: stream ID 3; INTERNAL_ERROR; received from peer"), failureCut},
		"a connection of HTTP/2": {
			errors.New("http2: server sent GOAWAY and closed the connection; LastStreamID=1999, ErrCode=ENHANCE_YOUR_CALM"),
			failureCut,
		},
		"an idle connection that ended": {errors.New("http: server closed idle connection"), failureCut},
		"a certificate of nobody":       {x509.UnknownAuthorityError{}, failureUntrusted},
		"a certificate for nothing": {
			&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}}, failureUntrusted,
		},
		"a handshake that is refused": {&net.OpError{Op: "remote error", Err: tls.AlertError(40)}, failureHandshake},
		"a cipher that is missing":    {errors.New("tls: no cipher suite supported by both client and server"), failureHandshake},
		"anything else":               {errors.New(`malformed HTTP response "\x16\x03"`), failureOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := networkFailure(tc.err); got != tc.want {
				t.Errorf("%q became %q, want %q", tc.err, got, tc.want)
			}
			if got := classifyError(tc.err, false); got.Outcome != Deferred || got.InDoubt() {
				t.Errorf("without a connection: %+v", got)
			}
			if got := classifyError(tc.err, true); got.Outcome != Unavailable || !got.MayBeRunning() {
				t.Errorf("with a connection: %+v", got)
			}
		})
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// TestClient_FailuresOfTheNetworkHaveOneTextEach makes each failure twice, with a real connection.
func TestClient_FailuresOfTheNetworkHaveOneTextEach(t *testing.T) {
	t.Parallel()
	fine := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"message":"success"}`) })
	abort := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	reset := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	})
	serve := func(handler http.Handler, validity time.Duration, address string) *httptest.Server {
		return secure(handler, certificate(t, time.Now().Add(validity), address))
	}
	for name, tc := range map[string]struct {
		server  *httptest.Server
		trusted bool
		outcome Outcome
		want    string
	}{
		"a certificate of nobody":        {server: serve(fine, time.Hour, "127.0.0.1"), outcome: Deferred, want: failureUntrusted},
		"a certificate that has expired": {server: serve(fine, -time.Hour, "127.0.0.1"), trusted: true, outcome: Deferred, want: failureExpired},
		"a certificate for another name": {server: serve(fine, time.Hour, "192.0.2.1"), trusted: true, outcome: Deferred, want: failureOtherName},
		"a good certificate":             {server: serve(fine, time.Hour, "127.0.0.1"), trusted: true, outcome: Accepted, want: "success"},
		"no TLS":                         {server: httptest.NewServer(fine), outcome: Deferred, want: failureHandshake},
		"a stream of HTTP/2 that ends":   {server: serve(abort, time.Hour, "127.0.0.1"), trusted: true, outcome: Unavailable, want: failureCut},
		"a connection that is reset":     {server: httptest.NewUnstartedServer(reset), outcome: Unavailable, want: failureCut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := "https://" + tc.server.Listener.Addr().String()
			if tc.server.URL == "" {
				tc.server.Start()
				address = tc.server.URL
			}
			t.Cleanup(tc.server.Close)
			client, err := New(Options{BaseURL: address, AllowInsecure: true, Timeout: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if tc.trusted {
				pool := x509.NewCertPool()
				pool.AddCert(tc.server.Certificate())
				client.transport.TLSClientConfig.RootCAs = pool
			}
			for range 2 {
				got := client.CreateUsers(t.Context(), mustParse(t, "secret"), []users.User{{Username: "ann"}})
				if got.Outcome != tc.outcome || got.Message != tc.want || strings.ContainsAny(got.Message, "0123456789") {
					t.Errorf("got %+v, want %s, %q", got, tc.outcome, tc.want)
				}
			}
		})
	}
}

// secure starts a server with a certificate that speaks HTTP/2.
func secure(handler http.Handler, certificate tls.Certificate) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	return server
}

// certificate signs itself.
func certificate(t *testing.T, until time.Time, address string) tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.ParseIP(address)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}
