// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// box is a place in the picture.
type box struct{ x, y, w, h float64 }

// line is a line of a chart.
type line struct {
	name   string
	values []sample
}

// chart is a graph over time.
type chart struct {
	box

	from, to time.Time
	unit     string
	stacked  bool
	lines    []line
}

var colors = []string{"#3273d9", "#1a7f37", "#e0752d", "#bf3989", "#8250df", "#b58407", "#0f8a8a", "#cf222e", "#57606a", "#7b5b3a"}

const axisWidth = 52

// draw draws the axes, the lines and a legend.
func (c chart) draw(out *bytes.Buffer) {
	legend := c.legend(out)
	plot := box{c.x + axisWidth, c.y + 4, c.w - axisWidth - 6, c.h - legend - 22}
	curves := c.curves()
	top := niceTop(curves, c.unit)
	for i := range 5 {
		part := float64(i) / 4
		y := plot.y + plot.h*(1-part)
		fmt.Fprintf(out, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#e6e9ef\"/>\n", plot.x, y, plot.w)
		if i%2 == 0 {
			text(out, plot.x-5, y+4, `text-anchor="end" fill="#57606a" font-size="10"`, format(top*part, c.unit))
		}
	}
	span := c.to.Sub(c.from)
	for at := time.Duration(0); at < span; at += 30 * time.Second {
		x := plot.x + plot.w*at.Seconds()/span.Seconds()
		text(out, x, plot.y+plot.h+13, `text-anchor="middle" fill="#57606a" font-size="10"`,
			fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60))
	}
	point := func(s sample) string {
		return fmt.Sprintf("%.1f %.1f", plot.x+plot.w*s.at.Sub(c.from).Seconds()/span.Seconds(), plot.y+plot.h*(1-s.value/top))
	}
	for i, curve := range slices.Backward(curves) { // in a stack the later ones are higher
		color := colors[i%len(colors)]
		for _, part := range unbroken(curve) {
			var path strings.Builder
			for _, s := range part {
				path.WriteString("L" + point(s))
			}
			drawn := "M" + path.String()[1:]
			if c.stacked {
				first, last := part[0], part[len(part)-1]
				first.value, last.value = 0, 0
				area := fmt.Sprintf("%sL%sL%sZ", drawn, point(last), point(first))
				fmt.Fprintf(out, "<path d=\"%s\" fill=\"#fff\"/>\n<path d=\"%s\" fill=\"%s\" fill-opacity=\"0.3\"/>\n", area, area, color)
			}
			fmt.Fprintf(out, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", drawn, color)
		}
	}
}

// curves returns what is drawn for each line: in a stack, the sum of it and those before.
func (c chart) curves() [][]sample {
	sums := map[int64]float64{}
	curves := make([][]sample, len(c.lines))
	for i, one := range c.lines {
		for _, s := range one.values {
			if c.stacked {
				sums[s.at.Unix()] += s.value
				s.value = sums[s.at.Unix()]
			}
			curves[i] = append(curves[i], s)
		}
	}
	return curves
}

// unbroken divides a curve where samples are missing.
func unbroken(curve []sample) (parts [][]sample) {
	begin := 0
	for i := 1; i <= len(curve); i++ {
		if i == len(curve) || curve[i].at.Sub(curve[i-1].at) > 3*scrapeInterval {
			parts = append(parts, curve[begin:i])
			begin = i
		}
	}
	return parts
}

// niceTop returns the end of the axis.
func niceTop(curves [][]sample, unit string) float64 {
	top, scale := 0.0, 1.0
	if unit == "bytes" {
		scale = 1 << 20
	}
	for _, curve := range curves {
		for _, s := range curve {
			top = max(top, s.value)
		}
	}
	if top == 0 {
		return 1
	}
	power := scale * math.Pow(10, math.Floor(math.Log10(top/scale)))
	for _, step := range []float64{1, 2, 4, 6, 8} {
		if top <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// legend draws the names of the lines below the chart, and returns its height.
func (c chart) legend(out *bytes.Buffer) float64 {
	const lineHeight, charWidth = 14, 6.2
	type item struct {
		x    float64
		row  int
		name string
	}
	var items []item
	x, row := 0.0, 0
	for _, one := range c.lines {
		width := 18 + float64(len(one.name))*charWidth
		if x > 0 && x+width > c.w {
			x, row = 0, row+1
		}
		items = append(items, item{x, row, one.name})
		x += width
	}
	height := float64(row+1) * lineHeight
	for i, one := range items {
		y := c.y + c.h - height + float64(one.row+1)*lineHeight - 2
		fmt.Fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"3\" fill=\"%s\"/>\n", c.x+one.x, y-5, colors[i%len(colors)])
		text(out, c.x+one.x+12, y, `font-size="10"`, one.name)
	}
	return height
}
