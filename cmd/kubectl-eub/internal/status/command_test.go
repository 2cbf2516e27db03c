// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/follow"
)

// Scripts read the exit code, and people what to do.
func TestEnded(t *testing.T) {
	for name, test := range map[string]struct {
		last Report
		err  error
		code int
		want string
	}{
		"a batch that is ready":                   {done(), nil, 0, ""},
		"a batch that needs a person":             {invalid(), nil, 1, "batch customers is Stalled and does not go on by itself"},
		"a batch that is suspended":               {suspended(), nil, 1, "batch later is Suspended and does not go on by itself"},
		"a batch that was deleted":                {sending(), follow.ErrDeleted, 1, "the batch was deleted"},
		"a timeout while users are sent":          {sending(), context.DeadlineExceeded, 3, "the batch is Working after 10m0s"},
		"a timeout without an operator":           {unseen(), context.DeadlineExceeded, 3, "see kubectl eub check"},
		"a timeout after the operator has ended":  {silent(), context.DeadlineExceeded, 3, "the operator may not run"},
		"a timeout before the API server answers": {Report{}, context.DeadlineExceeded, 3, "nothing was heard of the batch in 10m0s"},
		"Ctrl-C": {sending(), context.Canceled, 130, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, _, told := genericiooptions.NewTestIOStreams()
			o := &options{Options: command.NewOptions("", streams), timeout: 10 * time.Minute}
			err := o.ended(&test.last, test.err)
			if code := command.Exit(err, told); code != test.code || !strings.Contains(told.String(), test.want) {
				t.Errorf("exit code %d, and %s", code, told)
			}
		})
	}
}
