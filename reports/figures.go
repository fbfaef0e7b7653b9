package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"path"
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

// figurePrefix begins the names of all figures.
const figurePrefix = "score-against-budget"

// figures draws all figures; the keys are file names. A table without any result
// has none.
func figures(s Summary) (map[string][]byte, error) {
	out := map[string][]byte{}
	for i, t := range s.Tables {
		if !slices.ContainsFunc(t.Lines, func(l Line) bool { return l.Average.Records > 0 }) {
			continue
		}
		suffix := s.figureSuffix(i)
		mean := panel{title: path.Base(t.Model), y: "mean score", cells: func(l Line) Cell { return l.Average }}
		if len(t.Tasks) == 1 {
			mean.y = "score on " + t.Tasks[0]
		}
		if err := drawAll(out, figurePrefix+suffix, t, []panel{mean}); err != nil {
			return nil, err
		}
		if len(t.Tasks) < 2 {
			continue
		}
		var each []panel
		for k, task := range t.Tasks {
			each = append(each, panel{title: task, y: "score", cells: func(l Line) Cell { return l.Cells[k] }})
		}
		if err := drawAll(out, figurePrefix+"-by-task"+suffix, t, each); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func fileName(s string) string { return strings.Trim(notInFileNames.ReplaceAllString(s, "-"), "-.") }

// figureSuffix tells the figures of table i from those of the others.
func (s Summary) figureSuffix(i int) string {
	if len(s.Tables) == 1 {
		return ""
	}
	own := func(t Table, model func(string) string) string {
		return fmt.Sprintf("-%s-%d", fileName(model(t.Model)), t.ContextLength)
	}
	// The short name does unless two models share it.
	for _, model := range []func(string) string{path.Base, func(m string) string { return m }} {
		suffix := own(s.Tables[i], model)
		if !slices.ContainsFunc(s.Tables[:i], func(t Table) bool { return own(t, model) == suffix }) &&
			!slices.ContainsFunc(s.Tables[i+1:], func(t Table) bool { return own(t, model) == suffix }) {
			return suffix
		}
	}
	return fmt.Sprintf("%s-%d", own(s.Tables[i], path.Base), i+1)
}

// A panel is one plot of a figure: the whole table, or one task of it.
type panel struct {
	title, y string
	cells    func(Line) Cell
}

// A series is the variants of a table that differ in budget only.
type series struct {
	name, pruner string
	lines        []Line
	look         look
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
	for i, look := range looksOf(all) {
		all[i].look = look
	}
	return all, full
}

const (
	panelWidth  = 2.6 * vg.Inch
	panelHeight = 2.0 * vg.Inch
	mostColumns = 3
)

// drawAll draws the panels beside and below each other, the legend at the right,
// as PNG, SVG and PDF.
func drawAll(out map[string][]byte, name string, t Table, panels []panel) error {
	lines := (len(panels) + mostColumns - 1) / mostColumns
	columns := (len(panels) + lines - 1) / lines // as even as can be: four are two and two
	all, full := t.seriesOf()
	key := legendOf(all, full)
	w := vg.Length(columns)*panelWidth + key.width()
	h := max(vg.Length(lines)*panelHeight, key.height())
	for _, format := range FigureFormats {
		figure, err := drawing(format, w, h, func(c draw.Canvas) error { return drawPanels(c, panels, columns, all, full, key) })
		if err != nil {
			return fmt.Errorf("%s.%s: %w", name, format, err)
		}
		out[name+"."+format] = figure
	}
	return nil
}

// FigureFormats are the kinds of files that figures are written as.
var FigureFormats = []string{"png", "svg", "pdf"}

// IsFigureFormat reports whether figures can be written as a format.
func IsFigureFormat(format string) bool { return slices.Contains(FigureFormats, format) }

// drawing is a figure as a file of a format.
func drawing(format string, w, h vg.Length, paint func(draw.Canvas) error) ([]byte, error) {
	var canvas vg.CanvasWriterTo
	switch format {
	case "png":
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(300))}
	case "svg":
		canvas = vgsvg.New(w, h)
	case "pdf":
		pdf := vgpdf.New(w, h)
		pdf.EmbedFonts(true)
		canvas = pdf
	default:
		return nil, fmt.Errorf("figure format %q is none of %s", format, strings.Join(FigureFormats, ", "))
	}
	c := draw.New(canvas)
	// A vector file is transparent of itself, and black text lost on a dark page.
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	if err := paint(c); err != nil {
		return nil, fmt.Errorf("drawing: %w", err)
	}
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	switch format {
	case "svg":
		return bytes.ReplaceAll(buf.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
	case "pdf":
		return undated(buf.Bytes()), nil
	}
	return buf.Bytes(), nil
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

func drawPanels(c draw.Canvas, panels []panel, columns int, all []series, full *Line, key legendBox) error {
	for i, p := range panels {
		drawn, err := drawPanel(p, all, full)
		if err != nil {
			return err
		}
		left := c.Min.X + vg.Length(i%columns)*panelWidth
		top := c.Max.Y - vg.Length(i/columns)*panelHeight
		drawn.Draw(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: left + 2, Y: top - panelHeight + 2}, Max: vg.Point{X: left + panelWidth - 8, Y: top - 3},
		}})
	}
	key.draw(c, c.Min.X+vg.Length(columns)*panelWidth, c.Max.Y)
	return nil
}

