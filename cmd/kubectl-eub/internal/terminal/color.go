// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"io"
	"os"
)

// Tone is how a text is coloured.
type Tone string

// Tones, as ANSI colours.
const (
	Plain Tone = ""
	Good  Tone = "32" // green
	Busy  Tone = "33" // yellow
	Bad   Tone = "31" // red
	Bold  Tone = "1"
	Faint Tone = "2"
)

// Palette colours text, or leaves it as it is.
type Palette bool

// PaletteFor returns the palette for a stream. Colours are for terminals only, and nobody gets them who has set NO_COLOR
// (https://no-color.org) or whose TERM is dumb.
func PaletteFor(stream io.Writer) Palette {
	return Palette(CanDraw(stream) && os.Getenv("NO_COLOR") == "")
}

// Paint colours a text.
func (p Palette) Paint(tone Tone, text string) string {
	if !p || tone == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(tone) + "m" + text + "\x1b[0m"
}
