// SPDX-License-Identifier: Apache-2.0

package results

import (
	"regexp"
	"strconv"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// Result is what became of a user.
type Result string

// Results. Those of the API are Created, Existing and Invalid; a user without one, or that is sent again, is Pending.
const (
	Created  = Result(v1alpha1.ResultCreated)
	Existing = Result(v1alpha1.ResultExisting)
	Invalid  = Result(v1alpha1.ResultInvalid)
	Pending  = Result("Pending")
)

// all are the results that --result knows.
var all = []Result{Created, Existing, Invalid, Pending}

// Row is what became of a user, or of a row that is none.
type Row struct {
	Username string `json:"username"`
	FullName string `json:"fullName,omitempty"`
	Result   Result `json:"result"`
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
	// Source is spec.users, or ConfigMap/NAME/KEY or Secret/NAME/KEY; empty where it is not known.
	Source string `json:"source,omitempty"`
	// Row is the zero-based index of the row there, as in status.invalidUsers, and Line the line of the text; nil where they are not known.
	Row  *int32 `json:"row,omitempty"`
	Line *int   `json:"line,omitempty"`
}

// rowOf returns what became of a user of a slice.
func rowOf(policy v1alpha1.UpdatePolicy, user v1alpha1.User, result v1alpha1.UserResult, known bool) Row {
	row := Row{Username: user.Username, FullName: user.FullName, Result: Pending}
	switch {
	case known && ledger.Settled(policy, user, result):
		row.Result, row.Reason, row.Message = Result(result.Result), result.Reason, result.Message
	case known:
		row.Reason = string(result.Pending)
	}
	return row
}

// places are where the invalid users of a batch are, as far as its status says.
type places struct {
	rejected map[string]v1alpha1.InvalidUser // by username; they are in slices
	rows     []v1alpha1.InvalidUser          // that are invalid by themselves; they are in no slice
}

func placesOf(batch *v1alpha1.EmbeddedUserBatch) places {
	p := places{rejected: map[string]v1alpha1.InvalidUser{}}
	for _, user := range batch.Status.InvalidUsers {
		if user.Reason == v1alpha1.InvalidReasonRejectedByAPI {
			p.rejected[user.Username] = user
		} else {
			p.rows = append(p.rows, user)
		}
	}
	return p
}

// locate adds to a row where it is, if that is known.
func (p places) locate(row *Row) {
	if row.Result != Invalid {
		return
	}
	if user, known := p.rejected[row.Username]; known {
		row.Source, row.Row = sourceOf(user.Source), &user.Row
		if row.Message == "" {
			row.Message = user.Message
		}
	}
}

// inLine matches the message of a row whose line is known.
var inLine = regexp.MustCompile(`^line (\d+): `)

// invalidRow returns what the status says of a row that is invalid by itself.
func invalidRow(user v1alpha1.InvalidUser) Row {
	row := Row{
		Username: user.Username, Result: Invalid, Reason: string(user.Reason), Message: user.Message,
		Source: sourceOf(user.Source), Row: &user.Row,
	}
	if found := inLine.FindStringSubmatch(user.Message); found != nil {
		if line, err := strconv.Atoi(found[1]); err == nil {
			row.Line, row.Message = &line, user.Message[len(found[0]):]
		}
	}
	return row
}

func sourceOf(source *v1alpha1.SourceKey) string {
	if source == nil {
		return "spec.users"
	}
	return source.Kind + "/" + source.Name + "/" + source.Key
}
