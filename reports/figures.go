package reports

import (
	"fmt"
	"math"
	"path"
	"slices"

	"gonum.org/v1/plot/vg"

	"refreekv/runners/rows"
)

// charts are all figures for which the rows hold what they need.
func charts(s Summary, all []rows.Row) []chart {
	var out []chart
	for i, t := range s.Tables {
		mine := t.ofRows(all)
		if len(mine) == 0 {
			continue
		}
		var own []chart
		own = append(own, t.scoreCharts()...)
		own = append(own, t.fidelityChart()...)
		own = append(own, t.budgetCharts(mine)...)
		own = append(own, t.sweepCharts()...)
		for _, c := range own {
			c.name += s.figureSuffix(i)
			c.caption += fmt.Sprintf(" %s, context length %d, %s.", t.Model, t.ContextLength, count(t.units(mine), "record"))
			out = append(out, c)
		}
	}
	out = append(out, needleCharts(all)...)
	out = append(out, latencyCharts(all)...)
	return append(out, s.sizeChart(all)...)
}

// ofRows are the table's rows that have a result.
func (t Table) ofRows(all []rows.Row) []rows.Row {
	var out []rows.Row
	for _, r := range all {
		if r.Model == t.Model && r.ContextLength == t.ContextLength && usable(r) {
			out = append(out, r)
		}
	}
	return out
}

