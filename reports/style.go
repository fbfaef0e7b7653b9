package reports

import (
	"hash/fnv"
	"image/color"

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
	glyphs = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{}, draw.PlusGlyph{}, draw.RingGlyph{}}
	dashes = [][]vg.Length{nil, {4, 2}, {1, 1.5}, {4, 1.5, 1, 1.5}, {6, 2}}
)

// places gives the methods of the paper their looks; others get one by name, so
// that a method looks the same in every figure.
var places = map[string]int{"refreekv": 1, "h2o": 0, "snapkv": 2, "streamingllm": 3}

func place(pruner string) int {
	if p, ok := places[pruner]; ok {
		return p
	}
	h := fnv.New32a()
	h.Write([]byte(pruner))
	return 4 + int(h.Sum32()%3)
}

// newPlot is an empty plot in the size and look of a two-column paper.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	for _, t := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		t.Font.Variant, t.Font.Size = "Sans", 8
	}
	p.Title.Padding = 3
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle.Width, a.Tick.LineStyle.Width, a.Tick.Length, a.Padding, a.Label.Padding = 0.5, 0.5, 3, 0, 2
	}
	return p
}
