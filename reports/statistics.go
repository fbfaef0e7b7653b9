package reports

import (
	"cmp"
	"runtime"
	"slices"
	"sync"

	"refreekv/reports/stats"
	"refreekv/runners/rows"
)

// DefaultMargin is the loss in points within which a variant counts as lossless.
const DefaultMargin = 1.0

// resamples are the rounds of a bootstrap.
const resamples = 10_000

// flips are the rounds of a permutation test in a table of so many comparisons:
// the smallest p-value must survive their correction.
func flips(comparisons int) int { return max(10_000, 100*comparisons) }

// scored are the scores of a variant on a task in points, by record, in the order
// of the records.
type scored struct {
	index  []int
	points []float64
}

// A pairing is a variant beside the full cache on one task.
type pairing struct {
	own         []float64 // scores of the variant, of all its records
	differences []float64 // variant less full, of the records that both have
	aligned     bool      // those are all records of either
	means       []float64 // [resamples] of own
	shifts      []float64 // [resamples] of the differences
	sums        []float64 // [flips] of the differences
}

// measure fills in the intervals and comparisons of a table.
func (t *Table) measure(all []rows.Row) {
	scores := t.scores(all)
	full := t.full()
	pairs := make([][]pairing, len(t.Tasks)) // [tasks][lines]
	overall := make([]overall, len(t.Lines))
	comparisons := 0
	for k := range t.Tasks {
		pairs[k] = make([]pairing, len(t.Lines))
		for l := range t.Lines {
			p := &pairs[k][l]
			p.own = scores[l][k].points
			if full >= 0 && l != full {
				p.differences = scores[l][k].less(scores[full][k])
				p.aligned = len(p.differences) > 0 && slices.Equal(scores[l][k].index, scores[full][k].index)
			}
			if len(p.differences) > 0 {
				comparisons++
			}
			overall[l].expect(*p)
		}
	}
	for k, task := range t.Tasks {
		resample(pairs[k], flips(comparisons), task)
		level := t.level(full, k)
		var reference []float64
		if level > 0 {
			reference = pairs[k][full].means
		}
		for l := range pairs[k] {
			p := &pairs[k][l]
			if p.aligned {
				p.shifts = less(p.means, pairs[k][full].means)
			}
			t.Lines[l].Cells[k].measure(*p, level)
			overall[l].add(*p, reference, level)
		}
		pairs[k] = nil // hundreds of megabytes in a large table
	}
	for l := range t.Lines {
		overall[l].fill(&t.Lines[l])
	}
	t.judge(full)
}

// less is a less b, place by place.
func less(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}

// level is the full cache's score on a task.
func (t *Table) level(full, task int) float64 {
	if full < 0 {
		return 0
	}
	return t.Lines[full].Cells[task].Score
}

// scores are [lines][tasks].
func (t *Table) scores(all []rows.Row) [][]scored {
	type point struct {
		index  int
		points float64
	}
	type place struct{ variant, task string }
	byPlace := map[place][]point{}
	for _, r := range all {
		if r.Error == "" {
			p := place{r.Variant, r.Task}
			byPlace[p] = append(byPlace[p], point{r.Index, 100 * r.Score})
		}
	}
	out := make([][]scored, len(t.Lines))
	for l, line := range t.Lines {
		out[l] = make([]scored, len(t.Tasks))
		for k, task := range t.Tasks {
			points := byPlace[place{line.Variant, task}]
			slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.index, b.index) })
			for _, p := range points {
				out[l][k].index = append(out[l][k].index, p.index)
				out[l][k].points = append(out[l][k].points, p.points)
			}
		}
	}
	return out
}

// less are the differences on the records that both have.
func (s scored) less(other scored) (out []float64) {
	for i, k := 0, 0; i < len(s.index) && k < len(other.index); {
		switch a, b := s.index[i], other.index[k]; {
		case a < b:
			i++
		case a > b:
			k++
		default:
			out = append(out, s.points[i]-other.points[k])
			i, k = i+1, k+1
		}
	}
	return out
}

