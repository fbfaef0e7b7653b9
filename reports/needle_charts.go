package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"refreekv/datasets"
	"refreekv/runners/rows"
)

// A grid names the rows of one heat map: a needle task of a model, at all lengths
// that it was run at.
type grid struct{ model, task string }

// needleCharts draw, for every needle task, how well variants find the needle at
// every depth and length: a panel for each variant.
func needleCharts(all []rows.Row) []chart {
	var found []rows.Row
	for _, r := range all {
		_, deep := r.Labels[datasets.DepthLabel]
		_, long := r.Labels[datasets.LengthLabel]
		if deep && long && usable(r) {
			found = append(found, r)
		}
	}
	grids := groupBy(found, func(r rows.Row) grid { return grid{r.Model, without(r.Task, "length")} })
	var models, tasks []string
	for _, g := range grids {
		models, tasks = append(models, g[0].Model), append(tasks, without(g[0].Task, "length"))
	}
	several := len(slices.Compact(slices.Sorted(slices.Values(tasks)))) > 1
	names := suffixes(models, func(i int, model string) string {
		out := ""
		if several {
			out = "-" + fileName(tasks[i])
		}
		if len(slices.Compact(slices.Sorted(slices.Values(models)))) > 1 {
			out += "-" + fileName(model)
		}
		return out
	})
	var out []chart
	for i, g := range grids {
		if c, ok := needleChart(g); ok {
			c.name += names[i]
			out = append(out, c)
		}
	}
	return out
}

// needleChart is one task's; false where there is one cell only.
func needleChart(mine []rows.Row) (chart, bool) {
	lengths, depths := labelValues(mine, datasets.LengthLabel), labelValues(mine, datasets.DepthLabel)
	if len(lengths)*len(depths) < 2 {
		return chart{}, false
	}
	bins := bins(depths)
	var panels []panel
	records := 0
	for _, own := range groupBy(mine, func(r rows.Row) string { return r.Variant }) {
		if len(panels) == mostPanels {
			break
		}
		records = max(records, len(own))
		panels = append(panels, needlePanel(own, lengths, bins))
	}
	c := multiples("needle", fmt.Sprintf("Score for finding a needle in texts of growing length, at depths from the beginning (0 %%) to the end (100 %%); task %s, %s, %s of each method.",
		without(mine[0].Task, "length"), mine[0].Model, count(records, "record")), panels)
	c.scale = "score"
	for _, p := range c.panels {
		c.height = max(c.height, vg.Length(len(p.cells.values))*8+40)
	}
	c.height = min(c.height, 2.4*vg.Inch)
	return c, true
}

// labelValues are a label's values, ascending.
func labelValues(mine []rows.Row, name string) []float64 {
	var out []float64
	for _, r := range mine {
		out = append(out, r.Labels[name])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// bins are ranges of depths [from, to): the depths themselves, or tenths where
// there are many of them.
func bins(depths []float64) (out [][2]float64) {
	if len(depths) <= 11 {
		for _, d := range depths {
			out = append(out, [2]float64{d, math.Nextafter(d, 2)})
		}
		return out
	}
	for k := range 10 {
		out = append(out, [2]float64{float64(k) / 10, float64(k+1) / 10})
	}
	out[9][1] = math.Inf(1)
	return out
}

func needlePanel(own []rows.Row, lengths []float64, bins [][2]float64) panel {
	values := make([][]float64, len(bins))
	sum := 0.0
	for b, bin := range bins {
		line := make([]float64, len(lengths))
		for k, length := range lengths {
			var scores []float64
			for _, r := range own {
				if d := r.Labels[datasets.DepthLabel]; r.Labels[datasets.LengthLabel] == length && d >= bin[0] && d < bin[1] {
					scores = append(scores, r.Score)
				}
			}
			line[k] = math.NaN()
			if len(scores) > 0 {
				line[k], _ = meanAndSpread(scores)
			}
		}
		values[len(bins)-1-b] = line // the beginning of the text is at the top
	}
	for _, r := range own {
		sum += r.Score
	}
	p := panel{
		title: fmt.Sprintf("%s: %.0f", own[0].Variant, 100*sum/float64(len(own))),
		x:     axis{label: "length (tokens)", high: float64(len(lengths))},
		y:     axis{label: "depth (%)", high: float64(len(bins))},
		cells: &cells{values},
	}
	for k := 0; k < len(lengths); k += roundStep(len(lengths), 5) {
		p.x.ticks = append(p.x.ticks, plot.Tick{Value: float64(k) + 0.5, Label: strings.TrimSuffix(shortNumber(lengths[k]), ".0")})
	}
	for b := 0; b < len(bins); b += roundStep(len(bins), 6) {
		p.y.ticks = append(p.y.ticks, plot.Tick{Value: float64(len(bins)-1-b) + 0.5, Label: fmt.Sprintf("%.0f", 100*bins[b][0])})
	}
	return p
}
