package reports

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figures draws all figures; the keys are file names.
func figures(s Summary) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, t := range s.Tables {
		suffix := ""
		if len(s.Tables) > 1 {
			suffix = fmt.Sprintf("-%s-%d", fileName(t.Model), t.ContextLength)
		}
		mean := panel{title: t.Model, cells: func(l Line) Cell { return l.Average }}
		if err := drawAll(out, "score-against-budget"+suffix, t, []panel{mean}); err != nil {
			return nil, err
		}
		if len(t.Tasks) < 2 {
			continue
		}
		var each []panel
		for k, task := range t.Tasks {
			each = append(each, panel{title: task, cells: func(l Line) Cell { return l.Cells[k] }})
		}
		if err := drawAll(out, "score-against-budget-by-task"+suffix, t, each); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func fileName(s string) string { return strings.Trim(notInFileNames.ReplaceAllString(s, "-"), "-.") }

// A panel is one plot of a figure: the whole table, or one task of it.
type panel struct {
	title string
	cells func(Line) Cell
}

// A series is the variants of a table that differ in budget only.
type series struct {
	name, pruner string
	lines        []Line
}

// seriesOf groups the lines; the full cache is no series but a level.
func (t Table) seriesOf() (all []series, full *Line) {
	for _, l := range t.Lines {
		if l.Pruner == "full" {
			full = &l
			continue
		}
		var words []string
		for _, w := range strings.Fields(l.Variant) {
			if !strings.HasPrefix(w, "budget=") {
				words = append(words, w)
			}
		}
		name := strings.Join(words, " ")
		at := slices.IndexFunc(all, func(s series) bool { return s.name == name })
		if at < 0 {
			all = append(all, series{name: name, pruner: l.Pruner})
			at = len(all) - 1
		}
		all[at].lines = append(all[at].lines, l)
	}
	return all, full
}

const (
	panelWidth  = 2.6 * vg.Inch
	panelHeight = 2.0 * vg.Inch
	legendWidth = 92.0 // points
	mostColumns = 3
)

// drawAll draws the panels beside and below each other, the legend at the right,
// as PNG, SVG and PDF.
func drawAll(out map[string][]byte, name string, t Table, panels []panel) error {
	columns := min(len(panels), mostColumns)
	lines := (len(panels) + columns - 1) / columns
	w, h := vg.Length(columns)*panelWidth+legendWidth, vg.Length(lines)*panelHeight
	png := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(300))
	svg := vgsvg.New(w, h)
	pdf := vgpdf.New(w, h)
	pdf.EmbedFonts(true)
	for _, canvas := range []vg.CanvasSizer{png, svg, pdf} {
		if err := drawPanels(draw.New(canvas), t, panels, columns); err != nil {
			return fmt.Errorf("drawing %s: %w", name, err)
		}
	}
	var buf bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: png}).WriteTo(&buf); err != nil {
		return fmt.Errorf("encoding %s.png: %w", name, err)
	}
	out[name+".png"] = bytes.Clone(buf.Bytes())
	buf.Reset()
	if _, err := svg.WriteTo(&buf); err != nil {
		return fmt.Errorf("encoding %s.svg: %w", name, err)
	}
	out[name+".svg"] = bytes.Clone(buf.Bytes())
	buf.Reset()
	if _, err := pdf.WriteTo(&buf); err != nil {
		return fmt.Errorf("encoding %s.pdf: %w", name, err)
	}
	out[name+".pdf"] = undated(buf.Bytes())
	return nil
}

var pdfDate = regexp.MustCompile(`\(D:\d{14}[^)]*\)`)

// undated replaces the time in a PDF by a fixed one of the same length, so that
// the same rows give the same bytes and the file's offsets stay right.
func undated(pdf []byte) []byte {
	return pdfDate.ReplaceAllFunc(pdf, func(date []byte) []byte {
		fixed := []byte("(D:20000101000000")
		return append(fixed, date[len(fixed):]...)
	})
}

func drawPanels(c draw.Canvas, t Table, panels []panel, columns int) error {
	all, full := t.seriesOf()
	legend := plot.NewLegend()
	for i, p := range panels {
		drawn, err := drawPanel(p, all, full, &legend, i == 0)
		if err != nil {
			return err
		}
		left := vg.Length(i%columns) * panelWidth
		top := vg.Length(i/columns) * panelHeight
		width, height := c.Max.X-c.Min.X, c.Max.Y-c.Min.Y
		drawn.Draw(draw.Crop(c, left+2, left+panelWidth-width-8, height-top-panelHeight+2, -top-3))
	}
	legend.Top, legend.Left, legend.ThumbnailWidth, legend.Padding = true, true, 18, 1.5
	legend.TextStyle, legend.YPosition = newPlot("", "", "").Legend.TextStyle, draw.PosCenter
	legend.Draw(draw.Crop(c, vg.Length(columns)*panelWidth+2, 0, 0, -14))
	return nil
}

