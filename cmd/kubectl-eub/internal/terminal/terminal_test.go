// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"ordinary text stays":                  {"Zoë O'Neil <z@example.com> 株式会社", "Zoë O'Neil <z@example.com> 株式会社"},
		"a title of the terminal is not set":   {"\x1b]0;owned\x07", "\ufffd]0;owned\ufffd"},
		"lines are joined":                     {"a\nb\tc", "a b c"},
		"a carriage return overwrites nothing": {"a\rb", "a\ufffdb"},
		"the direction of text stays":          {"a\u202eb\u2066c", "a\ufffdb\ufffdc"},
		"an emoji with a joiner stays":         {"👩\u200d🚀", "👩\u200d🚀"},
		"C1 controls are controls":             {"a\u009b31mb", "a\ufffd31mb"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Clean(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNote_IsClean(t *testing.T) {
	var out bytes.Buffer
	Note(&out, "lost: %s", "\x1b[2J")
	if got := out.String(); got != "lost: \ufffd[2J\n" {
		t.Errorf("%q", got)
	}
}

func TestFit(t *testing.T) {
	const text = "users.csv: one two three\n\n   1  row \x1b[2J\n  line 7: one two three \x1b[2Jfour\n"
	if got := Fit(&bytes.Buffer{}, text); got != text {
		t.Errorf("a file gets %q", got)
	}
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close(); _ = tty.Close() }()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 20}); err != nil {
		t.Fatal(err)
	}
	want := "users.csv: one two\n  three\n\n   1  row \ufffd[2J\n  line 7: one two\n    three \ufffd[2Jfour\n"
	if diff := cmp.Diff(want, Fit(tty, text)); diff != "" {
		t.Errorf("a terminal of 20 columns (-want +got):\n%s", diff)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 3}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("    line 7:\n      one two\n", Fit(tty, "    line 7: one two\n")); diff != "" {
		t.Errorf("a terminal that is narrower than the indent (-want +got):\n%s", diff)
	}
}

func TestWrap(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                           {"", nil},
		"what fits":                         {"one two", []string{"one two"}},
		"what does not":                     {"one two three four", []string{"one two", "three four"}},
		"a word that is longer than a line": {"a incomprehensibilities b", []string{"a", "incomprehe", "nsibilitie", "s b"}},
		"wide characters without a space":   {"株式会社株式会社", []string{"株式会社株", "式会社"}},
		"wide characters":                   {"株式 会社 株式", []string{"株式 会社", "株式"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Wrap(test.text, 10)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrap_WithoutRoom(t *testing.T) {
	if diff := cmp.Diff([]string{"株", "ab", "c"}, Wrap("株abc", -1)); diff != "" {
		t.Error(diff)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 300 * time.Millisecond: "0s", 12400 * time.Millisecond: "12s", 60 * time.Second: "1m", 130 * time.Second: "2m10s",
		time.Hour: "1h", 65*time.Minute + 10*time.Second: "1h5m", 50 * time.Hour: "50h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestCutAndPad(t *testing.T) {
	if got := Pad(Cut("株式会社 of customers", 8), 10) + "|"; got != "株式会…   |" {
		t.Errorf("got %q", got)
	}
	if got := Number(1234567); got != "1,234,567" {
		t.Error(got)
	}
}

func TestPaletteFor_OnlyColoursTerminals(t *testing.T) {
	if got := PaletteFor(&bytes.Buffer{}).Paint(Bad, "x"); got != "x" {
		t.Errorf("%q", got)
	}
	if got := Palette(true).Paint(Bad, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
}
