// SPDX-License-Identifier: Apache-2.0

// Command alloy-simulator simulates the Users API of Alloy Embedded, for tests and demonstrations.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

const usage = `alloy-simulator simulates the Users API of Alloy Embedded: it keeps users in memory and fails on demand.

It serves POST /users/batch, GET /users, and GET, PUT and DELETE /users/{userId or username}, as described in
https://docs.runalloy.com/reference/embedded/batch-create-users. For tests, and without a key: GET /simulator/stats returns the number of
requests and users, GET /simulator/requests all requests, and GET /simulator/users the usernames in all accounts. DELETE
/simulator/users?username=U deletes a user, and PUT /simulator/users?username=U&fullName=F renames it, as somebody else would.

A fault has the form [OPERATION:]EFFECT[:TIMES]. OPERATION is create, list, get, update or delete; by default every operation
fails. TIMES is the number of requests that fail; by default all do. EFFECT is one of
  200…599    answer with this status; the request is not applied
  cut        close the connection without an answer; the request is not applied
  apply-cut  apply the request, then close the connection without an answer
  slow       apply the request and answer after an hour
  garbage    apply the request and answer with half a JSON document
  shape      apply the request and answer with JSON of another shape
  endless    answer with a body that never ends; the request is not applied

Example: a server that takes 100 ms for each request, has one user, and fails twice before it works
  alloy-simulator --key secret --latency 100ms --seed demo@runalloy.com --fault create:503:2

Flags:
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "alloy-simulator:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := pflag.NewFlagSet("alloy-simulator", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage, flags.FlagUsages()) }
	listen := flags.String("listen", "127.0.0.1:8090", "address to listen on; port 0 selects a free port, which is printed")
	keys := flags.StringSlice("key", []string{"simulator-key"}, "accepted API key; each has its own account (repeatable)")
	seed := flags.StringSlice("seed", nil, "username that exists from the start in the account of the first key (repeatable)")
	latency := flags.Duration("latency", 0, "time before a request is applied")
	reject := flags.String("reject", "", "regular expression for unacceptable usernames")
	faults := flags.StringArray("fault", nil, "fault to inject, see above (repeatable; the first that matches a request is used)")
	invalidUsers := flags.String("invalid-users", string(simulator.InvalidUsersEmpty),
		"form of invalidUsers when there are none: empty, null or absent")
	skipExisting := flags.Bool("skip-existing", false, "omit existing users from invalidUsers")
	mixedAllExist := flags.Bool("mixed-all-exist", false,
		`answer "All users already exist" if no user could be created, even if some are unacceptable`)
	checkThenCreate := flags.Bool("check-then-create", false,
		"check for existing users before the latency and create users after it, so that concurrent requests can create a user twice")
	var list simulator.ListOptions
	flags.DurationVar(&list.Lag, "list-lag", 0, "time until GET /users shows a created user")
	flags.IntVar(&list.First, "list-first", 0, "most users that GET /users shows; 0 for all")
	flags.Float64Var(&list.Share, "list-hide", 0, "share of the users that GET /users hides, from 0 to 1")
	readLag := flags.Duration("read-lag", 0, "time until GET requests return a created user")
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return fmt.Errorf("parsing flags: %w", err)
	}

	options := simulator.Options{
		Keys: *keys, Latency: *latency, InvalidUsers: simulator.InvalidUsersForm(*invalidUsers),
		SkipExisting: *skipExisting, MixedAllExist: *mixedAllExist, CheckThenCreate: *checkThenCreate, ReadLag: *readLag, List: list,
	}
	if *reject != "" {
		pattern, err := regexp.Compile(*reject)
		if err != nil {
			return fmt.Errorf("parsing --reject: %w", err)
		}
		options.Reject = pattern.MatchString
	}
	sim := simulator.New(options)
	sim.Seed((*keys)[0], *seed...)
	for _, text := range *faults {
		fault, err := simulator.ParseFault(text)
		if err != nil {
			return fmt.Errorf("parsing --fault: %w", err)
		}
		sim.Inject(fault)
	}
	return serve(*listen, sim)
}

func serve(address string, handler http.Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Printf("Listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // no need to wait for open requests
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
