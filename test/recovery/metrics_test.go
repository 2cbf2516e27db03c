// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// token creates a service account and returns a token for it.
func (w *world) token(name string) string {
	w.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
	w.MustCreate(account)
	request := &authenticationv1.TokenRequest{}
	w.Must(w.SubResource("token").Create(w.Context(), account, request))
	return request.Status.Token
}

// certificate writes a certificate for 127.0.0.1 into a folder, and returns a client that trusts only that.
func (w *world) certificate(folder string) *http.Client {
	w.Helper()
	certificate, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	w.Must(err)
	w.Must(os.WriteFile(filepath.Join(folder, "tls.crt"), certificate, 0o600))
	w.Must(os.WriteFile(filepath.Join(folder, "tls.key"), key, 0o600))
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
}

// TestMetrics_AreForThoseWithRights runs the operator with the rights of config/default.
func TestMetrics_AreForThoseWithRights(t *testing.T) {
	w := newWorld(t, "metrics", simulator.Options{})
	reader, other := w.token("reader"), w.token("other")
	w.MustCreate(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-of-a-test"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "embedded-user-operator-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.Namespace, Name: "reader"}},
	})
	folder := t.TempDir()
	https := w.certificate(folder)
	operator := w.start("--metrics-secure=true", "--metrics-cert-path", folder)
	url := strings.Replace(operator.Metrics, "http://", "https://", 1) + "/metrics"
	get := func(token string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		w.Must(err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := https.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close() //nolint:errcheck // only read
		body, err := io.ReadAll(response.Body)
		w.Must(err)
		return response.StatusCode, string(body)
	}
	w.Eventually(func() int { code, _ := get(""); return code }).ShouldNot(gomega.BeZero())
	for name, tc := range map[string]struct {
		token string
		want  int
	}{
		"no token":                {"", http.StatusUnauthorized},
		"a token without rights":  {other, http.StatusForbidden},
		"a token with the rights": {reader, http.StatusOK},
	} {
		code, body := get(tc.token)
		if isShown := strings.Contains(body, "go_goroutines"); code != tc.want || isShown != (code == http.StatusOK) {
			t.Errorf("%s: %d: %.200s", name, code, body)
		}
	}
	if got := status(operator.Metrics + "/metrics"); got == http.StatusOK {
		t.Error("the metrics are served over HTTP too")
	}
}

func TestMetrics_OverHTTPByFlag(t *testing.T) {
	w := newWorld(t, "metrics-http", simulator.Options{})
	operator := w.start("--metrics-secure=false")
	w.Eventually(func() error { return testenv.Fetch(t.Context(), operator.Metrics+"/metrics", io.Discard) }).Should(gomega.Succeed())
}