// drawPanel draws score against budget. A method with fixed budgets is a curve;
// one that chooses its budget is a point with the spread of its choice; the full
// cache is a level.
func drawPanel(p panel, all []series, full *Line) (*plot.Plot, error) {
	out := newPlot(p.title, "KV cache kept (%)", p.y)
	out.Title.Text = fit(out.Title.TextStyle, p.title, panelWidth-20)
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
		level.LineStyle = fullLevel
		out.Add(level)
	}
	for _, s := range all {
		var points []point
		for _, l := range s.lines {
			if c := p.cells(l); c.Records > 0 {
				points = append(points, point{c.Budget, c.Score, c.Spread})
				see(c.Score)
			}
		}
		if err := addSeries(out, points, s.look); err != nil {
			return nil, err
		}
	}
	out.X.Min, out.X.Max = 0, 103
	out.X.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 20, Label: "20"}, {Value: 40, Label: "40"}, {Value: 60, Label: "60"}, {Value: 80, Label: "80"}, {Value: 100, Label: "100"}}
	out.Y.Min, out.Y.Max, out.Y.Tick.Marker = scale(low, high)
	return out, nil
}

// A point is one variant in a panel.
type point struct{ budget, score, spread float64 }

// addSeries adds a curve through the points, or a single point with its spread.
func addSeries(p *plot.Plot, points []point, look look) error {
	if len(points) == 0 {
		return nil
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.budget, b.budget) })
	xys := make(plotter.XYs, len(points))
	for i, at := range points {
		xys[i] = plotter.XY{X: at.budget, Y: at.score}
	}
	marks, err := plotter.NewScatter(xys)
	if err != nil {
		return err
	}
	marks.GlyphStyle = look.glyphStyle()
	if len(points) == 1 {
		at := points[0]
		bars, err := plotter.NewXErrorBars(struct {
			plotter.XYs
			plotter.XErrors
		}{xys, plotter.XErrors{{Low: min(at.spread, at.budget), High: min(at.spread, 100-at.budget)}}})
		if err != nil {
			return err
		}
		bars.Color, bars.Width, bars.CapWidth = marks.Color, 0.6, 3
		marks.Radius *= 1.3
		if at.spread > 0 {
			p.Add(bars)
		}
		p.Add(marks)
		return nil
	}
	line, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	line.LineStyle = look.lineStyle()
	p.Add(line, marks)
	return nil
}

// scale is the range of an axis of scores, with its ticks at round values. Ticks
// stay within 0 and 100; the axis goes a little further, so that marks there
// stay whole.
func scale(low, high float64) (from, to float64, ticks plot.ConstantTicks) {
	if low > high {
		low, high = 0, 100
	}
	const least = 2 // a difference that small must not fill the axis
	if short := least - (high - low); short > 0 {
		low, high = low-short/2, high+short/2
	}
	low, high = max(low, 0), min(high, 100)
	step := math.Pow(10, math.Floor(math.Log10((high-low)/2)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*m) <= 5 {
			step *= m
			break
		}
	}
	first, last := math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
	digits := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	for i := first; i <= last; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: fmt.Sprintf("%.*f", digits, i*step)})
	}
	from, to = first*step, last*step
	margin := 0.04 * (to - from)
	return from - margin, to + margin, ticks
}
