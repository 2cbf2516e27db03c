// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"bytes"
	"compress/gzip"
	"fmt"
)

// compress returns a text as a member of a gzip, without the time, so that the same text is always the same member.
func (p *Packer) compress(text []byte) ([]byte, error) {
	var out bytes.Buffer
	if p.gzip == nil {
		p.gzip, _ = gzip.NewWriterLevel(nil, gzip.BestCompression) // a level that there is
	}
	p.gzip.Reset(&out)
	if _, err := p.gzip.Write(text); err != nil {
		return nil, fmt.Errorf("compressing rows: %w", err) // never happens in memory
	}
	if err := p.gzip.Close(); err != nil {
		return nil, fmt.Errorf("compressing rows: %w", err)
	}
	return bytes.Clone(out.Bytes()), nil
}

// compressedHeader returns the header of a part.
func (p *Packer) compressedHeader() ([]byte, error) {
	if p.form.Header == "" {
		return nil, nil
	}
	return p.compress([]byte(p.form.Header))
}
