// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// request is an event of the audit log (audit.k8s.io/v1), as far as the tests need it.
type request struct {
	Stage            string
	Verb             string
	RequestURI       string
	ImpersonatedUser struct{ Username string }
	ObjectRef        struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	ResponseStatus   struct{ Code int }
	Annotations      map[string]string
}

// right is what a rule of a role gives.
type right struct{ Verb, Group, Resource string }

// right returns what the request needs.
func (r request) right() right {
	resource := r.ObjectRef.Resource
	if r.ObjectRef.Subresource != "" {
		resource += "/" + r.ObjectRef.Subresource
	}
	return right{r.Verb, r.ObjectRef.APIGroup, resource}
}

// isDenied reports whether the request was refused for a lack of rights.
func (r request) isDenied() bool {
	return r.Annotations["authorization.k8s.io/decision"] == "forbid" || r.ResponseStatus.Code == http.StatusForbidden
}

// allowed is what RBAC says of a request that it allows. The name of a RoleBinding has its namespace behind it.
var allowed = regexp.MustCompile(`^RBAC: allowed by \w+ "([^"]+)" of \w+ "([^"]+)" to `)

// binding returns the name of the binding that allows the request, "" if none does.
func (r request) binding() string {
	if found := allowed.FindStringSubmatch(r.Annotations["authorization.k8s.io/reason"]); found != nil {
		return found[1]
	}
	return ""
}

// requests returns what the operator in a namespace has asked the API server for.
func requests(t *testing.T, system string) []request {
	t.Helper()
	file, err := os.Open(plane.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	var all []request
	for lines := json.NewDecoder(file); ; {
		var r request
		err := lines.Decode(&r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the last line may not be whole yet
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.ImpersonatedUser.Username == "system:serviceaccount:"+system+":"+testenv.Account {
			all = append(all, r)
		}
	}
}
