package reports

import (
	"cmp"
	"slices"
)

// rank marks the best and the second best pruned variant of every column.
func (t *Table) rank() {
	for k := range t.Tasks {
		rankCells(t.Lines, func(l *Line) *Cell { return &l.Cells[k] })
	}
	rankCells(t.Lines, func(l *Line) *Cell { return &l.Average })
	rankBy(t.Lines, func(l *Line) (*int, string, float64) {
		if l.VsFull == nil {
			return nil, "", 0
		}
		return &l.VsFullRank, l.vsFull(), *l.VsFull
	})
}

func rankCells(lines []Line, cell func(*Line) *Cell) {
	rankBy(lines, func(l *Line) (*int, string, float64) {
		c := cell(l)
		if c.Records == 0 {
			return nil, "", 0
		}
		return &c.Rank, c.score(), c.Score
	})
}

// rankBy ranks the lines by a figure, the largest first. Figures that are printed
// alike are equal; where all are, none is better.
func rankBy(lines []Line, figure func(*Line) (rank *int, printed string, value float64)) {
	type entry struct {
		rank    *int
		printed string
		value   float64
	}
	var entries []entry
	for i := range lines {
		if lines[i].Pruner == "full" {
			continue
		}
		if rank, printed, value := figure(&lines[i]); rank != nil {
			entries = append(entries, entry{rank, printed, value})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(b.value, a.value) })
	place := 0
	if len(entries) == 0 || entries[0].printed == entries[len(entries)-1].printed {
		return
	}
	for i, e := range entries {
		if i == 0 || e.printed != entries[i-1].printed {
			place++
		}
		if place > 2 {
			return
		}
		*e.rank = place
	}
}
