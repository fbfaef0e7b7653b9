package reports

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"refreekv/reports/stats"
)

// Plot draws the box: a rectangle over the middle half with the median in it,
// lines to the extremes, and the values as dots while these can be told apart.
func (b box) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	values := slices.Sorted(slices.Values(b.values))
	if len(values) == 0 {
		return
	}
	line := draw.LineStyle{Color: palette[b.look.colour], Width: 0.7}
	middle, half := y(b.at), (y(b.at+0.3)-y(b.at-0.3))/2
	low, q1, median, q3, high := x(values[0]), x(stats.Quantile(values, 0.25)), x(stats.Quantile(values, 0.5)), x(stats.Quantile(values, 0.75)), x(values[len(values)-1])
	rectangle := []vg.Point{{X: q1, Y: middle - half}, {X: q3, Y: middle - half}, {X: q3, Y: middle + half}, {X: q1, Y: middle + half}}
	c.FillPolygon(tint(line.Color), rectangle)
	c.StrokeLine2(line, low, middle, q1, middle)
	c.StrokeLine2(line, q3, middle, high, middle)
	c.StrokeLines(line, append(rectangle, rectangle[0]))
	line.Width = 1.6
	c.StrokeLine2(line, median, middle-half, median, middle+half)
	if len(values) > mostDots {
		return
	}
	dot := draw.GlyphStyle{Color: palette[b.look.colour], Radius: 1.1, Shape: draw.CircleGlyph{}}
	for i, v := range b.values {
		// The golden ratio spreads any number of dots evenly, the same way each time.
		_, at := math.Modf(float64(i+1) * math.Phi)
		c.DrawGlyph(dot, vg.Point{X: x(v), Y: middle + half*vg.Length(1.4*at-0.7)})
	}
}

// mostDots is how many values of a box are drawn as dots too.
const mostDots = 60
