package reports

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"refreekv/reports/stats"
	"refreekv/runners/rows"
)

// Options say how rows are summarized.
type Options struct {
	Title string // of the report
	// Margin is the loss in points within which a variant counts as lossless; 0
	// stands for DefaultMargin.
	Margin float64
}

// A Summary is what the rows of a run say, one table for each model and context
// length.
type Summary struct {
	Tables []Table `json:"tables"`
}

// A Table has the variants as lines and the tasks as columns.
type Table struct {
	Model         string   `json:"model"`
	ContextLength int      `json:"context_length"`
	Protocol      string   `json:"protocol"`
	DType         string   `json:"dtype,omitempty"` // format of the weights, where it is not float32
	Margin        float64  `json:"margin"`          // the loss in points within which a variant counts as lossless
	Tasks         []string `json:"tasks"`
	Lines         []Line   `json:"lines"`
	Notes         []string `json:"notes,omitempty"` // what a reader must know to read the figures
}

// A Line is one variant.
type Line struct {
	Variant string `json:"variant"`
	Pruner  string `json:"pruner"`
	Cells   []Cell `json:"cells"` // one for each of the table's tasks
	// Average is the mean over the tasks, each task weighing the same.
	Average Cell `json:"average"`
	// VsFull is the paper's average (spec 6.5): the mean over the tasks of score /
	// full-cache score, less 1, in percent. nil where the full cache was not run or
	// scores 0 everywhere.
	VsFull *float64 `json:"vs_full_percent"`
	// VsFullInterval is its 95 % interval, by bootstrap; nil where VsFull is, and of
	// the full cache itself.
	VsFullInterval *stats.Interval `json:"vs_full_interval,omitempty"`
	VsFullRank     int             `json:"vs_full_rank,omitempty"` // as Cell.Rank
}

// A Cell is one variant's result on one task.
type Cell struct {
	Records int     `json:"records"` // that were scored; 0: no result
	Errors  int     `json:"errors"`  // records that could not be run
	Score   float64 `json:"score"`   // 0..100
	Budget  float64 `json:"budget"`  // kept share of the prompt in percent, mean over records
	// Spread is the standard deviation of the budget over the records, in percent
	// points: a threshold-free method chooses it anew for each.
	Spread float64 `json:"budget_spread"`
	// Memory is the bytes held over the bytes of the full cache, in percent. It is
	// more than the budget where a method keeps entries per query head.
	Memory float64 `json:"memory"`
	// Released is what the method's released code holds for the same choice, in
	// percent of the full cache: codes that repeat keys and values to the query heads
	// hold every entry once per query head. 0 in runs that did not tell.
	Released float64 `json:"memory_released,omitempty"`
	// Fidelity to the full cache, mean over the records that have it.
	Fidelity *Fidelity `json:"fidelity,omitempty"`
	// Interval is that of the score, 95 %, by bootstrap; nil without a result.
	Interval *stats.Interval `json:"interval,omitempty"`
	// Against compares with the full cache; nil for the full cache itself and where
	// no record was scored under both. That of an average compares the means over
	// the tasks.
	Against *Comparison `json:"against_full,omitempty"`
	// Rank is 1 for the best and 2 for the second best score among the pruned
	// variants, as printed; several share a rank where they tie. 0: neither, or all
	// are alike.
	Rank int `json:"rank,omitempty"`
}

// Fidelity is how near a variant stays to the full cache when both are fed the
// full cache's text.
type Fidelity struct {
	Records   int     `json:"records"`   // that were compared
	KL        float64 `json:"kl"`        // KL(full ‖ variant) of a prediction, nats
	Agreement float64 `json:"agreement"` // predictions in which both prefer the same token, percent
	Reference float64 `json:"reference"` // log-likelihood of a token of the reference answer, nats
}

// Summarize gathers rows into tables. Models, context lengths, tasks and variants
// keep the order in which they first occur.
func Summarize(all []rows.Row, o Options) (Summary, error) {
	if len(all) == 0 {
		return Summary{}, errors.New("there are no rows to report")
	}
	if o.Margin == 0 {
		o.Margin = DefaultMargin
	}
	var s Summary
	for _, group := range groupBy(all, func(r rows.Row) [2]string { return [2]string{r.Model, fmt.Sprint(r.ContextLength)} }) {
		s.Tables = append(s.Tables, newTable(group, o.Margin))
	}
	return s, nil
}

func newTable(all []rows.Row, margin float64) Table {
	t := Table{Model: all[0].Model, ContextLength: all[0].ContextLength, Protocol: all[0].Protocol, Margin: margin}
	if dtype := all[0].DType; dtype != "float32" {
		t.DType = dtype
	}
	for _, r := range all {
		if !slices.Contains(t.Tasks, r.Task) {
			t.Tasks = append(t.Tasks, r.Task)
		}
	}
	for _, mine := range groupBy(all, func(r rows.Row) string { return r.Variant }) {
		line := Line{Variant: mine[0].Variant, Pruner: mine[0].Pruner}
		for _, task := range t.Tasks {
			line.Cells = append(line.Cells, newCell(mine, task))
		}
		line.Average = average(line.Cells)
		t.Lines = append(t.Lines, line)
	}
	t.compareWithFull()
	t.measure(all)
	t.rank()
	t.note()
	return t
}

