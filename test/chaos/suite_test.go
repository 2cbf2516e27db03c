// SPDX-License-Identifier: Apache-2.0

// Package chaos runs the operator as a process against a real control plane and the simulator, injects random failures, and checks
// that three records agree at the end: the users in the API, the results in the slices, and the counts in the batch.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var (
	seeds = flag.Int("seeds", 6, "number of seeds to run")
	first = flag.Int64("seed", 1, "the first seed")
)

// The delays of the operator under test are short, but in the same order as the real ones.
const alloyTimeout = 1500 * time.Millisecond

var senderOptions = sender.Options{
	RequestsPerKey: 4, Requests: 6, Linger: 20 * time.Millisecond, SharePause: 300 * time.Millisecond, RequestsPerSecond: 100,
	Burst: 50, RequestTimeout: alloyTimeout,
	SecondRead: 500 * time.Millisecond, NoticeDelay: 500 * time.Millisecond, BackOff: sender.BackOffs{
		API: sender.BackOff{Min: 50 * time.Millisecond, Max: time.Second}, User: sender.BackOff{Min: 500 * time.Millisecond, Max: time.Second},
		Key:     sender.BackOff{Min: 500 * time.Millisecond, Max: time.Second},
		Refused: sender.BackOff{Min: 500 * time.Millisecond, Max: time.Second},
	},
}

var plane *testenv.ControlPlane

func TestMain(m *testing.M) {
	if os.Getenv("CHAOS_NAMESPACE") != "" {
		if err := operate(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testenv.Main(m, testenv.Options{Restartable: true}, func(started *testenv.ControlPlane) error {
		plane = started
		_, err := plane.StartGarbageCollector()
		return err
	})
}

// operate runs the operator like cmd/operator, with short delays and for one namespace.
func operate() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(zap.New())
	cfg, err := config.GetConfig()
	if err != nil {
		return err
	}
	operator := testenv.InProcess{
		Config: cfg, Namespace: os.Getenv("CHAOS_NAMESPACE"), AlloyURL: os.Getenv("CHAOS_URL"), Timeout: alloyTimeout, Sender: senderOptions,
	}
	mgr, err := operator.NewManager(ctx)
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}
