package reports

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// cells are the values of a heat map, each in a square of its own.
type cells struct {
	values [][]float64 // [lines from below][columns], 0..1; NaN: none
}

const (
	scaleWidth = 0.55 * vg.Inch // of the scale of colours at the right
	labelRoom  = 11.0           // height of an axis's label
	quarter    = math.Pi / 2
)

// add adds the cells to a plot whose axes count lines and columns.
func (c cells) add(p *plot.Plot) error {
	for r, line := range c.values {
		for k := 0; k < len(line); {
			from, v := k, line[k]
			for k < len(line) && (line[k] == v || math.IsNaN(line[k]) && math.IsNaN(v)) {
				k++ // neighbours of one value are one rectangle
			}
			colour := color.Color(color.Gray{235})
			if !math.IsNaN(v) {
				colour = cividisAt(v)
			}
			x, y := float64(from), float64(r)
			// Each reaches under its neighbours, so that there are no seams between.
			right, above := min(float64(k)+0.02, float64(len(line))), min(y+1.02, float64(len(c.values)))
			cell, err := plotter.NewPolygon(plotter.XYs{{X: x, Y: y}, {X: right, Y: y}, {X: right, Y: above}, {X: x, Y: above}})
			if err != nil {
				return err
			}
			cell.Color, cell.LineStyle.Width = colour, 0
			p.Add(cell)
		}
	}
	return nil
}

// drawScale draws what the colours mean, at the height of the first line of panels.
func (c chart) drawScale(canvas, area draw.Canvas) error {
	scale, err := colourScale(c.scale)
	if err != nil {
		return err
	}
	drawBeside(scale, draw.Crop(canvas, canvas.Size().X-scaleWidth, -edge, edge, -edge), area)
	return nil
}
