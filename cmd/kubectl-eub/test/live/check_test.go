// SPDX-License-Identifier: Apache-2.0

package live

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

type finding struct{ Subject, Level, Says, Do string }

// check returns the findings of somebody, the exit code, and everything that was printed.
func (w *world) check(user string, args ...string) (map[string]finding, int) {
	w.Helper()
	out, errOut, code := w.run(user, append([]string{"check", "-o", "json"}, args...)...)
	var printed struct{ Findings []finding }
	if err := json.Unmarshal([]byte(out), &printed); err != nil {
		w.Fatalf("%v: %s%s", err, out, errOut)
	}
	if strings.Contains(out+errOut, w.Key) {
		w.Error("the key is printed")
	}
	found := map[string]finding{}
	for _, f := range printed.Findings {
		if f.Subject == "Rights" && found["Rights"].Subject != "" {
			f.Says = found["Rights"].Says + "\n" + f.Says
		}
		found[f.Subject] = f
	}
	return found, code
}

func TestCheck_OfABatchThatIsWell(t *testing.T) {
	w := newWorld(t, "check", simulator.Options{})
	w.start()
	w.CreateBatch("customers", testenv.Users("customer", 3)...)
	w.Await("customers", v1alpha1.ReasonSucceeded)
	found, _ := w.check(editor, "customers")
	for subject, says := range map[string]string{
		"API server": "Kubernetes v1.", "CRDs": "The CRDs have the fields that this plugin knows, and no others.",
		"Rights": "You may use every command in namespace check.", "Batch customers": "It is Ready: 3 of 3 users are done.",
		"Key of customers": "Secret alloy, key apiKey: The API accepted the key.",
	} {
		if f := found[subject]; f.Level != "ok" || !strings.Contains(f.Says, says) {
			t.Errorf("%s: %+v", subject, f)
		}
	}
	// The editor may not see the operator's Deployment, whose pods do not run here.
	if f := found["Operator"]; f.Level != "unknown" {
		t.Errorf("%+v", f)
	}
}

func TestCheck_SaysWhatIsWrong(t *testing.T) {
	w := newWorld(t, "check-wrong", simulator.Options{})
	w.start()
	w.SetKey("nobody's")
	w.CreateBatch("rejected", testenv.Users("customer", 3)...)
	keyless := w.Batch("keyless", testenv.Users("other", 3)...)
	keyless.Spec.APIKeySecretRef.Name = "nowhere"
	w.MustCreate(keyless)
	w.Await("rejected", v1alpha1.ReasonUnauthorized)
	w.Await("keyless", v1alpha1.ReasonSecretNotFound)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "few"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			"count/embeddeduserslices.embedded.runalloy.com": resource.MustParse("1"),
		}},
	}
	w.MustCreate(quota)
	// As the controller of quotas does, which does not run here.
	quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: quota.Spec.Hard}
	w.Must(w.Client.Status().Update(t.Context(), quota))
	found, code := w.check(editor)
	if f := found["Key of keyless"]; code != 1 || f.Level != "fail" || f.Says != "Secret nowhere does not exist." {
		t.Errorf("exit code %d, %+v", code, f)
	}
	if f := found["Quota few"]; f.Level != "warning" || !strings.Contains(f.Do, "Raise count/embeddeduserslices") {
		t.Errorf("%+v", f)
	}
	if f := found["Batch rejected"]; f.Level != "fail" || !strings.Contains(f.Do, "Put the right API key into the Secret") {
		t.Errorf("%+v", f)
	}
	found, _ = w.check(viewer)
	missing := "results: you may not list embeddeduserslices in namespace check-wrong"
	if f := found["Rights"]; f.Level != "warning" || !strings.Contains(f.Says, missing) {
		t.Errorf("%+v", f)
	}
	// The viewer may not read Secrets: what is known of the key is the operator's.
	if f := found["Key of keyless"]; f.Level != "fail" || !strings.Contains(f.Says, "does not exist") {
		t.Errorf("%+v", f)
	}
}

// The CRDs of another version are recognized by their fields.
func TestCheck_ComparesTheCRDs(t *testing.T) {
	w := newWorld(t, "check-crds", simulator.Options{})
	restore := func() {
		_, err := envtest.InstallCRDs(plane.Config, envtest.CRDInstallOptions{Paths: []string{testenv.Root("config", "crd", "bases")}})
		w.Must(err)
	}
	t.Cleanup(restore)
	text, err := os.ReadFile(testenv.Root("config", "crd", "bases", "embedded.runalloy.com_embeddeduserbatches.yaml"))
	w.Must(err)
	older := strings.Replace(string(text), "              mode:\n", "              kind:\n", 1)
	if out, err := w.Kubectl(older, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		t.Fatal(out)
	}
	w.Eventually(func() string { found, _ := w.check(editor); return found["CRDs"].Says }).
		Should(gomega.ContainSubstring("they lack EmbeddedUserBatch.spec.mode"))
}
