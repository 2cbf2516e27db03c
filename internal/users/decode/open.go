// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
)

const (
	// ErrLimit is the error for a list that exceeds the Limits.
	ErrLimit listError = "the list exceeds the limits"

	errTooLarge     listError = "the list has more than 64 MiB of text; split it over several keys"
	errYAMLTooLarge listError = "the YAML has more than 8 MiB of text; write CSV or NDJSON, or split it over several keys"
	errRowTooLarge  listError = "a row has more than 64 KiB of text"
	errGzip         listError = "the gzip is damaged or cut off; compress the list again"
	errUTF16        listError = "the list is UTF-16; save it as UTF-8"
	errUTF32        listError = "the list is UTF-32; save it as UTF-8"
)

// bound is the maximum size of a list, and the error for a larger one.
type bound struct {
	bytes int64
	err   listError
}

// expand returns the text of a list, decompressed.
func expand(ctx context.Context, data []byte, limit bound) (*boundedReader, error) {
	bounded := &boundedReader{ctx: ctx, raw: bytes.NewReader(data), left: limit.bytes, tooLarge: limit.err}
	// No text in UTF-8 begins with these bytes.
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		expanded, err := gzip.NewReader(bounded.raw)
		if err != nil {
			return nil, errGzip
		}
		bounded.raw = expanded
	}
	return bounded, nil
}

// bom is the byte order mark. A text can begin with one, and files that were joined have one at the start of a line.
const bom = "\ufeff"

// trimBOM returns a line without byte order marks at its start.
func trimBOM(line []byte) []byte {
	for bytes.HasPrefix(line, []byte(bom)) {
		line = line[len(bom):]
	}
	return line
}

// open returns a text without its byte order mark. Every error of the reader except io.EOF is a listError or that of a context.
// Its buffer holds the longest row and its line break.
func open(raw io.Reader) (*bufio.Reader, error) {
	text := bufio.NewReaderSize(raw, MaxRowBytes+2)
	head, err := text.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err //nolint:wrapcheck // a listError
	case bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(head, []byte{0, 0, 0xfe, 0xff}):
		return nil, errUTF32
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return nil, errUTF16
	case bytes.HasPrefix(head, []byte(bom)):
		_, err = text.Discard(len(bom))
		return text, err //nolint:wrapcheck // always nil, because the three bytes are in the buffer
	default:
		return text, nil
	}
}

// boundedReader returns tooLarge once the text exceeds its limit, and errGzip if it cannot be decompressed. It stops when its
// context ends.
type boundedReader struct {
	ctx      context.Context //nolint:containedctx // an io.Reader has no other way to get one
	raw      io.Reader
	left     int64
	tooLarge listError
}

func (r *boundedReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err //nolint:wrapcheck // Rows returns it unchanged
	}
	if r.left < 0 {
		return 0, r.tooLarge
	}
	n, err := r.raw.Read(p[:min(int64(len(p)), r.left+1)])
	r.left -= int64(n)
	switch {
	case r.left < 0:
		return n - 1, r.tooLarge
	case err != nil && !errors.Is(err, io.EOF):
		return n, errGzip // a bytes.Reader does not fail
	default:
		return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
	}
}

// Lines returns a text whose lines all end in LF: Excel for Mac ends lines with CR, and Windows with CRLF.
func Lines(text io.Reader) io.Reader { return &lineReader{text: text} }

// lineReader makes every line of a text end in LF.
type lineReader struct {
	text    io.Reader
	afterCR bool
}

func (r *lineReader) Read(p []byte) (int, error) {
	n, err := r.text.Read(p)
	if !r.afterCR && bytes.IndexByte(p[:n], '\r') < 0 {
		return n, err //nolint:wrapcheck // io.EOF must stay io.EOF; others are a listError
	}
	kept := p[:0]
	for _, c := range p[:n] {
		if c == '\n' && r.afterCR {
			r.afterCR = false
			continue
		}
		if r.afterCR = c == '\r'; r.afterCR {
			c = '\n'
		}
		kept = append(kept, c)
	}
	return len(kept), err
}

// readLine returns the next line without its line break, with io.EOF if it is the last one. It skips a line that is too long
// and returns errRowTooLarge.
func readLine(text *bufio.Reader) ([]byte, error) {
	line, err := text.ReadSlice('\n')
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		_, err = text.ReadSlice('\n')
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if (tooLong || len(line) > MaxRowBytes) && (err == nil || errors.Is(err, io.EOF)) {
		return nil, errRowTooLarge // the next call returns io.EOF, if this is the last line
	}
	return line, err //nolint:wrapcheck // io.EOF must stay io.EOF; others are a listError
}

// rowReader returns errRowTooLarge when the parser reads more than MaxRowBytes for a row. Otherwise a quote that is never closed
// would make the parser buffer the rest of the list.
type rowReader struct {
	text  io.Reader
	read  int64
	until int64
}

func newRowReader(text io.Reader) *rowReader {
	r := &rowReader{text: text}
	r.next(0)
	return r
}

// next starts a row at the parser's offset.
func (r *rowReader) next(offset int64) {
	r.until = offset + MaxRowBytes + 2 // for the line break, or to detect the end
}

func (r *rowReader) Read(p []byte) (int, error) {
	if r.read >= r.until {
		return 0, errRowTooLarge
	}
	n, err := r.text.Read(p[:min(int64(len(p)), r.until-r.read)])
	r.read += int64(n)
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF; others are a listError
}
