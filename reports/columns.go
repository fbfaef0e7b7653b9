package reports

import "fmt"

// A column of a table of figures; the lines are the variants.
type column struct {
	head string
	of   func(Line) entry
}

// An entry is what a line has in a column: a figure, and a smaller one beneath.
type entry struct {
	figure, beneath string
	rank            int      // as Cell.Rank
	value           *float64 // what the figure stands for; nil: nothing
	title           string   // what more there is to say, where there is room for it
}

// columns are those that the table's figures need: the tasks and what is said over
// all of them.
func (t Table) columns() []column {
	var out []column
	for k, task := range t.Tasks {
		out = append(out, column{task, func(l Line) entry { return l.Cells[k].entry() }})
	}
	out = append(out,
		column{headerVsFull, func(l Line) entry { return entry{figure: l.vsFull(), rank: l.VsFullRank, value: l.VsFull} }},
		column{headerAverage, func(l Line) entry { return l.Average.entry() }})
	if t.heavier() {
		out = append(out, column{headerMemory, func(l Line) entry { return entry{figure: l.Average.memory(), value: &l.Average.Memory} }})
	}
	if t.compared() {
		out = append(out, column{headerKL, func(l Line) entry {
			e := entry{figure: l.Average.kl(), beneath: l.Average.agreement()}
			if f := l.Average.Fidelity; f != nil {
				e.value = &f.KL
			}
			return e
		}})
	}
	if t.tested() {
		out = append(out, column{headerVerdict, func(l Line) entry {
			c := l.Average.Against
			word, detail := c.verdict()
			e := entry{figure: word, beneath: detail}
			if c != nil {
				e.value, e.title = &c.Difference, c.difference()
			}
			return e
		}})
	}
	return out
}

// entry is a score over the kept share.
func (c Cell) entry() entry {
	e := entry{figure: c.score(), beneath: c.budget(), rank: c.Rank}
	if c.Records > 0 {
		e.value = &c.Score
	}
	if c.Records > 0 && c.Against != nil {
		e.title = fmt.Sprintf("against the full cache: %s, %s", c.Against.difference(), c.Against.words())
	}
	return e
}

// versusTitle stands over the table of differences.
const versusTitle = "Difference to the full cache in points, with its 95 % interval and the verdict underneath."

// versusColumns are those of the table of differences to the full cache, task by
// task; its lines are those of versus.
func (t Table) versusColumns() []column {
	against := func(c Cell) entry {
		e := entry{figure: c.Against.difference()}
		if c.Against != nil {
			e.beneath = c.Against.words()
		}
		return e
	}
	var out []column
	for k, task := range t.Tasks {
		out = append(out, column{task, func(l Line) entry { return against(l.Cells[k]) }})
	}
	return append(out, column{headerAverage, func(l Line) entry { return against(l.Average) }})
}