// usable tells whether a row has a result that can be drawn.
func usable(r rows.Row) bool {
	return r.Error == "" && finite(r.Score) && finite(r.Budget)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// units counts the records among rows.
func (t Table) units(mine []rows.Row) int {
	type unit struct {
		task  string
		index int
	}
	seen := map[unit]bool{}
	for _, r := range mine {
		seen[unit{r.Task, r.Index}] = true
	}
	return len(seen)
}

const (
	singleHeight   = 2.2 * vg.Inch // of a panel that is alone
	multipleHeight = 1.4 * vg.Inch // of small multiples
	stackedHeight  = 1.5 * vg.Inch // of panels below each other
	mostColumns    = 4
)

// columnsFor are as even as can be: five are three and two.
func columnsFor(panels int) int {
	lines := (panels + mostColumns - 1) / mostColumns
	return (panels + lines - 1) / lines
}

// multiples is a chart of panels side by side: one alone takes a column of the
// page, several the page.
func multiples(name, caption string, panels []panel) chart {
	c := chart{name: name, caption: caption, panels: panels, columns: columnsFor(len(panels)), wide: len(panels) > 1, height: multipleHeight}
	if len(panels) == 1 {
		c.height = singleHeight
	}
	return c
}

// scoreCharts draw score against budget: over all tasks, and each task.
func (t Table) scoreCharts() []chart {
	all, full := t.seriesOf()
	mean := t.scorePanel(path.Base(t.Model), "mean score", true, all, full, func(l Line) Cell { return l.Average })
	if len(t.Tasks) == 1 {
		mean.y.label = "score on " + t.Tasks[0]
	}
	single := multiples("score-against-budget", "Mean score over the tasks against the share of the KV cache that is kept; methods that choose their budget stand as points with its standard deviation.", []panel{mean})
	single.key = keyOf(single.panels, all, full)
	tasks := t.drawn()
	if len(tasks) < 2 {
		return []chart{single}
	}
	var each []panel
	for _, k := range tasks {
		each = append(each, t.scorePanel(t.Tasks[k], "score", false, all, full, func(l Line) Cell { return l.Cells[k] }))
	}
	byTask := multiples("score-against-budget-by-task", "Score on each task against the share of the KV cache that is kept.", each)
	byTask.key = keyOf(byTask.panels, all, full)
	return []chart{single, byTask}
}

// drawn are the tasks of which a record ran without error; panels of others would
// be empty.
func (t Table) drawn() (out []int) {
	for k := range t.Tasks {
		if slices.ContainsFunc(t.Lines, func(l Line) bool { return l.Cells[k].Records > 0 }) {
			out = append(out, k)
		}
	}
	return out
}

// scorePanel has a curve for a method with fixed budgets, a point with the spread
// of its choice for one that chooses, and a level for the full cache.
func (t Table) scorePanel(title, y string, wide bool, all []series, full *Line, cells func(Line) Cell) panel {
	p := panel{title: title, x: keptAxis(wide)}
	p.x.noGrid = true
	var scores span
	if full != nil {
		if c := cells(*full); c.Records > 0 && finite(c.Score) {
			p.level = &c.Score
			scores.see(c.Score)
		}
	}
	for i, s := range all {
		m := s.mark(func(l Line) (point, bool) {
			c := cells(l)
			if c.Records == 0 || !finite(c.Score) || !finite(c.Budget) {
				return point{}, false
			}
			scores.see(c.Score)
			at := point{x: c.Budget, y: c.Score}
			if l.chooses() && len(s.lines) == 1 {
				at.spread = c.Spread
			}
			// Small multiples have no room for intervals.
			if b := c.Interval; wide && b != nil && finite(b.Low) && finite(b.High) {
				at.low, at.high = b.Low, b.High
				scores.see(b.Low)
				scores.see(b.High)
			}
			return at, true
		})
		if m.bars = wide; m.line {
			m.aside = 0.7 * (float64(i) - float64(len(all)-1)/2)
		}
		p.marks = append(p.marks, m)
	}
	p.y = scores.scoreAxis(y)
	return p
}

// keyOf is the legend of the series that the panels hold.
func keyOf(panels []panel, all []series, full *Line) []keyEntry {
	var out []keyEntry
	if slices.ContainsFunc(panels, func(p panel) bool { return p.level != nil }) && full != nil {
		out = append(out, fullEntry)
	}
	spread, intervals := false, false
	for i, s := range all {
		drawn := false
		for _, p := range panels {
			drawn = drawn || len(p.marks[i].points) > 0
			spread = spread || slices.ContainsFunc(p.marks[i].points, func(at point) bool { return at.spread > 0 })
			intervals = intervals || p.marks[i].bars && slices.ContainsFunc(p.marks[i].points, func(at point) bool { return at.high > at.low })
		}
		if drawn {
			m := panels[0].marks[i]
			if len(s.lines) > 1 {
				m.points = make([]point, len(s.lines))
			}
			out = append(out, m.keyEntry(s.name))
		}
	}
	if spread {
		out = append(out, keyEntry{text: "horizontal bars: ±1 s.d. of what is kept, over records"})
	}
	if intervals {
		out = append(out, keyEntry{text: "vertical bars: 95 % interval of the score, by bootstrap"})
	}
	return out
}

// fidelityChart draws how near variants stay to the full cache, against budget.
func (t Table) fidelityChart() []chart {
	all, _ := t.seriesOf()
	if !slices.ContainsFunc(t.Lines, func(l Line) bool { return l.Pruner != "full" && l.Average.Fidelity != nil }) {
		return nil
	}
	draw := func(value func(Fidelity) float64) (panel, span) {
		p, seen := panel{x: keptAxis(true)}, span{}
		p.x.noGrid = true
		for _, s := range all {
			p.marks = append(p.marks, s.mark(func(l Line) (point, bool) {
				f, budget := l.fidelity()
				if f == nil || !finite(value(*f)) {
					return point{}, false
				}
				seen.see(value(*f))
				return point{x: budget, y: value(*f)}, true
			}))
		}
		return p, seen
	}
	kl, seenKL := draw(func(f Fidelity) float64 { return f.KL })
	same, seenSame := draw(func(f Fidelity) float64 { return f.Agreement })
	kl.title, kl.y = path.Base(t.Model), seenKL.logAxis("KL divergence (nats)")
	same.y = seenSame.scoreAxis("same top token (%)")
	c := chart{
		name: "fidelity-against-budget", columns: 1, height: stackedHeight, panels: []panel{kl, same},
		caption: "Fidelity to the full cache on its own text against the share of the KV cache that is kept: KL divergence of a prediction, and predictions that prefer the same token; mean over the tasks.",
	}
	c.key = keyOf(c.panels, all, nil)
	return []chart{c}
}

// fidelity is the mean over the tasks that have it, and the mean budget on these.
func (l Line) fidelity() (*Fidelity, float64) {
	var all []Fidelity
	budget := 0.0
	for _, c := range l.Cells {
		if c.Fidelity != nil && finite(c.Budget) {
			all = append(all, *c.Fidelity)
			budget += c.Budget
		}
	}
	if len(all) == 0 {
		return nil, 0
	}
	return meanFidelity(all), budget / float64(len(all))
}
