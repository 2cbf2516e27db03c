// SPDX-License-Identifier: Apache-2.0

// Package digest identifies what a status was made from.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// Of returns a digest of 24 characters. Other texts, or the same in another order, have another one.
func Of(texts ...string) string {
	hash := sha256.New()
	for _, text := range texts {
		_, _ = io.WriteString(hash, text) // a hash never fails
		_, _ = hash.Write([]byte{0})
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}
