// SPDX-License-Identifier: Apache-2.0

// Package lists reads lists of users as people have them, in files of a spreadsheet or of a program, and turns every row into one that the
// operator reads as the same row: with the same user, or with the same problem.
package lists

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// Form is how a row is written. Rows of one form can be in one list.
type Form struct {
	Format decode.Format
	Header string // of a CSV, with its line break
	// IsWhole reports whether the row is a whole list, which cannot be cut.
	IsWhole bool
}

// Forms of rows. JSON becomes NDJSON, and so does YAML, unless a row of it has a problem that only YAML has.
var (
	CSV       = Form{Format: decode.CSV, Header: "username,fullName\n"}
	CSVOfOne  = Form{Format: decode.CSV, Header: "username\n"} // column
	NDJSON    = Form{Format: decode.NDJSON}
	WholeYAML = Form{Format: decode.YAML, IsWhole: true}
)

// Row is a row of a list.
type Row struct {
	Form Form
	Text []byte // with its line break; valid until the next row
	Place
}

// Place is where a row is in its list: the line in which it begins, from 1, or, where lines are not known, minus the number of the row. Its
// text has the zero-based index of the row, as the status of a batch has it.
type Place int32

func (p Place) String() string {
	if p < 0 {
		return fmt.Sprintf("row %d", -p-1)
	}
	return fmt.Sprintf("line %d", p)
}

// List is a list that can be read more than once, because what it is shows only when all of it was read.
type List struct {
	Name string
	open func() (io.ReadCloser, error)
}

// Stdin is the name of standard input on the command line.
const Stdin = "-"

// Open returns the list with a path. Standard input or a pipe, such as <(command), can be read once, and is kept in memory, compressed.
func Open(ctx context.Context, path string, stdin io.Reader) (*List, error) {
	if path == Stdin {
		return keep(ctx, "standard input", stdin)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening a list: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder; give files, such as %s", path, filepath.Join(path, "*.csv"))
	}
	open := func() (io.ReadCloser, error) {
		return os.Open(path) //nolint:gosec // the file that was asked for; the error names it
	}
	if info.Mode().IsRegular() {
		return &List{Name: path, open: open}, nil
	}
	pipe, err := open()
	if err != nil {
		return nil, fmt.Errorf("opening a list: %w", err)
	}
	defer pipe.Close() //nolint:errcheck // only read
	return keep(ctx, path, pipe)
}

// keep returns a list with the text of a reader. It does not wait for a reader that blocks once the context has ended.
func keep(ctx context.Context, name string, text io.Reader) (*List, error) {
	var kept bytes.Buffer
	w, _ := gzip.NewWriterLevel(&kept, gzip.BestSpeed) // a level that there is
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, text)
		read <- err
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("reading %s: %w", name, ctx.Err())
	case err := <-read:
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("keeping %s: %w", name, err) // never happens in memory
	}
	return &List{Name: name, open: func() (io.ReadCloser, error) { return gzip.NewReader(bytes.NewReader(kept.Bytes())) }}, nil
}

// About says what a list turned out to be.
type About struct {
	Encoding  Encoding
	Format    decode.Format
	Separator rune // of a CSV
	IsResults bool // a CSV of kubectl eub results
	IsGzip    bool
}

func (a About) isUTF16() bool { return a.Encoding == UTF16LE || a.Encoding == UTF16BE }

// String describes a list to a person.
func (a About) String() string {
	text := string(a.Format)
	if a.Format == decode.CSV {
		text += " with " + separators[byte(a.Separator)] //nolint:gosec // ASCII
	}
	if a.IsResults {
		text += ", of kubectl eub results: apostrophes are taken away, and columns other than username and fullName are ignored"
	}
	text += ", " + string(a.Encoding)
	if a.IsGzip {
		text += ", compressed with gzip"
	}
	return text
}

// Read visits the rows of a list in order. An empty format is that of the name or, if that does not say, of the text. The error says why
// the operator could not read such a list either, and how to fix that, unless visit returned it.
func (l *List) Read(ctx context.Context, format decode.Format, visit func(Row) error) (About, error) {
	about, err := l.survey(ctx)
	if err != nil {
		return about, fmt.Errorf("%s: %w", l.Name, err)
	}
	if format == "" {
		format = about.Format
	}
	about.Format = format
	read := map[decode.Format]func(context.Context, *About, func(Row) error) error{
		decode.CSV: l.readCSV, decode.JSON: l.readJSON, decode.NDJSON: l.readNDJSON, decode.YAML: l.readYAML,
	}[format]
	if read == nil {
		return about, fmt.Errorf("--format %q is unknown; give CSV, JSON, NDJSON or YAML", format)
	}
	var ofVisit error
	err = read(ctx, &about, func(row Row) error {
		if damaged := []byte("\ufffd"); about.isUTF16() && bytes.Contains(row.Text, damaged) {
			row.Text = bytes.ReplaceAll(row.Text, damaged, []byte{0xff}) // no UTF-8 either: nobody is to get another name
		}
		ofVisit = visit(row)
		return ofVisit
	})
	if err != nil && ofVisit == nil {
		err = fmt.Errorf("%s: %w", l.Name, err)
	}
	return about, err
}
