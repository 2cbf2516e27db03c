// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// groupsOfOthers are API groups in examples that the API server of the test does not have.
var groupsOfOthers = []string{
	"argoproj.io/", "external-secrets.io/", "helm.toolkit.fluxcd.io/", "kustomize.config.k8s.io/", "kustomize.toolkit.fluxcd.io/",
	"monitoring.coreos.com/", "source.toolkit.fluxcd.io/",
}

// TestExamples_AreValid applies each manifest with server-side validation, and decodes parts of manifests strictly.
func TestExamples_AreValid(t *testing.T) {
	plane, err := testenv.Start(testenv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plane.Stop() //nolint:errcheck // the test is over
	checked := 0
	for _, p := range loadPages(t) {
		for _, b := range p.blocks {
			if b.language != "yaml" {
				continue
			}
			checked++
			if err := checkExample(t, plane, b.text); err != nil {
				t.Errorf("%s: %v", b.where, err)
			}
		}
	}
	if checked < 5 {
		t.Errorf("found only %d examples", checked)
	}
}

// checkExample checks the documents of a block.
func checkExample(t *testing.T, plane *testenv.ControlPlane, text string) error {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document any
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		encoded, err := json.Marshal(document)
		if err != nil {
			return err
		}
		if err := checkDocument(t, plane, document, encoded); err != nil {
			return err
		}
	}
}

func checkDocument(t *testing.T, plane *testenv.ControlPlane, document any, encoded []byte) error {
	t.Helper()
	if _, isList := document.([]any); isList && bytes.Contains(encoded, []byte("lastTransitionTime")) {
		return decode(encoded, &[]metav1.Condition{})
	}
	fields, isMap := document.(map[string]any)
	if !isMap {
		return nil // a part of a file of another program, which was parsed
	}
	version, _ := fields["apiVersion"].(string)
	switch {
	case version != "" && !isOfOthers(version):
		return dryRun(t, plane, fields, encoded)
	case version == "" && (fields["spec"] != nil || fields["status"] != nil):
		return decode(encoded, &v1alpha1.EmbeddedUserBatch{})
	}
	return nil
}

// decode returns an error if a text has a field that the type does not have.
func decode(encoded []byte, into any) error {
	unknown, err := kjson.UnmarshalStrict(encoded, into)
	return errors.Join(append(unknown, err)...)
}

func isOfOthers(version string) bool {
	for _, group := range groupsOfOthers {
		if strings.HasPrefix(version, group) {
			return true
		}
	}
	return false
}

// dryRun applies a manifest without storing it. Its namespace need not exist.
func dryRun(t *testing.T, plane *testenv.ControlPlane, fields map[string]any, manifest []byte) error {
	t.Helper()
	if metadata, _ := fields["metadata"].(map[string]any); metadata["namespace"] != nil {
		err := testenv.CreateNamespace(t.Context(), plane.Client, fmt.Sprint(metadata["namespace"]))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	command := plane.Kubectl(t.Context(), "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
	command.Stdin = bytes.NewReader(manifest)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
