package reports

import (
	"hash/fnv"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// palette is Okabe and Ito's, told apart by colour-blind readers.
var palette = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {0, 0, 0, 255},
}

// glyphs and dashes tell methods apart in grey.
var (
	glyphs = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.PyramidGlyph{}, draw.PlusGlyph{}}
	dashes = [][]vg.Length{nil, {4, 2}, {1, 1.5}, {4, 1.5, 1, 1.5}, {6, 2.5}}
)

// ringGlyph is the place of the ring among the glyphs.
const ringGlyph = 4

// places gives the methods of the paper their looks, and black to the full cache
// where it is a line among others; other methods get one by name, so that a method
// looks the same in every figure unless two meet.
var places = map[string]int{"h2o": 0, "refreekv": 1, "snapkv": 2, "streamingllm": 3, "full": 6}

// firstFree is the first place that is no known method's.
const firstFree = 4

func usualPlace(pruner string) int {
	if p, ok := places[pruner]; ok {
		return p
	}
	h := fnv.New32a()
	h.Write([]byte(pruner))
	return firstFree + int(h.Sum32())%(len(palette)-firstFree)
}

// A look is how a series is drawn.
type look struct{ colour, glyph, dash int }

func (l look) glyphStyle() draw.GlyphStyle {
	return draw.GlyphStyle{Color: palette[l.colour], Radius: 2.2, Shape: glyphs[l.glyph]}
}

func (l look) lineStyle() draw.LineStyle {
	return draw.LineStyle{Color: palette[l.colour], Width: 1, Dashes: dashes[l.dash]}
}

// fullLevel is the line of the full cache.
var fullLevel = draw.LineStyle{Width: 1, Color: color.Gray{110}, Dashes: []vg.Length{3, 2}}

// looksOf gives every series a look: a colour for each method, and a glyph for
// each series as long as they last.
func looksOf(all []series) []look {
	colours := map[string]int{}
	used := make([]int, len(palette))
	// The paper's methods first: they keep their places whoever else is there.
	for _, known := range []bool{true, false} {
		for _, s := range all {
			_, done := colours[s.pruner]
			if _, isKnown := places[s.pruner]; done || isKnown != known {
				continue
			}
			at := usualPlace(s.pruner)
			for k := range palette {
				if next := (usualPlace(s.pruner) + k) % len(palette); used[next] < used[at] {
					at = next
				}
			}
			used[at]++
			colours[s.pruner] = at
		}
	}
	out := make([]look, len(all))
	var given []look
	first := map[string]int{}
	for i, s := range all {
		if _, met := first[s.pruner]; met {
			continue
		}
		at := colours[s.pruner]
		out[i] = look{at, at % len(glyphs), at % len(dashes)}
		if slices.Contains(given, out[i]) { // more methods than colours
			out[i] = furthest(at, given)
		}
		first[s.pruner], given = i, append(given, out[i])
	}
	for i, s := range all {
		if first[s.pruner] == i {
			continue
		}
		out[i] = furthest(colours[s.pruner], given)
		given = append(given, out[i])
	}
	return out
}

// furthest is the look in a colour that the looks already given resemble least:
// above all with a glyph that no other series has.
func furthest(colour int, given []look) look {
	var best look
	least := math.MaxInt
	for glyph := range glyphs {
		for dash := range dashes {
			alike := 0
			for _, g := range given {
				if g.glyph == glyph && g.dash == dash {
					alike += 100_000
				}
				if g.glyph == glyph {
					alike += 1000
				}
				if g.dash == dash && g.colour == colour {
					alike += 100
				}
				if g.dash == dash {
					alike++
				}
			}
			if alike < least {
				best, least = look{colour, glyph, dash}, alike
			}
		}
	}
	return best
}

// Sizes of text in points; what is smaller than 7 is hard to read in print.
const (
	labelSize = 8
	smallSize = 7
)

// tint is a light form of a colour, for areas.
func tint(c color.Color) color.Color {
	r, g, b, _ := c.RGBA()
	light := func(x uint32) uint8 { return uint8(255 - (255-x>>8)*3/10) }
	return color.RGBA{light(r), light(g), light(b), 255}
}

// newPlot is an empty plot in the size and look of a two-column paper.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	for _, t := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		t.Font.Variant, t.Font.Size = "Sans", labelSize
	}
	for _, t := range []*text.Style{&p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		t.Font.Size = smallSize
	}
	p.Title.Padding = 3
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle.Width, a.Tick.LineStyle.Width, a.Tick.Length, a.Padding, a.Label.Padding = 0.5, 0.5, 3, 0, 2
	}
	return p
}

// fit cuts a text that is wider than width.
func fit(style text.Style, s string, width vg.Length) string {
	if style.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && style.Width(string(runes)+"…") > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
