// SPDX-License-Identifier: Apache-2.0

// Package parts cuts a list of users into compressed parts, each of which fits into a ConfigMap or a Secret.
//
// Where it cuts depends on the rows near the cut only, and the name of a part on its rows, so that a list in which some rows changed has
// the same parts but those with these rows. The operator never sees half of a change: the parts of the new list are beside those of the
// old one until the batch names them.
//
// Rows are gathered in blocks of about 128 KiB, each of which is a member of the gzip of its part. So the size of a part is known exactly
// before it is cut, and a part is cut between blocks only.
package parts

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/lists"
)

const (
	// MaxBytes is the maximum size of a part. A ConfigMap or a Secret has at most 1 MiB; the rest is for what else etcd stores with it.
	MaxBytes = 1_000_000
	// fewBytes is the minimum size of a part that others follow, unless its blocks are unusual. A list has at most a quarter more parts
	// than one that is cut wherever a part is full.
	fewBytes = MaxBytes / 5 * 4
	// maxText is the maximum size of the text of a part, half of what the operator allows.
	maxText = 32 << 20

	headerBytes = 64 // more than a compressed header takes

	minBlock  = 64 << 10
	maxBlock  = 256 << 10
	blockRows = 1 << 10 // after so many rows, on average, a block ends that has minBlock
)

// Origin is where a row is in what was imported.
type Origin struct {
	List  int32 // number of the list
	Place lists.Place
}

// Part is a part of a list.
type Part struct {
	Form lists.Form
	Data []byte // compressed
	// Digest identifies the rows.
	Digest string
	// Origins of the rows. Nil for a whole list, whose rows are where it says.
	Origins []Origin
	// List is the number of the first row's list.
	List int32
}

// block is a run of rows, compressed.
type block struct {
	data    []byte
	text    int
	digest  [sha256.Size]byte
	origins []Origin
}

// Packer cuts rows into parts. Its zero value is ready.
type Packer struct {
	form    lists.Form
	text    []byte // of the block that is being gathered
	origins []Origin
	blocks  []block // of the part that is being gathered
	gzip    *gzip.Writer
	parts   []Part
}

var table = crc32.MakeTable(crc32.Castagnoli)

// Add adds a row of a list.
func (p *Packer) Add(row lists.Row, list int) error {
	if row.Form != p.form || p.form.IsWhole {
		if err := p.flush(); err != nil {
			return err
		}
		p.form = row.Form
	}
	p.text = append(p.text, row.Text...)
	p.origins = append(p.origins, Origin{List: int32(list), Place: row.Place}) //nolint:gosec // no list is so long
	isBorder := crc32.Checksum(row.Text, table)%blockRows == 0
	if len(p.text) >= maxBlock || len(p.text) >= minBlock && isBorder {
		return p.endBlock()
	}
	return nil
}

// Parts returns the parts of all rows.
func (p *Packer) Parts() ([]Part, error) {
	err := p.flush()
	return p.parts, err
}

// flush ends the part that is being gathered.
func (p *Packer) flush() error {
	if len(p.text) > 0 {
		if err := p.endBlock(); err != nil {
			return err
		}
	}
	if len(p.blocks) > 0 {
		return p.endPart(len(p.blocks))
	}
	return nil
}

// endBlock compresses the rows that were gathered. It ends a part if they do not fit into it.
func (p *Packer) endBlock() error {
	data, err := p.compress(p.text)
	if err != nil {
		return err
	}
	p.blocks = append(p.blocks, block{data: data, text: len(p.text), digest: sha256.Sum256(p.text), origins: p.origins})
	p.text, p.origins = p.text[:0], nil
	if p.form.IsWhole {
		if len(data) > MaxBytes {
			return fmt.Errorf("a %s with invalid rows cannot be cut into several ConfigMaps, and this one takes %d bytes when compressed, "+
				"of at most %d; correct its rows first, or write NDJSON", p.form.Format, len(data), MaxBytes)
		}
		return p.endPart(1)
	}
	for {
		n := cut(p.blocks)
		if n == 0 {
			return nil
		}
		if err := p.endPart(n); err != nil {
			return err
		}
	}
}

// cut returns how many blocks make up a part; 0 if there is room for more. Of the blocks after which a part may end, it ends after the one
// with the lowest digest.
func cut(blocks []block) int {
	size, text, best := headerBytes, 0, 0
	for i := range blocks {
		size += len(blocks[i].data)
		if text += blocks[i].text; size > MaxBytes || text > maxText {
			return max(best, i)
		}
		isLate := size >= fewBytes || text >= maxText/5*4
		if isLate && (best == 0 || compare(blocks[i], blocks[best-1]) < 0) {
			best = i + 1
		}
	}
	return 0
}

func compare(a, b block) int { return bytes.Compare(a.digest[:], b.digest[:]) }

// endPart makes a part of the first n blocks.
func (p *Packer) endPart(n int) error {
	header, err := p.compressedHeader()
	if err != nil {
		return err
	}
	part := Part{Form: p.form, List: p.blocks[0].origins[0].List}
	digest := sha256.New()
	_, _ = fmt.Fprintf(digest, "%s\n%s\n", p.form.Format, p.form.Header) // a hash never fails
	part.Data = append(part.Data, header...)
	for i := range p.blocks[:n] {
		b := &p.blocks[i]
		part.Data = append(part.Data, b.data...)
		_, _ = digest.Write(b.digest[:])
		if !p.form.IsWhole {
			part.Origins = append(part.Origins, b.origins...)
		}
	}
	part.Digest = hex.EncodeToString(digest.Sum(nil)[:5])
	p.parts = append(p.parts, part)
	p.blocks = append([]block(nil), p.blocks[n:]...)
	return nil
}