// resample resamples the records of one task and flips the signs of the differences.
// Processors share the variants; each draws the same records and signs.
func resample(pairs []pairing, rounds int, task string) {
	parts := min(runtime.GOMAXPROCS(0), len(pairs))
	var wait sync.WaitGroup
	for part := range parts {
		wait.Go(func() {
			resamplePart(pairs[part*len(pairs)/parts:(part+1)*len(pairs)/parts], rounds, task)
		})
	}
	wait.Wait()
}

func resamplePart(pairs []pairing, rounds int, task string) {
	type target struct{ values, into *[]float64 }
	byCount := map[int][]target{} // series of as many records are drawn together
	differences := make([][]float64, len(pairs))
	for i := range pairs {
		p := &pairs[i]
		if n := len(p.own); n > 0 {
			byCount[n] = append(byCount[n], target{&p.own, &p.means})
		}
		if n := len(p.differences); n > 0 && !p.aligned {
			byCount[n] = append(byCount[n], target{&p.differences, &p.shifts})
		}
		differences[i] = p.differences
	}
	for _, targets := range byCount {
		series := make([][]float64, len(targets))
		for i, t := range targets {
			series[i] = *t.values
		}
		for i, means := range stats.Resample(series, resamples, "resample "+task) {
			*targets[i].into = means
		}
	}
	for i, sums := range stats.Flips(differences, rounds, "flip "+task) {
		pairs[i].sums = sums
	}
}

func (c *Cell) measure(p pairing, level float64) {
	if len(p.own) > 0 {
		c.Interval = middle(p.means)
	}
	if len(p.differences) == 0 {
		return
	}
	c.Against = compare(p.differences, p.shifts, p.sums)
	c.Against.Unseen = unseen(level, len(p.differences))
}

// unseen is the loss in points that n records may fail to show where the full
// cache scores level.
func unseen(level float64, n int) float64 { return level * stats.Unseen(n) }

// compare makes the comparison of differences, of their resampled means and of
// their flipped sums.
func compare(differences, shifts, sums []float64) *Comparison {
	c := &Comparison{Records: len(differences), Difference: stats.Mean(differences), Interval: *middle(shifts)}
	if p, ok := stats.ExactSignFlip(differences); ok {
		c.P, c.Exact = p, true
	} else {
		c.P = stats.FlipP(sums, differences)
	}
	return c
}

// middle leaves the values in their order: others are computed from them.
func middle(values []float64) *stats.Interval {
	interval := stats.Middle95(slices.Clone(values))
	return &interval
}

// judge corrects the p-values for their number, those of single tasks among
// themselves and those of the averages among themselves, and gives the verdicts.
func (t *Table) judge(full int) {
	var single, overall []*Comparison
	var seen, levels []float64
	for l := range t.Lines {
		for k := range t.Tasks {
			if c := t.Lines[l].Cells[k].Against; c != nil {
				single = append(single, c)
				levels = append(levels, t.level(full, k))
				seen = append(seen, stats.SeenFrom(t.Margin/t.level(full, k)))
			}
		}
		if c := t.Lines[l].Average.Against; c != nil {
			overall = append(overall, c)
		}
	}
	for _, family := range [][]*Comparison{single, overall} {
		p := make([]float64, len(family))
		for i, c := range family {
			p[i] = c.P
		}
		for i, adjusted := range stats.Holm(p) {
			family[i].Adjusted = adjusted
		}
	}
	for i, c := range single {
		c.judge(t.Margin, levels[i], seen[i], len(single))
	}
	for l := range t.Lines {
		if c := t.Lines[l].Average.Against; c != nil {
			c.judge(t.Margin, t.Lines[full].Average.Score, t.seenOverall(l, full), len(overall))
		}
	}
}

// seenOverall is about how many records, over all tasks, show that a line's
// average loses no more than the margin; see Comparison.Unseen.
func (t *Table) seenOverall(l, full int) float64 {
	tasks, total := 0, 0
	for _, c := range t.Lines[l].Cells {
		if c.Against != nil {
			tasks++
			total += c.Against.Records
		}
	}
	most := 0.0
	for k, c := range t.Lines[l].Cells {
		if c.Against != nil {
			growth := stats.SeenFrom(t.Margin*float64(tasks)/t.level(full, k)) / float64(c.Against.Records)
			most = max(most, growth*float64(total))
		}
	}
	return most
}
