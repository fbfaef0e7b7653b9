package reports

import (
	"cmp"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A chart is what a figure shows, before it is drawn: panels beside and below
// each other and the legend under them.
type chart struct {
	name, caption string
	panels        []panel
	columns       int       // of panels
	wide          bool      // over the page, not one of its columns
	height        vg.Length // of a panel
	key           []keyEntry
	scale         string // what the colours of cells mean; "": there are none
}

// A panel is one plot.
type panel struct {
	blank bool // only fills a place
	title string
	x, y  axis
	level *float64 // the full cache's, a line across
	marks []mark
	boxes []box
	cells *cells
}

// An axis says what is drawn along it, and from where to where.
type axis struct {
	label     string
	low, high float64
	log       bool
	ticks     plot.ConstantTicks
	noGrid    bool
}

// A mark is a series in a panel.
type mark struct {
	name   string
	look   look
	points []point // ascending in x
	line   bool    // joins the points
	bare   bool    // has no glyphs
	bars   bool    // low and high are bars, not a band
	aside  float64 // how far the bars stand beside their points, so that none hides another
	small  bool    // has small glyphs: there are many
}

// A point is a value with what it varies by: half-widths of its bars, or the ends
// of a band about it.
type point struct {
	x, y      float64
	spread    float64 // of x, to both sides
	low, high float64 // of y: the ends of a band, or of bars; nothing where they are equal
}

// A box is a distribution along x: its quartiles, extremes, and values.
type box struct {
	look   look
	at     float64 // on the y axis
	values []float64
}

const (
	columnWidth = 3.3 * vg.Inch
	pageWidth   = 6.9 * vg.Inch
	panelGap    = 8.0 // points between panels
	edge        = 3.0 // points between a figure's edge and what is drawn
)

func (c chart) width() vg.Length {
	if c.wide {
		return pageWidth
	}
	return columnWidth
}

// figure lays the chart out.
func (c chart) figure() Figure {
	w := c.width()
	lines := (len(c.panels) + c.columns - 1) / c.columns
	key := newKeyBox(c.key, w-2*edge)
	labelX, labelY := c.shared()
	below := key.height()
	if labelX != "" {
		below += labelRoom
	}
	h := 2*edge + vg.Length(lines)*c.height + vg.Length(lines-1)*panelGap + below
	return Figure{Name: c.name, Caption: c.caption, w: w, h: h, paint: func(canvas draw.Canvas) error {
		plots := make([][]*plot.Plot, lines)
		for r := range plots {
			plots[r] = make([]*plot.Plot, c.columns)
		}
		style := newPlot("", "", "").X.Label.TextStyle
		area := draw.Crop(canvas, edge, -edge, edge+below, -edge)
		if labelY != "" {
			area.Min.X += labelRoom
		}
		if c.scale != "" {
			area.Max.X -= scaleWidth
		}
		room := (area.Size().X - vg.Length(c.columns-1)*panelGap) / vg.Length(c.columns)
		panels := c.outer()
		for i, p := range panels {
			if p.blank {
				continue
			}
			var err error
			if plots[i/c.columns][i%c.columns], err = p.plot(room); err != nil {
				return err
			}
		}
		areas := align(plots, panels, area)
		style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
		for i, panel := range panels {
			p := plots[i/c.columns][i%c.columns]
			if p == nil {
				continue
			}
			data := draw.Canvas{Canvas: canvas.Canvas, Rectangle: areas[i/c.columns][i%c.columns]}
			p.X.Tick.Marker = panel.x.fitting(p.X.Tick.Label, data.Size().X)
			own := around(p, data)
			p.Draw(own)
			drawLabel(canvas, style, panel.x.label, vg.Point{X: data.Center().X, Y: own.Min.Y - labelRoom*0.55}, 0, data.Size().X+30)
			drawLabel(canvas, style, panel.y.label, vg.Point{X: own.Min.X - labelRoom*0.75, Y: data.Center().Y}, quarter, data.Size().Y+30)
		}
		right := c.columns - 1
		for plots[0][right] == nil {
			right--
		}
		first, last, lowest := areas[0][0], areas[0][right], areas[lines-1][0]
		drawLabel(canvas, style, labelX, vg.Point{X: (first.Min.X + last.Max.X) / 2, Y: area.Min.Y - labelRoom/2}, 0, w)
		drawLabel(canvas, style, labelY, vg.Point{X: canvas.Min.X + edge + labelRoom*0.4, Y: (lowest.Min.Y + first.Max.Y) / 2}, quarter, h)
		if c.scale != "" {
			if err := c.drawScale(canvas, draw.Canvas{Canvas: canvas.Canvas, Rectangle: first}); err != nil {
				return err
			}
		}
		key.draw(canvas, canvas.Min.X+edge, canvas.Min.Y+edge+key.height())
		return nil
	}}
}

// drawLabel writes a label about a point, unless it is empty. The plots' own labels
// would not do: they leave room for one on a logarithmic axis in the wrong place.
func drawLabel(c draw.Canvas, style text.Style, label string, at vg.Point, rotation float64, room vg.Length) {
	if label == "" {
		return
	}
	label = fit(style, label, room)
	style.Rotation = rotation
	c.FillText(style, at, label)
}

// align gives every plot the rectangle of its data: all of one size, in line with
// those beside and below, and far enough apart for what stands around them.
func align(plots [][]*plot.Plot, panels []panel, area draw.Canvas) [][]vg.Rectangle {
	lines, columns := len(plots), len(plots[0])
	left, right := make([]vg.Length, columns), make([]vg.Length, columns)
	above, below := make([]vg.Length, lines), make([]vg.Length, lines)
	tile := draw.Tiles{Rows: lines, Cols: columns, PadX: panelGap, PadY: panelGap}
	for r, row := range plots {
		for k, p := range row {
			if p == nil {
				continue
			}
			m := margins(p, tile.At(area, k, r))
			if panels[r*columns+k].y.label != "" {
				m.left += labelRoom
			}
			if panels[r*columns+k].x.label != "" {
				m.below += labelRoom
			}
			left[k], right[k] = max(left[k], m.left), max(right[k], m.right)
			above[r], below[r] = max(above[r], m.above), max(below[r], m.below)
		}
	}
	w, h := area.Size().X-vg.Length(columns-1)*panelGap, area.Size().Y-vg.Length(lines-1)*panelGap
	for k := range columns {
		w -= left[k] + right[k]
	}
	for r := range lines {
		h -= above[r] + below[r]
	}
	w, h = w/vg.Length(columns), h/vg.Length(lines)
	out := make([][]vg.Rectangle, lines)
	y := area.Max.Y
	for r := range lines {
		y -= above[r]
		x := area.Min.X
		for k := range columns {
			x += left[k]
			out[r] = append(out[r], vg.Rectangle{Min: vg.Point{X: x, Y: y - h}, Max: vg.Point{X: x + w, Y: y}})
			x += w + right[k] + panelGap
		}
		y -= h + below[r] + panelGap
	}
	return out
}

// margin is what stands around a plot's data: title, labels, ticks.
type margin struct{ left, right, above, below vg.Length }

func margins(p *plot.Plot, c draw.Canvas) margin {
	data := p.DataCanvas(c)
	return margin{data.Min.X - c.Min.X, c.Max.X - data.Max.X, c.Max.Y - data.Max.Y, data.Min.Y - c.Min.Y}
}

// around is the canvas on which a plot's data fill the given one.
func around(p *plot.Plot, data draw.Canvas) draw.Canvas {
	out := data
	for range 3 { // what stands around depends a little on the size
		m := margins(p, out)
		out = draw.Crop(data, -m.left, m.right, -m.below, m.above)
	}
	return out
}

// shared are the labels that all panels have in common, and that are therefore
// written once.
func (c chart) shared() (x, y string) {
	if len(c.panels) < 2 {
		return "", ""
	}
	x, y = c.panels[0].x.label, c.panels[0].y.label
	for _, p := range c.panels {
		if p.x.label != x && !p.blank {
			x = ""
		}
		if p.y.label != y && !p.blank {
			y = ""
		}
	}
	return x, y
}

// outer are the panels with each label only where it is needed: on the left one
// of a line of panels that have the same, and nowhere if it is shared by all.
func (c chart) outer() []panel {
	x, y := c.shared()
	out := slices.Clone(c.panels)
	for i := range out {
		if x != "" {
			out[i].x.label = ""
		}
		left := i - i%c.columns
		line := c.panels[left:min(left+c.columns, len(c.panels))]
		same := !slices.ContainsFunc(line, func(p panel) bool { return !p.blank && p.y.label != line[0].y.label })
		if y != "" || same && i > left {
			out[i].y.label = ""
		}
	}
	return out
}

// plot draws the panel's content; room is its width.
func (p panel) plot(room vg.Length) (*plot.Plot, error) {
	out := newPlot("", "", "")
	out.BackgroundColor = nil // it would cover what stands beside
	out.Title.Text = fit(out.Title.TextStyle, p.title, room-12)
	p.x.set(&out.X)
	p.y.set(&out.Y)
	if p.cells != nil {
		return out, p.cells.add(out)
	}
	out.Add(p.grid())
	for _, m := range p.marks {
		if err := m.addBand(out); err != nil {
			return nil, err
		}
	}
	if p.level != nil {
		level, err := plotter.NewLine(plotter.XYs{{X: p.x.low, Y: *p.level}, {X: p.x.high, Y: *p.level}})
		if err != nil {
			return nil, err
		}
		level.LineStyle = fullLevel
		out.Add(level)
	}
	for _, m := range p.marks {
		if err := m.add(out); err != nil {
			return nil, err
		}
	}
	for _, b := range p.boxes {
		out.Add(b)
	}
	return out, nil
}

func (p panel) grid() *plotter.Grid {
	g := plotter.NewGrid()
	for _, line := range []*draw.LineStyle{&g.Vertical, &g.Horizontal} {
		line.Color, line.Width = color.Gray{225}, 0.4
	}
	if p.x.noGrid {
		g.Vertical.Color = nil
	}
	if p.y.noGrid {
		g.Horizontal.Color = nil
	}
	return g
}

// set makes a plot's axis this one.
func (a axis) set(to *plot.Axis) {
	to.Min, to.Max, to.Tick.Marker = a.low, a.high, a.ticks
	if a.log {
		to.Scale = plot.LogScale{}
	}
	if len(a.ticks) == 0 {
		to.Tick.Length = 0
	}
}

// addBand adds the area between the points' low and high ends.
func (m mark) addBand(p *plot.Plot) error {
	if m.bars || !slices.ContainsFunc(m.points, func(at point) bool { return at.high > at.low }) {
		return nil
	}
	var around plotter.XYs
	for _, at := range m.points {
		around = append(around, plotter.XY{X: at.x, Y: at.high})
	}
	for _, at := range slices.Backward(m.points) {
		around = append(around, plotter.XY{X: at.x, Y: at.low})
	}
	band, err := plotter.NewPolygon(around)
	if err != nil {
		return err
	}
	band.Color, band.LineStyle.Width = tint(palette[m.look.colour]), 0
	p.Add(band)
	return nil
}

// add adds the points, joined by a line or each with the spread of its x.
func (m mark) add(p *plot.Plot) error {
	if len(m.points) == 0 {
		return nil
	}
	points := slices.SortedStableFunc(slices.Values(m.points), func(a, b point) int { return cmp.Compare(a.x, b.x) })
	xys := make(plotter.XYs, len(points))
	bars := plotter.XErrors{}
	spread := false
	for i, at := range points {
		xys[i] = plotter.XY{X: at.x, Y: at.y}
		bars = append(bars, struct{ Low, High float64 }{min(at.spread, max(at.x-p.X.Min, 0)), min(at.spread, max(100-at.x, 0))})
		spread = spread || at.spread > 0
	}
	marks, err := plotter.NewScatter(xys)
	if err != nil {
		return err
	}
	marks.GlyphStyle = m.glyph()
	if m.bars {
		if err := m.addBars(p); err != nil {
			return err
		}
	}
	if spread {
		errors, err := plotter.NewXErrorBars(struct {
			plotter.XYs
			plotter.XErrors
		}{xys, bars})
		if err != nil {
			return err
		}
		errors.Color, errors.Width, errors.CapWidth = marks.Color, 0.6, 3
		p.Add(errors)
	}
	if m.line && len(points) > 1 {
		line, err := plotter.NewLine(xys)
		if err != nil {
			return err
		}
		line.LineStyle = m.look.lineStyle()
		p.Add(line)
	}
	if !m.bare || len(points) == 1 {
		p.Add(marks)
	}
	return nil
}

// addBars adds a bar from low to high at each point that has one.
func (m mark) addBars(p *plot.Plot) error {
	for _, at := range m.points {
		if at.high <= at.low {
			continue
		}
		bar, err := plotter.NewLine(plotter.XYs{{X: at.x + m.aside, Y: at.low}, {X: at.x + m.aside, Y: at.high}})
		if err != nil {
			return err
		}
		bar.Color, bar.Width = palette[m.look.colour], 0.5
		p.Add(bar)
	}
	return nil
}

// glyph is how the mark's points are drawn: one that stands alone is larger.
func (m mark) glyph() draw.GlyphStyle {
	g := m.look.glyphStyle()
	switch {
	case m.small:
		g.Radius *= 0.7
	case !m.line || len(m.points) == 1:
		g.Radius *= 1.3
	}
	return g
}

// keyEntry is the mark's line in a legend.
func (m mark) keyEntry(name string) keyEntry {
	glyph, line := m.glyph(), m.look.lineStyle()
	e := keyEntry{text: name}
	if !m.bare {
		e.glyph = &glyph
	}
	if m.line {
		e.line = &line
	}
	return e
}
