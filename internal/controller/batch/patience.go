// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
)

// patience is how long a Secret, a source, or a key in one may be missing before the batch is stalled. It may be about to be
// created, and Flux and Argo CD give up at once on what is stalled. See docs/decisions/0010.
const patience = 2 * time.Minute

// awaited maps the reasons for which something is missing to the condition that says so. The transition time of the condition
// says since when: it is stored, so that a restart does not begin the count anew.
var awaited = map[string]string{
	v1alpha1.ReasonSecretNotFound: v1alpha1.ConditionCredentialsValid,
	v1alpha1.ReasonSourceNotFound: v1alpha1.ConditionSourcesRead,
}

// continued returns the conditions of the batch without those by which a count ended: shown says that something is missing, and
// they do not, or were for another generation. A transition time in the future is that of a clock that was wrong.
func (f facts) continued(shown []metav1.Condition) []metav1.Condition {
	return slices.DeleteFunc(slices.Clone(f.batch.Status.Conditions), func(old metav1.Condition) bool {
		now := meta.FindStatusCondition(shown, old.Type)
		return now != nil && awaited[now.Reason] == old.Type &&
			(old.Reason != now.Reason || old.ObservedGeneration != f.batch.Generation || old.LastTransitionTime.After(f.now))
	})
}

// patient returns the verdict of a batch that waits for what is missing, as long as its patience lasts.
func patient(verdict conditions.Verdict, others []metav1.Condition, now time.Time) conditions.Verdict {
	if remaining(verdict.Reason, others, now) > 0 {
		return conditions.Failing(verdict.Reason, verdict.Message)
	}
	return verdict
}

// untilStalled returns the time until a batch with these conditions is stalled unless something comes; 0 if it waits for nothing.
func untilStalled(shown []metav1.Condition, now time.Time) time.Duration {
	return remaining(meta.FindStatusCondition(shown, v1alpha1.ConditionReady).Reason, shown, now)
}

// remaining returns what is left of the patience with a reason.
func remaining(reason string, shown []metav1.Condition, now time.Time) time.Duration {
	since := meta.FindStatusCondition(shown, awaited[reason])
	if since == nil || since.Reason != reason {
		return 0
	}
	return max(0, patience-now.Sub(since.LastTransitionTime.Time))
}
