// SPDX-License-Identifier: Apache-2.0

// Package hostile tests that no list of users that somebody may write makes the operator exceed its memory limit, or stops the
// users of another namespace.
package hostile

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	// neighbourPatience is how long a batch of 1,000 users in another namespace may take meanwhile.
	neighbourPatience = time.Minute
	// longPatience bounds the wait until most of a long list is written.
	longPatience = 10 * time.Minute
	// atOnce is the number of batches with the same list.
	atOnce = 8
)

// everything is set by make test-hostile. Otherwise only the lists are tested that take seconds.
var everything = flag.Bool("all", false, "test every list, which takes ten minutes")

var (
	plane   *testenv.ControlPlane
	program string
	// memoryLimit is the container's limit in config/manager in bytes, and goMemoryLimit its GOMEMLIMIT.
	memoryLimit   int64
	goMemoryLimit string
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{}, func(started *testenv.ControlPlane) (err error) {
		plane = started
		manager, err := testenv.Manager()
		if err != nil {
			return err
		}
		container := manager.Spec.Template.Spec.Containers[0]
		memoryLimit, goMemoryLimit = container.Resources.Limits.Memory().Value(), container.Env[0].Name+"="+container.Env[0].Value
		program, err = testenv.Build(context.Background(), plane.Folder, "operator")
		return err
	})
}
