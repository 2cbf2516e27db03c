// SPDX-License-Identifier: Apache-2.0

// Command proxy is an HTTP proxy that prints the method and the host of each request, for the tests on a cluster.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"time"
)

func main() {
	forward := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}} // a request to a proxy has the whole URL
	server := &http.Server{
		Addr: ":3128", ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodConnect:
				fmt.Println(r.Method, r.Host)
				tunnel(w, r)
			case r.URL.IsAbs():
				fmt.Println(r.Method, r.Host)
				forward.ServeHTTP(w, r)
			default: // a probe
				w.WriteHeader(http.StatusOK)
			}
		}),
	}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}

// tunnel connects the client with the host that it asks for.
func tunnel(w http.ResponseWriter, r *http.Request) {
	host, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer host.Close() //nolint:errcheck // both sides are done
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close() //nolint:errcheck // both sides are done
	go func() {
		_, _ = io.Copy(host, buffered) // ends with the connection
		_ = host.Close()
	}()
	_, _ = io.Copy(client, host) // ends with the connection
}
