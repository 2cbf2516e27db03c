// SPDX-License-Identifier: Apache-2.0

package lists

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// text returns what a list is read as, with the forms of its rows as headers, and where the rows are.
func read(tb testing.TB, name string, input []byte) (text string, places []string, about About, err error) {
	tb.Helper()
	form := Form{}
	about, err = of(name, input).Read(tb.Context(), "", func(row Row) error {
		if row.Form != form {
			form = row.Form
			text += string(form.Format) + "\n" + form.Header
		}
		text += string(row.Text)
		places = append(places, row.String())
		return nil
	})
	return text, places, about, err
}

// of returns a list in memory.
func of(name string, text []byte) *List {
	return &List{Name: name, open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
}

func encoded(t *testing.T, text string, encode func(string) (string, error)) []byte {
	t.Helper()
	out, err := encode(text)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(out)
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRead(t *testing.T) {
	utf16 := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()
	utf16be := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder()
	zoe := "username,fullName\nzoe,Zoë Ünal\n"
	for name, test := range map[string]struct {
		file  string
		input []byte
		want  string
		about string
	}{
		"a CSV of the operator": {"a.csv", []byte(zoe), "CSV\n" + zoe, "CSV with commas, UTF-8"},
		"semicolons, and a field with a comma": {"a.csv", []byte("username;fullName\nann;\"Lee, Ann\"\nbob;a,b\n"),
			"CSV\nusername,fullName\nann,\"Lee, Ann\"\nbob,\"a,b\"\n", "CSV with semicolons, UTF-8"},
		"tabs": {"a.tsv", []byte("username\tfullName\r\nann\tAnn Lee\r\n"), "CSV\nusername,fullName\nann,Ann Lee\n", "CSV with tabs, UTF-8"},
		"a separator that the first line says": {"a.csv", []byte("sep=;\nusername;fullName\nann;x\n"),
			"CSV\nusername,fullName\nann,x\n", "CSV with semicolons, UTF-8"},
		"a byte order mark": {"a.csv", []byte(bom + zoe), "CSV\n" + zoe, "CSV with commas, UTF-8 with a byte order mark"},
		"UTF-16":            {"a.csv", encoded(t, zoe, utf16.String), "CSV\n" + zoe, "CSV with commas, UTF-16, little endian"},
		"UTF-16 without a byte order mark": {"a.csv", encoded(t, zoe, utf16be.String), "CSV\n" + zoe,
			"CSV with commas, UTF-16, big endian"},
		"Windows-1252": {"a.csv", encoded(t, strings.Replace(zoe, "Ünal", "Ünal–€", 1), charmap.Windows1252.NewEncoder().String),
			"CSV\nusername,fullName\nzoe,Zoë Ünal–€\n", "CSV with commas, Windows-1252"},
		"UTF-8 of which a row is damaged": {"a.csv", []byte(zoe + "b\xfcb,Zoë\n"), "CSV\n" + zoe + "b\xfcb,Zoë\n", "CSV with commas, UTF-8"},
		"UTF-16 of which rows are damaged": {"a.csv", []byte("\xff\xfeu\x00s\x00e\x00r\x00n\x00a\x00m\x00e\x00\n\x00a\x00\x00\xd8\n\x00b\x00c"),
			"CSV\nusername\na\xff\nb\xff\n", "CSV with commas, UTF-16, little endian"},
		"semicolons, below an empty row": {"a.csv", []byte(";;\nusername;fullName\na;b\n"),
			"CSV\nusername,fullName\na,b\n", "CSV with semicolons, UTF-8"},
		"columns in another order": {
			"a.csv", []byte("FullName,Username\nAnn,ann\n"),
			"CSV\nusername,fullName\nann,Ann\n", "CSV with commas, UTF-8",
		},
		"one column": {"a.csv", []byte("username\nann\n"), "CSV\nusername\nann\n", "CSV with commas, UTF-8"},
		"a row without anything": {
			"a.csv", []byte("username,fullName\n\"\",\"\"\n,\n\n"),
			"CSV\nusername,fullName\n\"\",\n", "CSV with commas, UTF-8",
		},
		"too many fields": {"a.csv", []byte("username;fullName\na;b;c\na\n"),
			"CSV\nusername,fullName\na,b,c\na\n", "CSV with semicolons, UTF-8"},
		"a stray quote": {
			"a.csv", []byte("username;fullName\na,b\"c;d\n"),
			"CSV\nusername,fullName\na;b\"c,d\n", "CSV with semicolons, UTF-8",
		},
		"results": {"a.csv", []byte(bom + "username;fullName;result;reason\n'00123;''x;Invalid;InvalidRow\na;b\n"),
			"CSV\nusername,fullName\n00123,'x\na,b,\n",
			"CSV with semicolons, of kubectl eub results: apostrophes are taken away, and columns other than username and fullName are ignored, " +
				"UTF-8 with a byte order mark"},
		"JSON, however it is laid out": {"-", []byte("[\n {\"username\":\n \"ann\"},\n 7, {\"x\":1}]"),
			"NDJSON\n{\"username\":\"ann\"}\n7\n{\"x\":1}\n", "JSON, UTF-8"},
		"NDJSON, also what is none": {
			"a.jsonl", []byte("{\"username\":\"a\"}\r\n\nno\n"),
			"NDJSON\n{\"username\":\"a\"}\nno\n", "NDJSON, UTF-8",
		},
		"YAML": {
			"-", []byte("- username: a\n- username: '1'\n  fullName: <b>\n"),
			"NDJSON\n{\"username\":\"a\"}\n{\"username\":\"1\",\"fullName\":\"<b>\"}\n", "YAML, UTF-8",
		},
		"YAML with a row that is invalid stays": {
			"a.yml", []byte("- username: a\n- username: 1\n"),
			"YAML\n- username: a\n- username: 1\n", "YAML, UTF-8",
		},
		"gzip":          {"a.csv.gz", zipped(t, zoe), "CSV\n" + zoe, "CSV with commas, UTF-8, compressed with gzip"},
		"an empty list": {"a.csv", []byte("username\n"), "", "CSV with commas, UTF-8"},
		"a field that begins with a mark": {
			"a.csv", []byte("username\n\"" + bom + "a\"\n"),
			"CSV\nusername\n\"" + bom + "a\"\n", "CSV with commas, UTF-8",
		},
		"spaces around a field that are in text": {
			"a.csv", []byte("username\n\" a \"\n"),
			"CSV\nusername\n\" a \"\n", "CSV with commas, UTF-8",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, _, about, err := read(t, test.file, test.input)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, text); diff != "" {
				t.Error(diff)
			}
			if about.String() != test.about {
				t.Errorf("it is said to be %s, not %s", about, test.about)
			}
		})
	}
}

