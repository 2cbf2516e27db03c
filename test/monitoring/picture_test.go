// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The sizes of the picture, in pixels.
const (
	columnWidth = 50
	rowHeight   = 32
	gap         = 6
	margin      = 12
	headHeight  = 46
	titleHeight = 24
	fontSize    = 11
)

// picturePage draws a dashboard, with what its queries returned, as SVG.
type picturePage struct {
	from, to time.Time
	bottom   int
	body     bytes.Buffer
}

func escape(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text)) // a buffer never fails
	return out.String()
}

func text(out *bytes.Buffer, x, y float64, attributes, content string) {
	fmt.Fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attributes, escape(content))
}

// add draws a panel with what each of its queries returned.
func (p *picturePage) add(of panel, shown [][]series) {
	place := box{
		x: float64(margin + of.Grid.X*columnWidth), y: float64(headHeight + of.Grid.Y*rowHeight),
		w: float64(of.Grid.W*columnWidth - gap), h: float64(of.Grid.H*rowHeight - gap),
	}
	p.bottom = max(p.bottom, int(place.y+place.h))
	fmt.Fprintf(&p.body, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" fill=\"#fff\" stroke=\"#d8dde6\"/>\n",
		place.x, place.y, place.w, place.h)
	text(&p.body, place.x+8, place.y+16, `font-weight="600"`, of.Title)
	inner := box{place.x + 8, place.y + titleHeight, place.w - 16, place.h - titleHeight - 6}
	switch of.Type {
	case "stat":
		last := shown[0][0].last()
		text(&p.body, place.x+place.w/2, place.y+place.h/2+24, `font-size="30" text-anchor="middle" fill="`+of.color(last)+`"`,
			format(last, of.Fields.Defaults.Unit))
	case "table":
		p.table(inner, of, shown[0])
	default:
		var lines []line
		for i, found := range shown {
			for _, one := range found {
				lines = append(lines, line{named(of.Targets[i].Legend, one.Labels), one.Values})
			}
		}
		slices.SortStableFunc(lines, func(a, b line) int { return strings.Compare(a.name, b.name) })
		chart{inner, p.from, p.to, of.Fields.Defaults.Unit, of.Fields.Defaults.Custom.Stacking.Mode == "normal", lines}.draw(&p.body)
	}
}

// last returns the last value.
func (s series) last() float64 { return s.Values[len(s.Values)-1].value }

// color returns the color of a value by the thresholds of a panel.
func (p panel) color(value float64) string {
	color := ""
	for _, step := range p.Fields.Defaults.Thresholds.Steps {
		if step.Value == nil || value >= *step.Value {
			color = map[string]string{"green": "#1a7f37", "orange": "#bc4c00", "red": "#cf222e"}[step.Color]
		}
	}
	return color
}

// table draws the values of the series that are there at the end.
func (p *picturePage) table(in box, of panel, found []series) {
	names := map[string]bool{}
	for _, one := range found {
		for name := range one.Labels {
			names[name] = true
		}
	}
	columns := append(slices.Sorted(maps.Keys(names)), "value")
	rows := [][]string{columns}
	for _, one := range found {
		if one.Values[len(one.Values)-1].at.Unix() < p.to.Unix() {
			continue
		}
		row := make([]string, len(columns))
		for i, column := range columns {
			row[i] = one.Labels[column]
		}
		row[len(row)-1] = format(one.last(), of.Fields.Defaults.Unit)
		rows = append(rows, row)
	}
	x, attributes := in.x, `fill="#57606a" font-weight="600"`
	for i := range columns {
		longest := 0
		for k, row := range rows {
			if k > 0 {
				attributes = ""
			}
			if y := in.y + 12 + float64(k)*17; y < in.y+in.h {
				text(&p.body, x, y, attributes, row[i])
			}
			longest = max(longest, len(row[i]))
		}
		x, attributes = x+float64(longest+3)*7, `fill="#57606a" font-weight="600"`
	}
}

var placeholder = regexp.MustCompile(`\{\{(\w+)\}\}`)

// ports differ from run to run.
var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// named fills in the name of a line.
func named(legend string, labels map[string]string) string {
	name := placeholder.ReplaceAllStringFunc(legend, func(found string) string { return labels[strings.Trim(found, "{}")] })
	if name == "__auto" {
		name = ""
	}
	return port.ReplaceAllString(name, "operator")
}

// svg returns the picture.
func (p *picturePage) svg() []byte {
	var out bytes.Buffer
	width, height := 2*margin+24*columnWidth-gap, p.bottom+margin
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "+
		"font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"%d\" fill=\"#1f2328\">\n", width, height, width, height, fontSize)
	fmt.Fprintf(&out, "<rect width=\"%d\" height=\"%d\" fill=\"#f4f5f7\"/>\n", width, height)
	text(&out, margin, 20, `font-size="16" font-weight="600"`, "embedded-user-operator")
	text(&out, margin, 37, `fill="#57606a"`, "Drawn from the dashboard's queries, not a screenshot of Grafana. "+
		"An API that works, fails for a while, and works again; at the end some batches stay in trouble.")
	out.Write(p.body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// format writes a value with its unit, as Grafana names it, briefly.
func format(value float64, unit string) string {
	type step struct {
		from float64
		form string
		by   float64
	}
	steps := map[string][]step{
		"s":     {{3600, "%.1f h", 3600}, {60, "%.1f min", 60}, {1, "%.3g s", 1}, {0, "%.3g ms", 0.001}},
		"bytes": {{1 << 30, "%.3g GiB", 1 << 30}, {1 << 20, "%.3g MiB", 1 << 20}, {0, "%.3g B", 1}},
		"reqps": {{0, "%.3g/s", 1}},
		"ops":   {{0, "%.3g/s", 1}},
		"short": {{10_000, "%.4g k", 1000}, {0, "%.4g", 1}},
	}
	for _, s := range steps[unit] {
		if value >= s.from {
			return fmt.Sprintf(s.form, value/s.by)
		}
	}
	return fmt.Sprintf("%.3g", value)
}
