package decode_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

func TestRows_CSV(t *testing.T) {
	t.Parallel()
	const unreadable = "a double quote is never closed, or ends within its field"
	long := strings.Repeat("x", decode.MaxRowBytes)
	for name, tc := range map[string]list{
		"both columns":                        {text: "username,fullName\nann,Ann Lee\nbob,\n", want: []decode.Row{good(0, "ann", "Ann Lee"), good(1, "bob", "")}},
		"the other order":                     {text: "fullName,username\nAnn Lee,ann\n", want: []decode.Row{good(0, "ann", "Ann Lee")}},
		"usernames only":                      {text: "username\nann\nbob\n", want: []decode.Row{good(0, "ann", ""), good(1, "bob", "")}},
		"a header in another spelling":        {text: " USERNAME\t, FullName \nann,Ann\n", want: []decode.Row{good(0, "ann", "Ann")}},
		"a quoted header":                     {text: "\"username\",\"fullName\"\nann,Ann\n", want: []decode.Row{good(0, "ann", "Ann")}},
		"CRLF":                                {text: "username,fullName\r\nann,Ann\r\nbob,Bob\r\n", want: []decode.Row{good(0, "ann", "Ann"), good(1, "bob", "Bob")}},
		"no line break at the end":            {text: "username\nann", want: []decode.Row{good(0, "ann", "")}},
		"a header and nobody":                 {text: "username,fullName"},
		"commas, quotes and breaks in quotes": {text: "username,fullName\n\"a,n\"\"n\",\"Ann\nLee, \"\"Dr.\"\"\"\nbob,Bob\n", want: []decode.Row{good(0, `a,n"n`, "Ann\nLee, \"Dr.\""), good(1, "bob", "Bob")}},
		"empty lines do not count": {
			text: "\n\nusername\n\nann\n\r\n\n \n", want: []decode.Row{good(0, "ann", ""), bad(1, "line 8: username begins or ends with white space")},
		},
		"white space of a field is part of it": {
			text: "username,fullName\nann , Ann\nbob, Bob\n",
			want: []decode.Row{bad(0, "line 2: username begins or ends with white space"), good(1, "bob", " Bob")},
		},
		"lines are counted in quotes too": {
			text: "username,fullName\nann,\"Ann\n\nLee\"\n,hunter2\n",
			want: []decode.Row{good(0, "ann", "Ann\n\nLee"), bad(1, "line 5: username is empty; give one of 1 to 256 characters")},
		},
		"only commas": {text: "username,fullName\n,\n", want: []decode.Row{bad(0, "line 2: username is empty")}},
		"a wrong number of fields": {
			text: "username,fullName\nhunter2\nann,Lee,hunter2\nbob,Bob\n",
			want: []decode.Row{bad(0, "line 2: 1 fields instead of 2"), bad(1, "line 3: 3 fields instead of 2"), good(2, "bob", "Bob")},
		},
		"a quote in a field without quotes": {
			text: "username,fullName\nhunt\"er2,Ann\nbob,Bob \"hunter2\"\ncy,Cy\n",
			want: []decode.Row{bad(0, "line 2: a double quote"), bad(1, "line 3: a double quote"), good(2, "cy", "Cy")},
		},
		"a full name that is too long": {
			text: "username,fullName\nann," + strings.Repeat("hunter2", 40) + "\n", want: []decode.Row{named("ann", bad(0, "line 2: fullName has more"))},
		},
		"a username that is too long":      {text: "username\n" + strings.Repeat("hunter2", 40) + "\n", want: []decode.Row{bad(0, "line 2: username has more")}},
		"the longest row":                  {text: "username\n" + long + "\nann\n" + long, want: []decode.Row{bad(0, "line 2: username has more"), good(1, "ann", ""), bad(2, "line 4: username has more")}},
		"a row that is too long":           {text: "username\nann\n" + long + "xx\n", fail: "the row after the one in line 2 has more than 64 KiB"},
		"a line of commas":                 {text: "username\n" + strings.Repeat(",", 1<<20), fail: "the row after the one in line 1 has more than 64 KiB"},
		"a header that is too long":        {text: long + "xxx", fail: "the header of the CSV has more than 64 KiB"},
		"a quote that is never closed":     {text: "username\nann\n\"hunter2\nbob\n", fail: "line 3: " + unreadable},
		"and a long list after it":         {text: "username\nann\n\"hunter2\n" + strings.Repeat("bob\n", 1<<16), fail: "the row after the one in line 2 has more than 64 KiB"},
		"a quote that ends in its field":   {text: "username\n\"hunter2\"x\n", fail: "line 2: " + unreadable},
		"a quote in the header":            {text: "user\"hunter2\n", fail: "line 1: "},
		"nothing":                          {text: "", fail: "the CSV is empty"},
		"nothing but empty lines":          {text: "\n\r\n", fail: "the CSV is empty"},
		"no header":                        {text: "ann,hunter2\n", fail: "column 1 of the CSV's header is neither username nor fullName"},
		"an unknown column":                {text: "username,hunter2\n", fail: "column 2 of the CSV's header is neither username nor fullName"},
		"a column without a name":          {text: "username,,fullName\n", fail: "column 2 of the CSV's header is neither"},
		"a column twice":                   {text: "fullName,username,UserName\n", fail: "column 3 of the CSV's header repeats column 2"},
		"no username":                      {text: "fullName\n", fail: "the CSV's header has no username, only fullName in column 1"},
		"semicolons":                       {text: "username;fullName\nann;hunter2\n", fail: "the columns of the CSV are not separated by commas"},
		"semicolons and quotes":            {text: "\n\"username\";\"fullName\"\n\"ann\";\"hunter2\"\n", fail: "the columns of the CSV are not separated by commas"},
		"tabs":                             {text: "username\tfullName\nann\thunter2,\n", fail: "the columns of the CSV are not separated by commas"},
		"semicolons in a header of commas": {text: "username,fullName;\n", fail: "column 2 of the CSV's header is neither"},
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
