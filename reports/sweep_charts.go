package reports

import "path"

// sweepCharts draw score, budget and fidelity against a setting that variants
// differ in, such as ReFreeKV's threshold.
func (t Table) sweepCharts() []chart {
	byOption := map[string][]sweep{}
	var options []string
	for _, s := range t.sweeps() {
		if byOption[s.option] == nil {
			options = append(options, s.option)
		}
		byOption[s.option] = append(byOption[s.option], s)
	}
	var out []chart
	for _, option := range options {
		out = append(out, t.sweepChart(option, byOption[option])...)
	}
	return out
}

func (t Table) sweepChart(option string, sweeps []sweep) []chart {
	var all []series
	for _, s := range sweeps {
		all = append(all, series{name: s.name, pruner: s.pruner, lines: s.lines})
	}
	all = looked(all)
	_, full := t.seriesOf()
	// One panel of some figure of the lines.
	draw := func(title string, value func(Line) (float64, bool), y func(span) axis, level bool) panel {
		p := panel{title: title}
		var xs, ys span
		for _, s := range all {
			m := s.mark(func(l Line) (point, bool) {
				x, _ := l.number(option)
				v, ok := value(l)
				if !ok || !finite(v) {
					return point{}, false
				}
				xs.see(x)
				ys.see(v)
				return point{x: x, y: v}, true
			})
			p.marks = append(p.marks, m)
		}
		if full != nil && level {
			if v, ok := value(*full); ok && finite(v) {
				p.level = &v
				ys.see(v)
			}
		}
		p.x, p.y = xs.sweepAxis(option), y(ys)
		return p
	}
	score := func(cells func(Line) Cell) func(Line) (float64, bool) {
		return func(l Line) (float64, bool) { c := cells(l); return c.Score, c.Records > 0 }
	}
	kept := func(cells func(Line) Cell) func(Line) (float64, bool) {
		return func(l Line) (float64, bool) { c := cells(l); return c.Budget, c.Records > 0 }
	}
	fidelity := func(value func(Fidelity) float64) func(Line) (float64, bool) {
		return func(l Line) (float64, bool) {
			if l.Average.Fidelity == nil {
				return 0, false
			}
			return value(*l.Average.Fidelity), true
		}
	}
	average := func(l Line) Cell { return l.Average }
	keptY := func(span) axis { a := keptAxis(false); a.low = -3; return a }
	scoreY := func(s span) axis { return s.scoreAxis("score") }
	name := "sweep-" + fileName(option)
	mean := multiples(name, "Mean score over the tasks, kept share of the KV cache and fidelity to the full cache against "+option+".", []panel{
		draw("", score(average), scoreY, true), draw("", kept(average), keptY, false),
	})
	mean.panels[0].y.label = "mean score"
	if t.compared() {
		mean.panels = append(mean.panels,
			draw("", fidelity(func(f Fidelity) float64 { return f.KL }), func(s span) axis { return s.logAxis("KL divergence (nats)") }, false),
			draw("", fidelity(func(f Fidelity) float64 { return f.Agreement }), func(s span) axis { return s.scoreAxis("same top token (%)") }, false))
	}
	mean.columns = len(mean.panels)
	mean.panels[0].title = path.Base(t.Model)
	mean.key = keyOf(mean.panels, all, full)
	tasks := t.drawn()
	if len(tasks) < 2 {
		return []chart{mean}
	}
	// A line of scores and below it one of budgets, task under task.
	var byTask []panel
	columns := min(len(tasks), mostColumns)
	for from := 0; from < len(tasks); from += columns {
		to := min(from+columns, len(tasks))
		var above, below []panel
		for i := from; i < from+columns; i++ {
			if i >= to {
				above, below = append(above, panel{blank: true}), append(below, panel{blank: true})
				continue
			}
			k := tasks[i]
			cells := func(l Line) Cell { return l.Cells[k] }
			above = append(above, draw(t.Tasks[k], score(cells), scoreY, true))
			below = append(below, draw("", kept(cells), keptY, false))
		}
		byTask = append(append(byTask, above...), below...)
	}
	each := multiples(name+"-by-task", "Score on each task and, below it, the kept share of the KV cache against "+option+".", byTask)
	each.columns = columns
	each.key = keyOf(byTask[:1], all, full)
	return []chart{mean, each}
}

// sweepAxis is that of a setting: logarithmic where its values are far apart.
func (s span) sweepAxis(label string) axis {
	if s.any && s.low > 0 && s.high >= 8*s.low {
		return s.decades(label)
	}
	low, high := s.low, s.high
	if !s.any {
		low, high = 0, 1
	}
	from, to, ticks := scale(low, high, 0, low-1, high+1)
	return axis{label: label, low: from, high: to, ticks: ticks}
}
