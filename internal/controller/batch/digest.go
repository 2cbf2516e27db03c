package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// digest identifies the input of the plan and of the status, so that neither is computed again while the digest stays the
// same. It has two parts: one for the list and its slices, one for the users that the API refused.
func digest(batch *v1alpha1.EmbeddedUserBatch, versions []string, slices []v1alpha1.EmbeddedUserSlice) string {
	plan, refused := sha256.New(), sha256.New()
	write(plan, string(batch.UID), strconv.FormatInt(batch.Generation, 10))
	write(plan, versions...)
	for i := range slices {
		slice := &slices[i]
		if !slice.DeletionTimestamp.IsZero() {
			continue
		}
		write(plan, slice.Name, cached.SpecDigest(slice))
		for _, result := range cached.Refused(slice) {
			write(refused, result.Username, result.Message)
		}
	}
	return hex.EncodeToString(plan.Sum(nil)[:12]) + "-" + hex.EncodeToString(refused.Sum(nil)[:6])
}

func write(h hash.Hash, texts ...string) {
	for _, text := range texts {
		_, _ = io.WriteString(h, text) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
}

// isPlanned reports whether two digests agree on the list and its slices.
func isPlanned(a, b string) bool {
	planA, _, _ := strings.Cut(a, "-")
	planB, _, _ := strings.Cut(b, "-")
	return planA == planB
}
