// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
)

// serve starts an API server that has batches, which it lists in pages.
func serve(t *testing.T, batches int) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/apis/"+v1alpha1.SchemeGroupVersion.String() {
			_ = json.NewEncoder(w).Encode(metav1.APIResourceList{
				GroupVersion: v1alpha1.SchemeGroupVersion.String(),
				APIResources: []metav1.APIResource{{Name: "embeddeduserbatches", Namespaced: true, Kind: v1alpha1.EmbeddedUserBatchKind}},
			})
			return
		}
		first, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList"))
		for i := first; i < min(first+limit, batches); i++ {
			list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("batch-%04d", i)}})
		}
		if first+limit < batches {
			list.Continue = strconv.Itoa(first + limit)
		}
		_ = json.NewEncoder(w).Encode(list)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestCompleteBatch_OfManyBatches(t *testing.T) {
	server := serve(t, 1200)
	o := command.NewOptions("", genericiooptions.NewTestIOStreamsDiscard())
	t.Setenv("KUBECONFIG", t.TempDir()+"/none")
	o.ConfigFlags.APIServer = &server.URL
	c := &cobra.Command{}
	c.SetContext(t.Context())
	names, directive := o.CompleteBatch(c, nil, "batch-119")
	want := []string{"batch-1190", "batch-1191", "batch-1192", "batch-1193", "batch-1194"}
	if directive != cobra.ShellCompDirectiveNoFileComp || len(names) != 10 || !slices.Equal(names[:5], want) {
		t.Errorf("%v, %v", names, directive)
	}
	if names, _ = o.CompleteBatch(c, nil, ""); len(names) != 500 {
		t.Errorf("%d names are completed", len(names))
	}
}