func newCell(mine []rows.Row, task string) Cell {
	var c Cell
	var budgets []float64
	var held, released, full float64
	var likeness []Fidelity
	for _, r := range mine {
		switch {
		case r.Task != task:
		case r.Error != "":
			c.Errors++
		default:
			c.Records++
			c.Score += 100 * r.Score
			budgets = append(budgets, 100*r.Budget)
			held += float64(r.KVBytes)
			released += float64(r.ReleasedKVBytes)
			full += float64(r.FullKVBytes)
			if f := r.Fidelity; f != nil {
				likeness = append(likeness, Fidelity{1, f.KL, 100 * f.Agreement, f.Reference})
			}
		}
	}
	c.Fidelity = meanFidelity(likeness)
	if c.Records == 0 {
		return c
	}
	c.Score /= float64(c.Records)
	c.Budget, c.Spread = meanAndSpread(budgets)
	if full > 0 {
		c.Memory, c.Released = 100*held/full, 100*released/full
	}
	return c
}

// meanFidelity weighs each the same; nil of none.
func meanFidelity(all []Fidelity) *Fidelity {
	if len(all) == 0 {
		return nil
	}
	var mean Fidelity
	n := float64(len(all))
	for _, f := range all {
		mean.Records += f.Records
		mean.KL += f.KL / n
		mean.Agreement += f.Agreement / n
		mean.Reference += f.Reference / n
	}
	return &mean
}

func meanAndSpread(xs []float64) (mean, spread float64) {
	for _, x := range xs {
		mean += x
	}
	mean /= float64(len(xs))
	for _, x := range xs {
		spread += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(spread / float64(len(xs)))
}

// average weighs each task the same.
func average(cells []Cell) Cell {
	var a Cell
	var likeness []Fidelity
	n := 0.0
	for _, c := range cells {
		a.Errors += c.Errors
		if c.Fidelity != nil {
			likeness = append(likeness, *c.Fidelity)
		}
		if c.Records == 0 {
			continue
		}
		n++
		a.Records += c.Records
		a.Score += c.Score
		a.Budget += c.Budget
		a.Spread += c.Spread
		a.Memory += c.Memory
		a.Released += c.Released
	}
	a.Fidelity = meanFidelity(likeness)
	if n > 0 {
		a.Score, a.Budget, a.Spread, a.Memory, a.Released = a.Score/n, a.Budget/n, a.Spread/n, a.Memory/n, a.Released/n
	}
	return a
}

// full is the full cache's place among the lines, -1: it was not run.
func (t *Table) full() int {
	return slices.IndexFunc(t.Lines, func(l Line) bool { return l.Pruner == "full" })
}

// meanRatio is the mean over the tasks but one (-1: over all) of score / full-cache
// score, less 1, in percent; false where there is no such ratio.
func meanRatio(cells, full []Cell, but int) (percent float64, ok bool) {
	sum, n := 0.0, 0
	for k, c := range cells {
		if k != but && c.Records > 0 && full[k].Records > 0 && full[k].Score > 0 {
			sum += c.Score / full[k].Score
			n++
		}
	}
	return 100 * (sum/float64(n) - 1), n > 0
}

// compareWithFull fills in every line's mean of ratios.
func (t *Table) compareWithFull() {
	at := t.full()
	if at < 0 {
		return
	}
	full := t.Lines[at].Cells
	for i := range t.Lines {
		if ratio, ok := meanRatio(t.Lines[i].Cells, full, -1); ok {
			t.Lines[i].VsFull = &ratio
		}
	}
	var zero []string
	for k, c := range full {
		if c.Records > 0 && c.Score == 0 {
			zero = append(zero, t.Tasks[k])
		}
	}
	if len(zero) > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("The full cache scores 0 on %s, which “%s” therefore leaves out.", strings.Join(zero, ", "), headerVsFull))
	}
	t.noteSmall(full)
}

// smallScore is a full-cache score, in points, that makes a ratio to it doubtful.
const smallScore = 10

// noteSmall says where one task on which the full cache scores little moves a mean
// of ratios by more than a point: spec 6.5 has an average of +2.63 % that is -1.05 %
// without such a task.
func (t *Table) noteSmall(full []Cell) {
	for k, c := range full {
		if c.Records == 0 || c.Score <= 0 || c.Score >= smallScore {
			continue
		}
		worst, name, with, without := 1.0, "", 0.0, 0.0
		for _, l := range t.Lines {
			rest, ok := meanRatio(l.Cells, full, k)
			if l.VsFull == nil || l.Cells[k].Records == 0 || !ok {
				continue
			}
			if moved := math.Abs(*l.VsFull - rest); moved > worst {
				worst, name, with, without = moved, l.Variant, *l.VsFull, rest
			}
		}
		if name != "" {
			t.Notes = append(t.Notes, fmt.Sprintf("The full cache scores only %.2f on %s, so that “%s” rests much on it: %s has %+.2f%% with it and %+.2f%% without.", c.Score, t.Tasks[k], headerVsFull, name, with, without))
		}
	}
}

// note writes down errors and uneven counts of records.
func (t *Table) note() {
	failed := 0
	for k, task := range t.Tasks {
		most := 0
		for _, l := range t.Lines {
			most = max(most, l.Cells[k].Errors)
		}
		failed += most
		least := t.most(k)
		for _, l := range t.Lines {
			least = min(least, l.Cells[k].Records)
		}
		if least < t.most(k) {
			t.Notes = append(t.Notes, fmt.Sprintf("On %s the variants were scored on %d to %s: their means are not over the same records.", task, least, count(t.most(k), "record")))
		}
	}
	if failed == 1 {
		t.Notes = append(t.Notes, "1 record could not be run and is not in the means; see the field error of the rows.")
	}
	if failed > 1 {
		t.Notes = append(t.Notes, fmt.Sprintf("%d records could not be run and are not in the means; see the field error of the rows.", failed))
	}
}

// groupBy splits rows by key, groups in the order in which they first occur.
func groupBy[K comparable](all []rows.Row, key func(rows.Row) K) [][]rows.Row {
	at := map[K]int{}
	var out [][]rows.Row
	for _, r := range all {
		k := key(r)
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}
