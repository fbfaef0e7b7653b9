package reports

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A keyBox is a legend. It stands under the panels, in as many columns as its texts leave room
// for, so that it covers no data and nothing of it is cut off.
type keyBox struct {
	style   text.Style
	entries []keyEntry
	lines   [][]string  // of each entry: its text, broken where it is long
	columns []vg.Length // their widths
}

// A keyEntry is a line of a legend: a remark where it has no sample.
type keyEntry struct {
	text  string
	line  *draw.LineStyle
	glyph *draw.GlyphStyle
}

// fullEntry is the full cache's.
var fullEntry = keyEntry{text: "full cache", line: &fullLevel}

const (
	legendSample  = 18.0 // width of the sample, points
	legendGap     = 4.0
	legendBetween = 10.0 // between columns
	legendLine    = 10.0 // height of a line of text
	legendTop     = 4.0  // above it
	legendRaise   = 1.0  // a text's box reaches below its letters
)

// newKeyBox lays entries out over a width. Remarks take a line each, after the
// others.
func newKeyBox(entries []keyEntry, width vg.Length) keyBox {
	l := keyBox{style: newPlot("", "", "").Legend.TextStyle}
	var widths []vg.Length // of the entries that are no remarks
	for _, remarks := range []bool{false, true} {
		for _, e := range entries {
			if e.remark() != remarks {
				continue
			}
			indent := vg.Length(legendSample + legendGap)
			if remarks {
				indent = 0
			}
			lines := broken(l.style, e.text, width-indent)
			l.entries, l.lines = append(l.entries, e), append(l.lines, lines)
			widest := vg.Length(0)
			for _, line := range lines {
				widest = max(widest, indent+l.style.Width(line))
			}
			if !remarks {
				widths = append(widths, widest+legendBetween)
			}
		}
	}
	for n := len(widths); n > 0; n-- {
		if l.columns = columnWidths(widths, n); n == 1 || sum(l.columns) <= width+legendBetween {
			break
		}
	}
	return l
}

// columnWidths are those of n columns that take the entries line by line.
func columnWidths(entries []vg.Length, n int) []vg.Length {
	out := make([]vg.Length, n)
	for i, w := range entries {
		out[i%n] = max(out[i%n], w)
	}
	return out
}

func sum(all []vg.Length) (out vg.Length) {
	for _, x := range all {
		out += x
	}
	return out
}

func (e keyEntry) remark() bool { return e.line == nil && e.glyph == nil }

// broken breaks a text at blanks, and cuts a word that is wider than the width.
func broken(style text.Style, s string, width vg.Length) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && style.Width(line+" "+word) > width {
			out = append(out, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+fit(style, word, width), " ")
	}
	return append(out, line)
}

// places are the entries' upper lines and columns, and the height of all.
func (l keyBox) places() (top []vg.Length, column []int, height vg.Length) {
	y, tallest, k := vg.Length(0), 0, 0
	for i, e := range l.entries {
		if e.remark() || k == len(l.columns) {
			y, tallest, k = y+vg.Length(tallest)*legendLine, 0, 0
		}
		top, column = append(top, y), append(column, k)
		tallest, k = max(tallest, len(l.lines[i])), k+1
	}
	return top, column, y + vg.Length(tallest)*legendLine
}

func (l keyBox) height() vg.Length {
	_, _, h := l.places()
	if h > 0 {
		h += legendTop
	}
	return h
}

// draw draws the legend with its upper left corner at (left, top).
func (l keyBox) draw(c draw.Canvas, left, top vg.Length) {
	style := l.style
	style.YAlign = draw.YCenter
	tops, columns, _ := l.places()
	for i, e := range l.entries {
		from := left + sum(l.columns[:columns[i]])
		middle := top - legendTop - tops[i] - legendLine/2
		if e.line != nil {
			c.StrokeLine2(*e.line, from, middle, from+legendSample, middle)
		}
		if e.glyph != nil {
			c.DrawGlyph(*e.glyph, vg.Point{X: from + legendSample/2, Y: middle})
		}
		x := from + legendSample + legendGap
		style.Color = color.Black
		if e.remark() {
			style.Color, x = color.Gray{90}, from
		}
		for k, line := range l.lines[i] {
			c.FillText(style, vg.Point{X: x, Y: middle + legendRaise - vg.Length(k)*legendLine}, line)
		}
	}
}
