package reports

import (
	"cmp"
	"fmt"
	"slices"

	"refreekv/runners/rows"
)

// latencyCharts draw, for every model, times and memory against the length of the
// prompt, from runs that measured each variant by itself.
func latencyCharts(all []rows.Row) []chart {
	var alone []rows.Row
	for _, own := range groupBy(all, func(r rows.Row) string { return r.Model }) {
		own = slices.DeleteFunc(slices.Clone(own), func(r rows.Row) bool { return !usable(r) })
		if isolated(own) {
			alone = append(alone, own...)
		}
	}
	models := groupBy(alone, func(r rows.Row) string { return r.Model })
	var names []string
	for _, own := range models {
		names = append(names, own[0].Model)
	}
	suffix := suffixes(names, func(_ int, model string) string { return "-" + fileName(model) })
	var out []chart
	for i, own := range models {
		if c, ok := latencyChart(own); ok {
			c.name += suffix[i]
			out = append(out, c)
		}
	}
	return out
}

// isolated tells whether each variant had a prefill of its own: then no two of a
// record took the same time for it, or the memory of each is known.
func isolated(own []rows.Row) bool {
	type record struct {
		task          string
		index, length int
	}
	prefills := map[record]map[float64]int{}
	for _, r := range own {
		if r.Timing.Peak > 0 {
			return true
		}
		at := record{r.Task, r.Index, r.ContextLength}
		if prefills[at] == nil {
			prefills[at] = map[float64]int{}
		}
		prefills[at][r.Timing.Prefill]++
	}
	several := false
	for _, times := range prefills {
		for _, n := range times {
			if n > 1 {
				return false
			}
		}
		several = several || len(times) > 1
	}
	return several
}

// latencyChart is one model's; false where all prompts are equally long.
func latencyChart(own []rows.Row) (chart, bool) {
	if len(clusters(own)) < 2 {
		return chart{}, false
	}
	var variants []Line
	for _, mine := range groupBy(own, func(r rows.Row) string { return r.Variant }) {
		variants = append(variants, Line{Variant: mine[0].Variant, Pruner: mine[0].Pruner})
	}
	// The full cache has a line too: its times are no level.
	all := apart(variants)
	var lengths span
	draw := func(label string, log bool, value func(rows.Row) (float64, bool)) panel {
		p, seen := panel{}, span{}
		for _, s := range all {
			m := mark{name: s.name, look: s.look, line: true}
			var mine []rows.Row
			for _, r := range own {
				if r.Variant == s.lines[0].Variant {
					mine = append(mine, r)
				}
			}
			for _, near := range clusters(mine) {
				var values, tokens []float64
				for _, r := range near {
					if v, ok := value(r); ok && finite(v) {
						values, tokens = append(values, v), append(tokens, float64(r.PromptTokens))
					}
				}
				if len(values) == 0 {
					continue
				}
				x, _ := meanAndSpread(tokens)
				lengths.see(x)
				seen.see(median(values))
				m.points = append(m.points, point{x: x, y: median(values)})
			}
			slices.SortStableFunc(m.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
			p.marks = append(p.marks, m)
		}
		p.y = seen.fromZero(label)
		if log {
			p.y = seen.logAxis(label)
		}
		return p
	}
	positive := func(v float64) (float64, bool) { return v, v > 0 }
	panels := []panel{
		draw("prefill (s)", false, func(r rows.Row) (float64, bool) { return positive(r.Timing.Prefill) }),
		draw("selection (s)", true, func(r rows.Row) (float64, bool) { return positive(r.Timing.Select) }),
		draw("decode (ms/token)", false, func(r rows.Row) (float64, bool) {
			return 1000 * r.Timing.Decode / float64(max(len(r.Tokens), 1)), len(r.Tokens) > 0 && r.Timing.Decode > 0
		}),
		draw("peak memory (GB)", false, func(r rows.Row) (float64, bool) { return float64(r.Timing.Peak) / 1e9, r.Timing.Peak > 0 }),
	}
	panels = slices.DeleteFunc(panels, func(p panel) bool {
		return !slices.ContainsFunc(p.marks, func(m mark) bool { return len(m.points) > 0 })
	})
	for i := range panels {
		panels[i].x = lengths.fromZero("prompt (tokens)")
	}
	records := map[string]bool{}
	for _, r := range own {
		records[fmt.Sprint(r.Task, r.Index, r.ContextLength)] = true
	}
	c := multiples("latency-against-length", fmt.Sprintf("Time and memory of each method by itself against the length of the prompt; medians over prompts of about one length. %s, %s.", own[0].Model, count(len(records), "record")), panels)
	c.columns = len(panels)
	for _, m := range panels[0].marks {
		c.key = append(c.key, m.keyEntry(m.name))
	}
	return c, len(panels) > 0
}
