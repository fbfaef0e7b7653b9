package reports

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"refreekv/reports/stats"
	"refreekv/runners/rows"
)

// A group is the rows of a variant, drawn in a panel of its own.
type group struct {
	line Line
	look look
	rows []rows.Row
}

// groups are the variants that a figure is about, at most most of them.
func (t Table) groups(mine []rows.Row, most int, wanted func(Line, []rows.Row) bool) []group {
	all, _ := t.seriesOf()
	var out []group
	for _, s := range all {
		for _, l := range s.lines {
			var own []rows.Row
			for _, r := range mine {
				if r.Variant == l.Variant {
					own = append(own, r)
				}
			}
			if len(own) > 0 && wanted(l, own) && len(out) < most {
				out = append(out, group{l, s.look, own})
			}
		}
	}
	return out
}

const mostPanels = 12

// budgetCharts draw the budgets that methods choose: their distribution on each
// task, over the prompts' lengths and over layers.
func (t Table) budgetCharts(mine []rows.Row) []chart {
	chosen := t.groups(mine, mostPanels, func(l Line, _ []rows.Row) bool { return l.chooses() })
	var out []chart
	if len(chosen) > 0 {
		out = append(out, t.budgetByTask(chosen))
	}
	lengths := map[int]bool{}
	for _, g := range chosen {
		for _, r := range g.rows {
			lengths[r.PromptTokens] = true
		}
	}
	if len(lengths) > 1 {
		out = append(out, budgetAgainstLength(chosen))
	}
	if uneven := t.groups(mine, mostPanels, func(_ Line, own []rows.Row) bool { return differByLayer(own) }); len(uneven) > 0 {
		out = append(out, budgetByLayer(uneven))
	}
	return out
}

// budgetByTask has a box for every task, a panel for every method.
func (t Table) budgetByTask(chosen []group) chart {
	var panels []panel
	columns := columnsFor(len(chosen))
	for i, g := range chosen {
		p := panel{title: g.line.Variant, x: keptAxis(len(chosen) == 1), y: axis{low: -0.6, high: float64(len(t.Tasks)) - 0.4, noGrid: true}}
		for k, task := range t.Tasks {
			at := float64(len(t.Tasks) - 1 - k)
			name := ""
			if i%columns == 0 {
				name = fit(newPlot("", "", "").Y.Tick.Label, task, 1.2*vg.Inch)
			}
			p.y.ticks = append(p.y.ticks, plot.Tick{Value: at, Label: name})
			b := box{look: g.look, at: at}
			for _, r := range g.rows {
				if r.Task == task {
					b.values = append(b.values, 100*r.Budget)
				}
			}
			if len(b.values) > 0 {
				p.boxes = append(p.boxes, b)
			}
		}
		panels = append(panels, p)
	}
	c := multiples("budget-by-task", "Share of the KV cache that methods without a fixed budget keep, over the records of each task: median, middle half and extremes, with a dot for each record where they are few.", panels)
	c.height = vg.Length(len(t.Tasks))*13 + 36
	return c
}

// budgetAgainstLength has a dot for every record, a panel for every method.
func budgetAgainstLength(chosen []group) chart {
	var lengths span
	for _, g := range chosen {
		for _, r := range g.rows {
			lengths.see(float64(r.PromptTokens))
		}
	}
	var panels []panel
	for _, g := range chosen {
		p := panel{title: g.line.Variant, x: lengths.logAxis("prompt (tokens)"), y: keptAxis(false)}
		// Rings show how many dots there are where they meet.
		m := mark{name: g.line.Variant, look: look{colour: g.look.colour, glyph: ringGlyph}, small: true}
		for _, r := range g.rows {
			m.points = append(m.points, point{x: float64(r.PromptTokens), y: 100 * r.Budget})
		}
		m.points = thinned(m.points, mostPoints)
		p.y.low = -3
		p.marks = []mark{m}
		panels = append(panels, p)
	}
	return multiples("budget-against-length", "Share of the KV cache that methods without a fixed budget keep, against the length of the prompt; a dot for each record (a thousand at most).", panels)
}

// mostPoints is how many dots a panel shows: a vector file of more is slow.
const mostPoints = 1000

// thinned takes every n-th point so that at most most are left.
func thinned(points []point, most int) []point {
	step := (len(points) + most - 1) / most
	if step < 2 {
		return points
	}
	var out []point
	for i := 0; i < len(points); i += step {
		out = append(out, points[i])
	}
	return out
}

// layerShares are the kept shares in percent of each layer, [layers][records]
// ascending, of the rows with as many layers as the first.
func layerShares(own []rows.Row) [][]float64 {
	out := make([][]float64, len(own[0].Kept))
	for _, r := range own {
		if len(r.Kept) != len(out) || r.PromptTokens == 0 {
			continue
		}
		for l, kept := range r.Kept {
			out[l] = append(out[l], 100*kept/float64(r.PromptTokens))
		}
	}
	for _, shares := range out {
		slices.Sort(shares)
	}
	return out
}

// differByLayer tells whether a variant keeps more of some layers than of others.
func differByLayer(own []rows.Row) bool {
	var means span
	for _, shares := range layerShares(own) {
		if len(shares) == 0 {
			return false
		}
		mean, _ := meanAndSpread(shares)
		means.see(mean)
	}
	return means.any && means.high-means.low > 1
}

// budgetByLayer has a line for the mean over the records and a band for their
// middle half, a panel for every variant.
func budgetByLayer(uneven []group) chart {
	var panels []panel
	for _, g := range uneven {
		shares := layerShares(g.rows)
		last := float64(len(shares) - 1)
		p := panel{title: g.line.Variant, x: axis{label: "layer", low: -0.5, high: last + 0.5}, y: keptAxis(false)}
		p.y.low = -3
		for l := 0; l < len(shares); l += roundStep(len(shares), 6) {
			p.x.ticks = append(p.x.ticks, plot.Tick{Value: float64(l), Label: shortNumber(float64(l))})
		}
		m := mark{name: g.line.Variant, look: look{colour: g.look.colour}, line: true, bare: true}
		for l, own := range shares {
			mean, _ := meanAndSpread(own)
			m.points = append(m.points, point{x: float64(l), y: mean, low: stats.Quantile(own, 0.25), high: stats.Quantile(own, 0.75)})
		}
		p.marks = []mark{m}
		panels = append(panels, p)
	}
	return multiples("budget-by-layer", "Share of each layer's KV cache that is kept, for methods whose layers differ: mean over the records and their middle half.", panels)
}

// clusters groups rows whose prompts are about equally long: within a tenth of
// the shortest of them. Ascending in length.
func clusters(own []rows.Row) [][]rows.Row {
	sorted := slices.SortedStableFunc(slices.Values(own), func(a, b rows.Row) int { return cmp.Compare(a.PromptTokens, b.PromptTokens) })
	var out [][]rows.Row
	for _, r := range sorted {
		if n := len(out); n > 0 && float64(r.PromptTokens) <= 1.1*float64(out[n-1][0].PromptTokens) {
			out[n-1] = append(out[n-1], r)
			continue
		}
		out = append(out, []rows.Row{r})
	}
	return out
}

// median is the middle of values; NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return stats.Quantile(slices.Sorted(slices.Values(values)), 0.5)
}
