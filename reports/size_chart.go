package reports

import (
	"cmp"
	"fmt"
	"slices"

	"refreekv/runners/rows"
)

// mostLines is how many lines of variants a plot shows legibly.
const mostLines = 12

// sizeChart draws scores over the sizes of models: a line for every variant that
// two models share, the mean over the tasks that all of them were run on.
func (s Summary) sizeChart(all []rows.Row) []chart {
	sizes := map[string]float64{}
	for _, r := range all {
		if r.Parameters > 0 {
			sizes[r.Model] = float64(r.Parameters)
		}
	}
	var out []chart
	var lengths []int
	for _, t := range s.Tables {
		if !slices.Contains(lengths, t.ContextLength) {
			lengths = append(lengths, t.ContextLength)
		}
	}
	for _, length := range lengths {
		var tables []Table
		for _, t := range s.Tables {
			if t.ContextLength == length && sizes[t.Model] > 0 {
				tables = append(tables, t)
			}
		}
		slices.SortStableFunc(tables, func(a, b Table) int { return cmp.Compare(sizes[a.Model], sizes[b.Model]) })
		if len(tables) < 2 || sizes[tables[0].Model] == sizes[tables[len(tables)-1].Model] {
			continue
		}
		if c, ok := sizeChartOf(tables, sizes); ok {
			c.caption += fmt.Sprintf(" Context length %d.", length)
			if len(lengths) > 1 {
				c.name += fmt.Sprintf("-%d", length)
			}
			out = append(out, c)
		}
	}
	return out
}

// sizeChartOf is that of tables in ascending order of size.
func sizeChartOf(tables []Table, sizes map[string]float64) (chart, bool) {
	common := slices.Clone(tables[0].Tasks)
	for _, t := range tables[1:] {
		common = slices.DeleteFunc(common, func(task string) bool { return !slices.Contains(t.Tasks, task) })
	}
	if len(common) == 0 {
		return chart{}, false
	}
	all := apart(representative(tables[0].Lines))
	p := panel{}
	var xs, ys span
	records := 0
	for _, s := range all {
		m, mine := mark{name: s.name, look: s.look, line: true}, 0
		for _, t := range tables {
			score, n, ok := t.meanOver(common, s.name)
			if !ok {
				continue
			}
			mine += n
			xs.see(sizes[t.Model])
			ys.see(score)
			m.points = append(m.points, point{x: sizes[t.Model], y: score})
		}
		p.marks, records = append(p.marks, m), max(records, mine)
	}
	if !slices.ContainsFunc(p.marks, func(m mark) bool { return len(m.points) > 1 }) {
		return chart{}, false
	}
	p.x, p.y = xs.decades("parameters"), ys.scoreAxis("mean score")
	c := multiples("score-against-size", fmt.Sprintf("Mean score over %s against the size of the model, for %s, %s.", count(len(common), "task"), count(len(tables), "model"), count(records, "record")), []panel{p})
	for _, m := range p.marks {
		if len(m.points) > 0 {
			c.key = append(c.key, m.keyEntry(m.name))
		}
	}
	return c, true
}

// meanOver is a variant's mean score over tasks; false where it lacks one.
func (t Table) meanOver(tasks []string, variant string) (score float64, records int, ok bool) {
	at := slices.IndexFunc(t.Lines, func(l Line) bool { return l.Variant == variant })
	if at < 0 {
		return 0, 0, false
	}
	for _, task := range tasks {
		c := t.Lines[at].Cells[slices.Index(t.Tasks, task)]
		if c.Records == 0 || !finite(c.Score) {
			return 0, 0, false
		}
		score += c.Score / float64(len(tasks))
		records += c.Records
	}
	return score, records, true
}

// representative are the lines that stand for all where these are too many for
// one plot: of each series the one in the middle.
func representative(lines []Line) []Line {
	if len(lines) <= mostLines {
		return lines
	}
	all, full := Table{Lines: lines}.seriesOf()
	var out []Line
	if full != nil {
		out = append(out, *full)
	}
	for _, s := range all {
		if len(out) < mostLines {
			out = append(out, s.lines[len(s.lines)/2])
		}
	}
	return out
}
