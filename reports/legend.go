package reports

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A legendBox is the legend of a figure. It stands beside the panels, as wide as
// its longest line, so that it covers no data and nothing of it is cut off.
type legendBox struct {
	style   text.Style
	entries []legendEntry
}

type legendEntry struct {
	lines []string // the name, broken where it is long
	line  *draw.LineStyle
	glyph *draw.GlyphStyle
}

const (
	legendSample  = 18.0 // width of the sample, points
	legendGap     = 4.0
	legendMargin  = 6.0
	legendLine    = 11.0  // height of a line of text
	legendMost    = 130.0 // width at which names are broken
	legendRaise   = 1.0   // a text's box reaches below its letters
	legendTopSkip = 16.0  // as far down as a panel's frame begins
)

// legendOf lists the series that the panels may hold.
func legendOf(all []series, full *Line) legendBox {
	box := legendBox{style: newPlot("", "", "").Legend.TextStyle}
	if full != nil {
		box.entries = append(box.entries, legendEntry{lines: []string{"full"}, line: &fullLevel})
	}
	spread := false
	for _, s := range all {
		glyph := s.look.glyphStyle()
		e := legendEntry{lines: box.wrap(s.name), glyph: &glyph}
		if len(s.lines) > 1 {
			line := s.look.lineStyle()
			e.line = &line
		} else {
			glyph.Radius *= 1.3
			spread = spread || s.lines[0].Average.Spread > 0
		}
		box.entries = append(box.entries, e)
	}
	if spread {
		box.entries = append(box.entries, legendEntry{lines: []string{"bars: ±1 s.d. of what", "is kept, over records"}})
	}
	return box
}

// wrap breaks a name at blanks.
func (b legendBox) wrap(name string) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(name) {
		if line != "" && b.style.Width(line+" "+word) > legendMost {
			out = append(out, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+fit(b.style, word, 2*legendMost), " ")
	}
	return append(out, line)
}

func (b legendBox) width() vg.Length {
	widest := vg.Length(0)
	for _, e := range b.entries {
		for _, line := range e.lines {
			widest = max(widest, b.style.Width(line))
		}
	}
	return legendSample + legendGap + widest + legendMargin
}

func (b legendBox) height() vg.Length {
	h := vg.Length(legendTopSkip + legendMargin)
	for _, e := range b.entries {
		h += vg.Length(len(e.lines)) * legendLine
	}
	return h
}

// draw draws the legend with its upper left corner at (left, top).
func (b legendBox) draw(c draw.Canvas, left, top vg.Length) {
	style := b.style
	style.YAlign = draw.YCenter
	y := top - legendTopSkip
	for _, e := range b.entries {
		middle := y - legendLine/2
		if e.line != nil {
			c.StrokeLine2(*e.line, left, middle, left+legendSample, middle)
		}
		if e.glyph != nil {
			c.DrawGlyph(*e.glyph, vg.Point{X: left + legendSample/2, Y: middle})
		}
		x := left + legendSample + legendGap
		style.Color = color.Black
		if e.line == nil && e.glyph == nil {
			style.Color, x = color.Gray{90}, left // a remark
		}
		for i, line := range e.lines {
			c.FillText(style, vg.Point{X: x, Y: middle + legendRaise - vg.Length(i)*legendLine}, line)
		}
		y -= vg.Length(len(e.lines)) * legendLine
	}
}
