package reports

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	imagedraw "image/draw"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// cividis is a scale of colours from dark to bright that colour-blind readers and
// grey prints keep in order (Nuñez, Anderton and Renslow 2018).
var cividis = []color.RGBA{
	{0, 34, 78, 255}, {33, 59, 110, 255}, {76, 85, 108, 255}, {108, 110, 114, 255},
	{141, 136, 120, 255}, {176, 165, 112, 255}, {215, 195, 95, 255}, {254, 232, 56, 255},
}

// cividisAt is the colour of a value from 0 to 1.
func cividisAt(x float64) color.RGBA {
	x = min(max(x, 0), 1) * float64(len(cividis)-1)
	i := min(int(x), len(cividis)-2)
	a, b, t := cividis[i], cividis[i+1], x-float64(i)
	mix := func(a, b uint8) uint8 { return uint8(float64(a) + t*(float64(b)-float64(a)) + 0.5) }
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

const (
	// Fewer pixels than a viewer shows would be blurred.
	mapWidth, mapHeight = 1600, 600

	keptBins      = 240 // most columns of the heat map
	keptWidth     = 6.6 * vg.Inch
	keptBudget    = 1.1 * vg.Inch  // the budgets' panel at the right
	keptScale     = 0.62 * vg.Inch // the scale of colours
	keptTop       = 16
	keptBottom    = 26
	leastPerLayer = 4 // points of height
)

// Figure draws a heat map of what stays, layers by positions (lists: every
// layer's lists below each other), with the layers' budgets beside it, as a file
// of a format: png, svg or pdf.
func (k Kept) Figure(format string, lists bool) ([]byte, error) {
	bins := min(k.Tokens, keptBins)
	rows := k.rows(lists, bins)
	body := min(max(vg.Length(len(rows))*leastPerLayer, 1.4*vg.Inch), 8*vg.Inch)
	return drawing(format, keptWidth, keptTop+body+keptBottom, func(c draw.Canvas) error {
		heat, err := k.heatMap(rows, lists)
		if err != nil {
			return err
		}
		budgets, err := k.budgets(rows)
		if err != nil {
			return err
		}
		scale, err := colourScale("kept share (%)")
		if err != nil {
			return err
		}
		left := draw.Crop(c, 2, -keptBudget-keptScale, 2, -2)
		heat.Draw(left)
		area := heat.DataCanvas(left)
		drawBeside(budgets, draw.Crop(c, c.Size().X-keptBudget-keptScale+12, -keptScale-4, 2, -2), area)
		drawBeside(scale, draw.Crop(c, c.Size().X-keptScale+2, -4, 2, -2), area)
		return nil
	})
}

// drawBeside draws a plot whose data begin and end at the height of area.
func drawBeside(p *plot.Plot, c, area draw.Canvas) {
	own := p.DataCanvas(c)
	p.Draw(draw.Crop(c, 0, 0, area.Min.Y-own.Min.Y, area.Max.Y-own.Max.Y))
}

// heatMap is the plot of the rows' shares, the first row at the top.
func (k Kept) heatMap(rows []keptRow, lists bool) (*plot.Plot, error) {
	p := newPlot("", "position in the prompt", "layer")
	if lists {
		p.Y.Label.Text = "layer, " + k.headKind() + "s from top to bottom"
		if k.headKind() == "the layer's only" {
			p.Y.Label.Text = "layer"
		}
	}
	p.Title.Text = fit(p.Title.TextStyle, k.Title, keptWidth-keptBudget-keptScale-40)
	p.Add(plotter.NewImage(paint(rows), 0, 0, float64(k.Tokens), float64(len(rows))))
	for i := 1; lists && i < len(rows); i++ {
		if rows[i].layer == rows[i-1].layer {
			continue
		}
		y := float64(len(rows) - i)
		between, err := plotter.NewLine(plotter.XYs{{X: 0, Y: y}, {X: float64(k.Tokens), Y: y}})
		if err != nil {
			return nil, err
		}
		between.Color, between.Width = color.White, 0.5
		p.Add(between)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(k.Tokens), 0, float64(len(rows))
	p.X.Tick.Marker = countTicks(k.Tokens)
	p.Y.Tick.Marker = layerTicks(rows)
	return p, nil
}

// paint makes an image of the rows: a rectangle for every bin.
func paint(rows []keptRow) image.Image {
	bins := len(rows[0].share)
	cell := image.Pt((mapWidth+bins-1)/bins, max((mapHeight+len(rows)-1)/len(rows), 8))
	img := image.NewRGBA(image.Rect(0, 0, bins*cell.X, len(rows)*cell.Y))
	for r, row := range rows {
		for b, share := range row.share {
			at := image.Pt(b*cell.X, r*cell.Y)
			imagedraw.Draw(img, image.Rectangle{at, at.Add(cell)}, image.NewUniform(cividisAt(share)), image.Point{}, imagedraw.Src)
		}
	}
	return img
}

// budgets is the plot of the kept shares of the rows, as bars that lie at the
// height of their rows.
func (k Kept) budgets(rows []keptRow) (*plot.Plot, error) {
	p := newPlot("", "kept (%)", "")
	for i, r := range rows {
		y := float64(len(rows) - 1 - i)
		x := 100 * r.kept / float64(k.Tokens)
		bar, err := plotter.NewPolygon(plotter.XYs{{X: 0, Y: y + 0.1}, {X: x, Y: y + 0.1}, {X: x, Y: y + 0.9}, {X: 0, Y: y + 0.9}})
		if err != nil {
			return nil, err
		}
		bar.Color, bar.LineStyle.Width = palette[0], 0
		p.Add(bar)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 100, 0, float64(len(rows))
	p.X.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 50, Label: "50"}, {Value: 100, Label: "100"}}
	p.Y.Tick.Marker, p.Y.Tick.Length = plot.ConstantTicks{}, 0
	return p, nil
}

// colourScale is a plot of the colours of shares, in percent as everywhere.
func colourScale(label string) (*plot.Plot, error) {
	p := newPlot("", "", label)
	// Each colour reaches to the top and the next one covers it, so that there are
	// no seams. An image would do, but the order of two images in a PDF is random.
	const steps = 128
	for i := range steps {
		y := float64(i) / steps
		part, err := plotter.NewPolygon(plotter.XYs{{X: 0, Y: y}, {X: 1, Y: y}, {X: 1, Y: 1}, {X: 0, Y: 1}})
		if err != nil {
			return nil, err
		}
		part.Color, part.LineStyle.Width = cividisAt(float64(i)/(steps-1)), 0
		p.Add(part)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.HideX()
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 0.5, Label: "50"}, {Value: 1, Label: "100"}}
	return p, nil
}