// drawPanel draws score against budget. A method with fixed budgets is a curve;
// one that chooses its budget is a point with the spread of its choice; the full
// cache is a level.
func drawPanel(p panel, all []series, full *Line, legend *plot.Legend, withLegend bool) (*plot.Plot, error) {
	out := newPlot(p.title, "KV cache kept (%)", "score")
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color, grid.Horizontal.Width = nil, color.Gray{225}, 0.4
	out.Add(grid)
	low, high := math.Inf(1), math.Inf(-1)
	see := func(y float64) { low, high = min(low, y), max(high, y) }
	if full != nil && p.cells(*full).Records > 0 {
		y := p.cells(*full).Score
		see(y)
		level, err := plotter.NewLine(plotter.XYs{{X: 0, Y: y}, {X: 100, Y: y}})
		if err != nil {
			return nil, err
		}
		level.Width, level.Color, level.Dashes = 1, color.Gray{110}, []vg.Length{3, 2}
		out.Add(level)
		if withLegend {
			legend.Add("full", level)
		}
	}
	taken := map[string]int{}
	for _, s := range all {
		at := place(s.pruner)
		look := at + taken[s.pruner] // further settings of a method share its colour
		taken[s.pruner]++
		var xys plotter.XYs
		var spread plotter.XErrors
		for _, l := range s.lines {
			if c := p.cells(l); c.Records > 0 {
				xys = append(xys, plotter.XY{X: c.Budget, Y: c.Score})
				spread = append(spread, struct{ Low, High float64 }{min(c.Spread, c.Budget), min(c.Spread, 100-c.Budget)})
				see(c.Score)
			}
		}
		if len(xys) == 0 {
			continue
		}
		thumbs, err := addSeries(out, xys, spread, palette[at%len(palette)], look)
		if err != nil {
			return nil, err
		}
		if withLegend {
			legend.Add(s.name, thumbs...)
		}
	}
	out.X.Min, out.X.Max = 0, 103
	out.X.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 20, Label: "20"}, {Value: 40, Label: "40"}, {Value: 60, Label: "60"}, {Value: 80, Label: "80"}, {Value: 100, Label: "100"}}
	out.Y.Min, out.Y.Max, out.Y.Tick.Marker = scale(low, high)
	return out, nil
}

// addSeries adds a curve through the points, or a single point with its spread.
func addSeries(p *plot.Plot, xys plotter.XYs, spread plotter.XErrors, c color.Color, look int) ([]plot.Thumbnailer, error) {
	order := make([]int, len(xys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case xys[a].X < xys[b].X:
			return -1
		case xys[a].X > xys[b].X:
			return 1
		}
		return 0
	})
	sorted := make(plotter.XYs, len(xys))
	for i, k := range order {
		sorted[i] = xys[k]
	}
	points, err := plotter.NewScatter(sorted)
	if err != nil {
		return nil, err
	}
	points.Color, points.Radius, points.Shape = c, 2.2, glyphs[look%len(glyphs)]
	if len(sorted) == 1 {
		bars, err := plotter.NewXErrorBars(struct {
			plotter.XYs
			plotter.XErrors
		}{sorted, spread})
		if err != nil {
			return nil, err
		}
		bars.Color, bars.Width, bars.CapWidth = c, 0.6, 3
		points.Radius = 3
		p.Add(bars, points)
		return []plot.Thumbnailer{points}, nil
	}
	line, err := plotter.NewLine(sorted)
	if err != nil {
		return nil, err
	}
	line.Color, line.Width, line.Dashes = c, 1, dashes[look%len(dashes)]
	p.Add(line, points)
	return []plot.Thumbnailer{line, points}, nil
}

// scale is the range of an axis of scores, with its ticks at round values.
func scale(low, high float64) (from, to float64, ticks plot.ConstantTicks) {
	if low > high {
		low, high = 0, 100
	}
	if high-low < 1 {
		low, high = low-0.5, high+0.5
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/2)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*m) <= 5 {
			step *= m
			break
		}
	}
	from = max(math.Floor(low/step-0.2)*step, min(0, low))
	to = math.Ceil(high/step+0.05) * step
	if from == 0 {
		from = -0.02 * to // a glyph at 0 stays whole
	}
	digits := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	for i := math.Ceil(from / step); i*step <= to+1e-9; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: fmt.Sprintf("%.*f", digits, i*step)})
	}
	return from, to, ticks
}
