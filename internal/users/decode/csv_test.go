// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

func TestRows_CSV(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]list{
		"both columns": {
			text: "username,fullName\nann,Ann Lee\nbob,\n", want: []decode.Row{good(0, "ann", "Ann Lee"), good(1, "bob", "")},
		},
		"the other order":              {text: "fullName,username\nAnn Lee,ann\n", want: []decode.Row{good(0, "ann", "Ann Lee")}},
		"usernames only":               {text: "username\nann\nbob\n", want: []decode.Row{good(0, "ann", ""), good(1, "bob", "")}},
		"a header in another spelling": {text: " USERNAME\t, FullName \nann,Ann\n", want: []decode.Row{good(0, "ann", "Ann")}},
		"a quoted header":              {text: "\"username\",\"fullName\"\nann,Ann\n", want: []decode.Row{good(0, "ann", "Ann")}},
		"CRLF": {
			text: "username,fullName\r\nann,Ann\r\nbob,Bob\r\n", want: []decode.Row{good(0, "ann", "Ann"), good(1, "bob", "Bob")},
		},
		"no line break at the end": {text: "username\nann", want: []decode.Row{good(0, "ann", "")}},
		"a header and nobody":      {text: "username,fullName"},
		"commas, quotes and breaks in quotes": {
			text: "username,fullName\n\"a,n\"\"n\",\"Ann\nLee, \"\"Dr.\"\"\"\nbob,Bob\n",
			want: []decode.Row{good(0, `a,n"n`, "Ann\nLee, \"Dr.\""), good(1, "bob", "Bob")},
		},
		"CR": {text: "\rusername,fullName\rann,\"Ann\rLee\"\r\rbob,Bob", want: []decode.Row{good(0, "ann", "Ann\nLee"), good(1, "bob", "Bob")}},
		"every line break": {
			text: "username\r\nann\rbob\ncy\n\rdan",
			want: []decode.Row{good(0, "ann", ""), good(1, "bob", ""), good(2, "cy", ""), good(3, "dan", "")},
		},
		"empty lines and lines of commas do not count": {
			text: ",\n\nusername,fullName\n\nann,\n\r\n\n \n,\n , ,,\n,Bob\n",
			want: []decode.Row{good(0, "ann", ""), bad(1, "line 11: username is empty")},
		},
		"spaces around a field do not count": {
			text: "username , fullName\n ann ,  Ann Lee \n\"bob\" , \"Bob, \"\n",
			want: []decode.Row{good(0, "ann", "Ann Lee"), good(1, "bob", "Bob, ")},
		},
		"spaces in quotes do": {
			text: "username\n\"ann \"\n\" bob\"\n",
			want: []decode.Row{bad(0, "line 2: username begins or ends with white space"), bad(1, "line 3: username begins")},
		},
		"other white space does": {
			text: "username\n\u00a0ann\nbob\t\n",
			want: []decode.Row{bad(0, "line 2: username begins or ends with white space"), bad(1, "line 3: username contains a control")},
		},
		"an empty username in quotes": {text: "username\n\"\"\n", want: []decode.Row{bad(0, "line 2: username is empty")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.CSV)
		})
	}
}

// TestRows_CSVBadRows tests what is the problem of one row only.
func TestRows_CSVBadRows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", decode.MaxRowBytes)
	for name, tc := range map[string]list{
		"lines are counted in quotes too": {
			text: "username,fullName\nann,\"Ann\n\nLee\"\n,hunter2\n",
			want: []decode.Row{good(0, "ann", "Ann\n\nLee"), bad(1, "line 5: username is empty; give one of 1 to 256 characters")},
		},
		"a wrong number of fields": {
			text: "username,fullName\nhunter2\nann,Lee,hunter2\nbob,Bob\n",
			want: []decode.Row{bad(0, "line 2: 1 fields instead of 2"), bad(1, "line 3: 3 fields instead of 2"), good(2, "bob", "Bob")},
		},
		"a quote in a field without quotes": {
			text: "username,fullName\nhunt\"er2,Ann\nbob,Bob \"hunter2\"\ncy,Cy\n",
			want: []decode.Row{bad(0, "line 2: a double quote"), bad(1, "line 3: a double quote"), good(2, "cy", "Cy")},
		},
		"a full name that is too long": {
			text: "username,fullName\nann," + strings.Repeat("hunter2", 40) + "\n",
			want: []decode.Row{named("ann", bad(0, "line 2: fullName has more"))},
		},
		"a username that is too long": {
			text: "username\n" + strings.Repeat("hunter2", 40) + "\n", want: []decode.Row{bad(0, "line 2: username has more")},
		},
		"the longest row": {
			text: "username\n" + long + "\nann\n" + long,
			want: []decode.Row{bad(0, "line 2: username has more"), good(1, "ann", ""), bad(2, "line 4: username has more")},
		},
		"text after a quoted field": {
			text: "username,fullName\n\"hunter2\"x,Ann\nbob,\"Bob \"hunter2\" Lee\"\ncy,Cy\n",
			want: []decode.Row{
				bad(0, "line 2: a double quote ends within its field"), bad(1, "line 3: a double quote ends within its field"),
				good(2, "cy", "Cy"),
			},
		},
		"a quote that is never closed in the last line": {
			text: "username\nann\n\"hunter2\n",
			want: []decode.Row{good(0, "ann", ""), bad(1, "line 3: a double quote is never closed")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.CSV)
		})
	}
}