// countTicks are round counts from 0 to n.
func countTicks(n int) plot.ConstantTicks {
	step := roundStep(n, 8)
	var out plot.ConstantTicks
	for x := 0; x <= n; x += step {
		out = append(out, plot.Tick{Value: float64(x), Label: fmt.Sprint(x)})
	}
	return out
}

// roundStep is the smallest of 1, 2, 5, 10, 20… that divides n into at most
// most parts.
func roundStep(n, most int) int {
	for step := 1; ; step *= 10 {
		for _, m := range []int{1, 2, 5} {
			if n <= step*m*most {
				return step * m
			}
		}
	}
}

// layerTicks name layers at the middle of their rows, at round steps.
func layerTicks(rows []keptRow) plot.ConstantTicks {
	layers := rows[len(rows)-1].layer + 1
	var out plot.ConstantTicks
	for l := 0; l < layers; l += roundStep(layers, 8) {
		from, _ := slices.BinarySearchFunc(rows, l, func(r keptRow, l int) int { return cmp.Compare(r.layer, l) })
		to, _ := slices.BinarySearchFunc(rows, l+1, func(r keptRow, l int) int { return cmp.Compare(r.layer, l) })
		out = append(out, plot.Tick{Value: float64(len(rows)) - float64(from+to)/2, Label: fmt.Sprint(l)})
	}
	return out
}

// KeptFigure draws what several pruners keep of one prompt side by side, layers by
// positions; lists: every layer's lists below each other.
func KeptFigure(all []Kept, lists bool) Figure {
	c := chart{name: "kept", caption: "Share of the positions that stays in the KV cache, layers by positions in the prompt.", wide: true, scale: "kept share (%)"}
	lines := 0
	for _, k := range all {
		p := k.panel(lists)
		lines = max(lines, len(p.cells.values))
		c.panels = append(c.panels, p)
	}
	c.columns = min(columnsFor(len(c.panels)), 3)
	if len(c.panels) == 4 {
		c.columns = 2
	}
	c.height = min(max(vg.Length(lines)*2+30, multipleHeight), 6*vg.Inch)
	return c.figure()
}

// keptPanelBins is how many columns a panel of several has at most.
const keptPanelBins = 150

// panel is one of several heat maps.
func (k Kept) panel(lists bool) panel {
	rows := k.rows(lists, min(k.Tokens, keptPanelBins))
	bins := float64(len(rows[0].share))
	p := panel{title: k.Title, x: axis{label: "position in the prompt", high: bins}, y: axis{label: "layer", high: float64(len(rows)), ticks: layerTicks(rows)}}
	values := make([][]float64, len(rows))
	for i, row := range rows {
		values[len(rows)-1-i] = row.share // layer 0 is at the top
	}
	p.cells = &cells{values}
	for _, t := range countTicks(k.Tokens) {
		p.x.ticks = append(p.x.ticks, plot.Tick{Value: t.Value * bins / float64(k.Tokens), Label: t.Label})
	}
	return p
}
