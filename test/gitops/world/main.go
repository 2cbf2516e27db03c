// SPDX-License-Identifier: Apache-2.0

// Command world runs what the tests of Argo CD and Flux act on: a control plane, the Alloy simulator, and the operator. Those tests are
// modules of their own, because Argo CD and Flux need other versions of Kubernetes' libraries than the operator; so they start this
// program. It prints the path of a kubeconfig, and runs until its standard input ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// Key is the API key that the simulator accepts.
const Key = "key-of-the-world"

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "world:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	plane, err := testenv.Start(testenv.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	path, err := testenv.Build(ctx, plane.Folder, "alloy-simulator")
	if err != nil {
		return err
	}
	simulator, url, err := testenv.StartSimulator(path, "--key", Key)
	if err != nil {
		return err
	}
	defer simulator.Kill()
	if path, err = testenv.Build(ctx, plane.Folder, "operator"); err != nil {
		return err
	}
	operator, err := testenv.StartOperator(ctx, testenv.OperatorOptions{
		Path: path, Kubeconfig: plane.Kubeconfig, AlloyURL: url, Output: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, operator.Stop()) }()
	if err := operator.AwaitReady(ctx); err != nil {
		return err
	}
	fmt.Println(plane.Kubeconfig)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err //nolint:wrapcheck // says that it is about the standard input
}