func TestRead_SaysWhereRowsAre(t *testing.T) {
	for input, want := range map[string][]string{
		"sep=,\n\nusername,fullName\na,\"b\nc\"\n\nd,e\n": {"line 4", "line 7"},
		"[\n{\"username\":\"a\"},{\n\"x\":\n1},\n2\n]":    {"line 2", "line 2", "line 5"},
		"{\"username\":\"a\"}\n\n7\n":                     {"line 1", "line 3"},
		"- username: a\n  fullName: b\n- username: c\n":   {"row 0", "row 1"},
	} {
		_, places, _, err := read(t, "list", []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, places); diff != "" {
			t.Errorf("%q: %s", input, diff)
		}
	}
}

func TestRead_SaysWhatIsNoList(t *testing.T) {
	long := strings.Repeat("x", decode.MaxRowBytes)
	for name, test := range map[string]struct{ file, input, want string }{
		"a workbook":               {"a.xlsx", "PK\x03\x04...", "save the sheet as CSV UTF-8"},
		"nothing":                  {"a.csv", "", "the CSV is empty"},
		"a column that is unknown": {"a.csv", "username,age\na,1\n", "column 2 of the CSV's header is neither username nor fullName"},
		"no header":                {"a.csv", "ann,Ann\n", "column 1 of the CSV's header"},
		"a quote that swallows":    {"a.csv", "username,fullName\na,\"b\nc,d\n", "line 2: a double quote is never closed"},
		"one below a separator":    {"a.csv", "sep=;\nusername;fullName\na;\"b\nc;d\n", "line 3: a double quote is never closed"},
		"one in the header":        {"a.csv", "username,\"full\nName\n", "a.csv: line 1: a double quote is never closed"},
		"a long header":            {"a.csv", "username," + long + "\n", "a.csv: the header of the CSV has more than 64 KiB"},
		"other columns":            {"a.csv", "E-Mail;Name\na;b\n", "column 1 of the CSV's header is neither username nor fullName"},
		"JSON that is cut off":     {"a.json", `[{"username":"a"}`, "the JSON ends before its array does"},
		"JSON that goes on":        {"a.json", `[] []`, "the JSON continues after its array"},
		"an object":                {"a.json", `{"username":"a"}`, "the JSON is not an array"},
		"another list":             {"a.json", `[7, {"name":"x"}]`, "no row has a username or a fullName"},
		"an error page":            {"a.ndjson", "<html>\n<p>Bad gateway\n", "no row has a username or a fullName"},
		"a long row":               {"a.json", `["` + long + `"]`, "has more than 64 KiB"},
		"no NDJSON":                {"a.ndjson", "\n", "the NDJSON is empty"},
		"no YAML":                  {"a.yaml", "a: b\n", "the YAML is not a sequence"},
		"a damaged gzip":           {"a.csv.gz", "\x1f\x8b\x08\x00", "the gzip is damaged"},
		"UTF-32":                   {"a.csv", "\xff\xfe\x00\x00", "UTF-32"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := read(t, test.file, []byte(test.input))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), test.file+": ") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A list that the operator would not read at all is cut, so that its length is not what is wrong with it.
func TestRead_SaysWhereLongJSONIsDamaged(t *testing.T) {
	row := `{"username":"` + strings.Repeat("x", decode.MaxRowBytes/2) + "\"},\n"
	text := []byte("[\n" + strings.Repeat(row, 2*decode.MaxBytes/decode.MaxRowBytes) + ";]")
	_, err := of("a.json", text).Read(t.Context(), "", func(Row) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "a.json: the JSON has a syntax error after line 2049") {
		t.Error(err)
	}
}

// decoded returns the rows of a text as the operator reads them, without the lines.
func decoded(tb testing.TB, text string, format decode.Format) (rows []decode.Row, err error) {
	tb.Helper()
	_, err = decode.Rows(tb.Context(), []byte(text), format, limits, func(row decode.Row) error {
		if at := strings.Index(row.Problem, ": "); strings.HasPrefix(row.Problem, "line ") {
			row.Problem = row.Problem[at+2:]
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// checkSame checks that the operator finds the rows of a list in what that is read as, or can read neither.
func checkSame(t *rapid.T, tb testing.TB, input, original string, format decode.Format) {
	want, wantErr := decoded(tb, original, format)
	text, _, _, err := read(tb, "list", []byte(input))
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, but the operator says of %q: %v", input, err, original, wantErr)
	}
	if err != nil || len(want) == 0 {
		return
	}
	form, text, _ := strings.Cut(text, "\n")
	got, err := decoded(tb, text, decode.Format(form))
	if err != nil {
		t.Fatalf("%q became %q: %v", input, text, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q became %q: %s", input, text, diff)
	}
}

func TestRead_FindsTheRowsOfTheOperatorInCSV(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		separator := rapid.SampledFrom([]string{",", ";", "\t", "|"}).Draw(r, "separator")
		piece := rapid.SampledFrom([]string{"a", "b", "ann", " ", `"`, `""`, "\n", "\r\n", ",", ",", "\n", bom, "é", ";", "username", "fullName"})
		header := rapid.SampledFrom([]string{"username,fullName", "username", "FULLNAME, username"}).Draw(r, "header")
		original := header + "\n" + strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(r, "pieces"), "")
		swap := strings.NewReplacer(",", separator, separator, ",")
		if separator == "," {
			swap = strings.NewReplacer()
		}
		input := swap.Replace(original)
		if header == "username" && separator != "," {
			return // nothing shows which separator it is
		}
		if separator != "," {
			// A field that has the separator in the one has a comma in the other.
			want, err := decoded(t, original, decode.CSV)
			if err != nil {
				return
			}
			text, _, _, err := read(t, "list", []byte(input))
			if err != nil {
				r.Fatalf("%q: %v", input, err)
			}
			_, text, _ = strings.Cut(text, "\n")
			got, _ := decoded(t, text, decode.CSV)
			for i := range got {
				got[i].Username, got[i].FullName = swap.Replace(got[i].Username), swap.Replace(got[i].FullName)
			}
			if diff := cmp.Diff(want, got); diff != "" && separator != "\t" { // a username may have a semicolon, and no tab
				r.Fatalf("%q became %q: %s", input, text, diff)
			}
			return
		}
		checkSame(r, t, input, original, decode.CSV)
	})
}

func TestRead_FindsTheRowsOfTheOperatorInJSON(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		row := rapid.SampledFrom([]string{
			`{"username":"a"}`, `{ "username" : "b" , "fullName":"<\u00e9>" }`, `{"username":""}`, `7`, `"x"`, `{"username":1}`, `{"name":"x"}`,
			`{"username":"\ud800"}`, `{"username":"a","username":"b"}`, `[]`, `null`, `{"username":null}`,
		})
		rows := rapid.SliceOfN(row, 1, 10).Draw(r, "rows")
		array := "[" + strings.Join(rows, ",\n") + "]"
		checkSame(r, t, array, array, decode.JSON)
		lines := strings.Join(append(rows, `{"username":"z"}`), "\n") + "\nno\n"
		if strings.HasPrefix(lines, "{") {
			checkSame(r, t, lines, lines, decode.NDJSON)
		}
	})
}
