// SPDX-License-Identifier: Apache-2.0

package lists

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// Encoding is how the characters of a list are written.
type Encoding string

// Encodings. The operator reads UTF-8 only.
const (
	UTF8        Encoding = "UTF-8"
	UTF8WithBOM Encoding = "UTF-8 with a byte order mark"
	UTF16LE     Encoding = "UTF-16, little endian"
	UTF16BE     Encoding = "UTF-16, big endian"
	Windows1252 Encoding = "Windows-1252"
)

const (
	bom     = "\ufeff"
	bufSize = 64 << 10
)

// expanded is a list without its compression.
type expanded struct {
	*bufio.Reader

	isGzip bool
	file   io.Closer
}

// Close closes the file.
func (e *expanded) Close() error { return e.file.Close() } //nolint:wrapcheck // of a file that was read

// expand opens a list.
func (l *List) expand() (*expanded, error) {
	file, err := l.open()
	if err != nil {
		return nil, err
	}
	text := bufio.NewReaderSize(file, bufSize)
	head, _ := text.Peek(4) // the next read returns the error again
	e := &expanded{Reader: text, file: file}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte{0xd0, 0xcf, 0x11, 0xe0}):
		err = errors.New("it is a workbook or an archive; save the sheet as CSV UTF-8, and import that")
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		var unpacked *gzip.Reader
		if unpacked, err = gzip.NewReader(text); err != nil {
			err = errGzip
			break
		}
		e.Reader, e.isGzip = bufio.NewReaderSize(gzipReader{unpacked}, bufSize), true
	}
	if err != nil {
		_ = file.Close() // was only read
		return nil, err
	}
	return e, nil
}

var errGzip = errors.New("the gzip is damaged or cut off; compress the list again")

// gzipReader says what its errors mean.
type gzipReader struct{ text io.Reader }

func (r gzipReader) Read(p []byte) (int, error) {
	n, err := r.text.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errGzip
	}
	return n, err
}

// survey reads a list once, to learn how it is written.
func (l *List) survey(ctx context.Context) (about About, err error) {
	text, err := l.expand()
	if err != nil {
		return about, err
	}
	defer text.Close() //nolint:errcheck // only read
	head, _ := text.Peek(4096)
	about.IsGzip = text.isGzip
	switch about.Encoding, err = encodingOf(head); {
	case err != nil:
		return about, err
	case about.Encoding == UTF8:
		if about.Encoding, err = survey(ctx, text); err != nil {
			return about, err
		}
	}
	about.Format, err = l.formatOf(about.Encoding)
	return about, err
}

// encodingOf returns the encoding that the first bytes of a text show; UTF8 if they do not show another one.
func encodingOf(head []byte) (Encoding, error) {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(head, []byte{0, 0, 0xfe, 0xff}):
		return "", errors.New("the list is UTF-32; save it as UTF-8")
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return UTF16LE, nil
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return UTF16BE, nil
	case bytes.HasPrefix(head, []byte(bom)):
		return UTF8WithBOM, nil
	case len(head) >= 4 && head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0: // a text begins with two ASCII characters
		return UTF16LE, nil
	case len(head) >= 4 && head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return UTF16BE, nil
	default:
		return UTF8, nil
	}
}

// survey reads a text without a byte order mark to its end. It is Windows-1252 if it has more bytes that are no UTF-8 than characters of
// several bytes, and no byte that Windows-1252 does not have. Else it is UTF-8, of which some rows may be damaged.
func survey(ctx context.Context, text io.Reader) (Encoding, error) {
	invalid, long, undefined := 0, 0, 0
	buffer, kept := make([]byte, bufSize), 0
	for {
		n, err := text.Read(buffer[kept:])
		chunk := buffer[:kept+n]
		for isEnd := err != nil; len(chunk) > 0; {
			if chunk[0] < utf8.RuneSelf {
				chunk = chunk[1:]
				continue
			}
			if !isEnd && !utf8.FullRune(chunk) {
				break
			}
			r, size := utf8.DecodeRune(chunk)
			switch {
			case r != utf8.RuneError || size > 1:
				long++
			default:
				invalid++
				if bytes.IndexByte([]byte{0x81, 0x8d, 0x8f, 0x90, 0x9d}, chunk[0]) >= 0 {
					undefined++
				}
			}
			chunk = chunk[size:]
		}
		kept = copy(buffer, chunk)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err() //nolint:wrapcheck // somebody pressed Ctrl+C
		case errors.Is(err, io.EOF) && invalid > long && undefined == 0:
			return Windows1252, nil
		case errors.Is(err, io.EOF):
			return UTF8, nil
		case err != nil:
			return "", fmt.Errorf("reading the list: %w", err)
		}
	}
}

// text opens a list as UTF-8, without a byte order mark, with lines that end in LF.
func (l *List) text(encoding Encoding) (*bufio.Reader, io.Closer, error) {
	raw, err := l.expand()
	if err != nil {
		return nil, nil, err
	}
	var text io.Reader = raw
	switch encoding {
	case UTF16LE:
		text = transform.NewReader(raw, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder())
	case UTF16BE:
		text = transform.NewReader(raw, unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder())
	case Windows1252:
		text = transform.NewReader(raw, charmap.Windows1252.NewDecoder())
	case UTF8, UTF8WithBOM:
	}
	buffered := bufio.NewReaderSize(decode.Lines(text), decode.MaxRowBytes+2)
	if head, _ := buffered.Peek(len(bom)); string(head) == bom {
		_, _ = buffered.Discard(len(bom)) // is in the buffer
	}
	return buffered, raw, nil
}