// TestRows_CSVThatIsNoList tests what is a problem of the whole list.
func TestRows_CSVThatIsNoList(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", decode.MaxRowBytes)
	for name, tc := range map[string]list{
		"a row that is too long": {text: "username\nann\n" + long + "xx\n", fail: "the row after the one in line 2 has more than 64 KiB"},
		"a long line of commas": {
			text: "username\n" + strings.Repeat(",", 1<<20), fail: "the row after the one in line 1 has more than 64 KiB",
		},
		"a header that is too long":    {text: long + "xxx", fail: "the header of the CSV has more than 64 KiB"},
		"a quote that is never closed": {text: "username\nann\n\"hunter2\nbob\n", fail: "line 3: a double quote is never closed"},
		"one that ends in another row": {
			text: "username,fullName\nann,\"hunter2\nbob,\"Bob\"\ncy,Cy\n", fail: "line 2: a double quote ends within its field",
		},
		"and a long list after it": {
			text: "username\nann\n\"hunter2\n" + strings.Repeat("bob\n", 1<<16),
			fail: "the row after the one in line 2 has more than 64 KiB",
		},
		"a quote that ends in the header": {text: "\"username\"hunter2\n", fail: "line 1: a double quote ends within its field"},
		"a quote in the header":           {text: "user\"hunter2\n", fail: "line 1: "},
		"nothing":                         {text: "", fail: "the CSV is empty"},
		"nothing but empty lines":         {text: "\n\r\n", fail: "the CSV is empty"},
		"no header":                       {text: "ann,hunter2\n", fail: "column 1 of the CSV's header is neither username nor fullName"},
		"an unknown column":               {text: "username,hunter2\n", fail: "column 2 of the CSV's header is neither username nor fullName"},
		"a column without a name":         {text: "username,,fullName\n", fail: "column 2 of the CSV's header is neither"},
		"a column twice":                  {text: "fullName,username,UserName\n", fail: "column 3 of the CSV's header repeats column 2"},
		"no username":                     {text: "fullName\n", fail: "the CSV's header has no username, only fullName in column 1"},
		"semicolons":                      {text: "username;fullName\nann;hunter2\n", fail: "the columns of the CSV are not separated by commas"},
		"semicolons and quotes": {
			text: "\n\"username\";\"fullName\"\n\"ann\";\"hunter2\"\n", fail: "the columns of the CSV are not separated by commas",
		},
		"tabs": {
			text: "username\tfullName\nann\thunter2,\n", fail: "the columns of the CSV are not separated by commas",
		},
		"semicolons in a header of commas": {text: "username,fullName;\n", fail: "column 2 of the CSV's header is neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.CSV)
		})
	}
}

// TestRows_FilesThatWereJoined tests what "cat *.csv" makes.
func TestRows_FilesThatWereJoined(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]list{
		"a second header": {
			text: "username,fullName\nann,Ann\nusername,fullName\nbob,Bob\n",
			want: []decode.Row{good(0, "ann", "Ann"), bad(1, "line 3: the header again"), good(2, "bob", "Bob")},
		},
		"in another spelling": {
			text: "username,fullName\nann,Ann\n UserName , \"FULLNAME\"\nbob,Bob\n",
			want: []decode.Row{good(0, "ann", "Ann"), bad(1, "line 3: the header again"), good(2, "bob", "Bob")},
		},
		"of one column": {
			text: "username\nann\nusername\nbob\n",
			want: []decode.Row{good(0, "ann", ""), bad(1, "line 3: the header again"), good(2, "bob", "")},
		},
		"in another order": {
			text: "username,fullName\nann,Ann\nfullName,username\nhunter2,bob\n",
			fail: "line 3: another header, with the columns in another order",
		},
		"of other columns": {
			text: "username,fullName\nann,Ann\nusername\nbob\n",
			want: []decode.Row{good(0, "ann", "Ann"), bad(1, "line 3: 1 fields instead of 2"), bad(2, "line 4: 1 fields instead of 2")},
		},
		"users with the names of columns": {
			text: "username,fullName\nusername,Ann\nfullName,\n", want: []decode.Row{good(0, "username", "Ann"), good(1, "fullName", "")},
		},
		"byte order marks": {
			text: "\ufeffusername,fullName\nann,Ann\n\ufeffusername,fullName\n\ufeff\ufeffbob,Bob\r\n\ufeff\r\n\ufeff,,\ncy,Cy\n",
			want: []decode.Row{good(0, "ann", "Ann"), bad(1, "line 3: the header again"), good(2, "bob", "Bob"), good(3, "cy", "Cy")},
		},
		"no line break at the end of the first": {
			text: "username\nann\nbob\ufeffusername\ncy\n",
			want: []decode.Row{good(0, "ann", ""), bad(1, "line 3: username contains a byte order mark"), good(2, "cy", "")},
		},
		"a byte order mark within a full name": {
			text: "username,fullName\nann,\"x\n\ufeffy\"\n", want: []decode.Row{good(0, "ann", "x\n\ufeffy")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.CSV)
		})
	}
}

// This test is not parallel, because AllocsPerRun would count the allocations of other tests.
func TestRows_CSVAllocatesOncePerRow(t *testing.T) {
	var text strings.Builder
	text.WriteString("fullName,username\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "Somebody,user%d\n", i)
	}
	data := []byte(text.String())
	allocations := testing.AllocsPerRun(10, func() {
		if _, err := decode.Rows(t.Context(), data, decode.CSV, generous, func(decode.Row) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1100 {
		t.Errorf("%.0f allocations for 1000 rows", allocations)
	}
}
