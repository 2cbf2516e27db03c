// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
)

// away is an API server that does not answer.
type away struct{ client.WithWatch }

func (away) Get(ctx context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAwait_OfAnAPIServerThatDoesNotAnswer(t *testing.T) {
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	o := &options{Options: command.NewOptions("", streams), wait: true, timeout: time.Millisecond}
	err := o.await(t.Context(), away{}, batch("True", "Succeeded", nil), change{})
	var exit *command.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || !strings.Contains(err.Error(), "nothing was heard of the batch in 1ms") {
		t.Errorf("%v", err)
	}
}
