// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/status"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// presence says whether an object exists.
type presence int

const (
	cannotTell presence = iota // without the right to read it
	exists
	isMissing
)

// batchFacts are what was found out about a batch. Of its Secret only the metadata is read.
type batchFacts struct {
	batch  *v1alpha1.EmbeddedUserBatch // without spec.users
	rows   int                         // of spec.users
	secret presence
}

func (b *batchFacts) target() string { return advice.Target(b.batch.Namespace, b.batch.Name) }

func (b *batchFacts) findings(now time.Time) []Finding {
	return append([]Finding{b.state(now), b.key()}, b.limits()...)
}

// state says what keeps the batch from being Ready.
func (b *batchFacts) state(now time.Time) Finding {
	subject := "Batch " + b.batch.Name
	r := status.New(b.batch, nil, nil, nil)
	counts := fmt.Sprintf("%s of %s users are done", terminal.Number(r.Counts.Total-r.Counts.Pending), terminal.Number(r.Counts.Total))
	silence := r.Silence(now)
	a, isKnown := advice.For(r.Reason, b.target())
	if !isKnown {
		a.Words = r.Message
	}
	switch r.State {
	case status.Ready:
		return Finding{subject, OK, fmt.Sprintf("It is Ready: %s.", counts), ""}
	case status.Stalled:
		return Finding{subject, Fail, fmt.Sprintf("It is Stalled (%s): %s", r.Reason, a.Words), a.Do}
	case status.Suspended, status.Observed:
		return Finding{subject, Warn, fmt.Sprintf("It is %s, and %s: %s", r.State, counts, a.Words), a.Do}
	case status.Unseen:
		if silence > 0 {
			says := fmt.Sprintf("No operator has looked at its last change for %s: it does not run, or does not watch this namespace.",
				terminal.Duration(silence))
			return Finding{subject, Fail, says, askOperator}
		}
		return Finding{subject, OK, "It has just changed, and the operator has not looked at it yet.", ""}
	default:
		level := OK
		if r.Reason != v1alpha1.ReasonProgressing {
			level = Warn
		}
		if silence > 0 {
			says := fmt.Sprintf("It is Working (%s), and %s, but nothing has changed for %s: the operator may not run, or has other batches first.",
				r.Reason, counts, terminal.Duration(silence))
			return Finding{subject, Warn, says, askOperator}
		}
		return Finding{subject, level, fmt.Sprintf("It is Working (%s), and %s: %s", r.Reason, counts, a.Words), a.Do}
	}
}

const askOperator = "Ask whoever runs the operator; see " + advice.Page + "."

// key says whether the API key is there, and whether the API accepts it, as far as the operator knows.
func (b *batchFacts) key() Finding {
	ref := b.batch.Spec.APIKeySecretRef.WithDefaultKey()
	subject := "Key of " + b.batch.Name
	c := meta.FindStatusCondition(b.batch.Status.Conditions, v1alpha1.ConditionCredentialsValid)
	switch {
	case b.secret == isMissing:
		a, _ := advice.For(v1alpha1.ReasonSecretNotFound, b.target())
		return Finding{subject, Fail, fmt.Sprintf("Secret %s does not exist.", ref.Name), a.Do}
	case c == nil:
		return Finding{subject, Unknown, fmt.Sprintf("The operator has not looked at Secret %s yet.", ref.Name), ""}
	}
	a, isKnown := advice.For(c.Reason, b.target())
	if !isKnown {
		a.Words = c.Message
	}
	level := map[metav1.ConditionStatus]Level{
		metav1.ConditionTrue: OK, metav1.ConditionUnknown: Unknown, metav1.ConditionFalse: Fail,
	}[c.Status]
	return Finding{subject, level, fmt.Sprintf("Secret %s, key %s: %s", ref.Name, ref.Key, a.Words), a.Do}
}

// limits says what is close to a limit of the API.
func (b *batchFacts) limits() []Finding {
	subject := "Limits of " + b.batch.Name
	var found []Finding
	near := func(n, most int, what, do string) {
		if n*10 >= most*9 {
			says := fmt.Sprintf("It has %s of at most %s %s.", terminal.Number(n), terminal.Number(most), what)
			found = append(found, Finding{subject, Warn, says, do})
		}
	}
	near(b.rows, v1alpha1.MaxInlineUsers, "rows in spec.users", "Move them to ConfigMaps: kubectl eub import.")
	near(len(b.batch.Spec.UsersFrom), v1alpha1.MaxUsersFrom, "lists in spec.usersFrom", "Compress the lists, or use another batch.")
	return found
}
