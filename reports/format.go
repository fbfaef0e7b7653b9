package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	headerAverage = "average"
	headerVsFull  = "vs full"
	headerKL      = "KL"
	headerVerdict = "verdict"
	headerMemory  = "memory"
)

// noResult stands where a variant has no scored record of a task.
const noResult = "–"

func (c Cell) score() string {
	if c.Records == 0 {
		return noResult
	}
	return fmt.Sprintf("%.2f", c.Score)
}

func (c Cell) budget() string {
	if c.Records == 0 {
		return noResult
	}
	return fmt.Sprintf("%.1f%%", c.Budget)
}

func (l Line) vsFull() string {
	if l.VsFull == nil {
		return noResult
	}
	return fmt.Sprintf("%+.2f%%", *l.VsFull)
}

// kl and agreement are the two figures of a fidelity cell.
func (c Cell) kl() string {
	if c.Fidelity == nil {
		return noResult
	}
	return fmt.Sprintf("%.3f", c.Fidelity.KL)
}

func (c Cell) agreement() string {
	if c.Fidelity == nil {
		return noResult
	}
	return fmt.Sprintf("%.1f%%", c.Fidelity.Agreement)
}

// compared tells whether a table has fidelity to show.
func (t Table) compared() bool {
	return slices.ContainsFunc(t.Lines, func(l Line) bool { return l.Average.Fidelity != nil })
}

// legend says what the figures of a table are.
func (t Table) legend() string {
	out := legend
	if t.heavier() {
		out += " " + legendMemory
	}
	if t.compared() {
		out += " " + legendKL
	}
	if t.tested() {
		out += " " + t.legendVerdict()
	}
	return out
}

// legendVerdict says what the verdicts are.
func (t Table) legendVerdict() string {
	return fmt.Sprintf("“verdict”, of the mean over the tasks against the full cache: lossless (the loss is at most %g in points, with 95 %% confidence), worse (p after Holm's correction below 0.05), or unclear with these records (n: about how many would tell).", t.Margin)
}

// heavier tells whether a variant's cache takes another share of bytes than of
// tokens.
func (t Table) heavier() bool {
	return slices.ContainsFunc(t.Lines, func(l Line) bool {
		return l.Average.Records > 0 && math.Abs(l.Average.Memory-l.Average.Budget) >= 0.5
	})
}

func (c Cell) memory() string {
	if c.Records == 0 {
		return noResult
	}
	return fmt.Sprintf("%.1f%%", c.Memory)
}

// heading names a table.
func (t Table) heading() string {
	heading := fmt.Sprintf("%s, context length %d, protocol %s", t.Model, t.ContextLength, t.Protocol)
	if t.DType != "" {
		heading += ", weights " + t.DType
	}
	return heading
}

// records says on how many records each task stands.
func (t Table) records() string {
	counts := make([]string, len(t.Tasks))
	same := true
	for k, task := range t.Tasks {
		counts[k] = fmt.Sprintf("%s %d", task, t.most(k))
		same = same && t.most(k) == t.most(0)
	}
	switch {
	case !same:
		return "Records: " + strings.Join(counts, ", ")
	case len(t.Tasks) == 1:
		return count(t.most(0), "record")
	}
	return count(t.most(0), "record") + " of each task"
}

// most is the largest count of scored records of task k.
func (t Table) most(k int) int {
	n := 0
	for _, l := range t.Lines {
		n = max(n, l.Cells[k].Records)
	}
	return n
}

// count is "1 record" or "3 records".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// legend says what the figures are.
const legend = "Score (0–100) with the kept share of the KV cache underneath. “average”: mean over the tasks, in points. “vs full”, the paper's average: mean over the tasks of score / full-cache score, less 1."

// legendMarks says how the best variants are marked, in so many words for each
// format.
const legendMarks = "%s: the best and the second best of the pruned variants, whatever they keep."

// legendMemory says what the memory column is.
const legendMemory = "“memory”: bytes that the caches hold over those of the full cache; more than the kept share where entries are kept for single query heads."

// legendKL says what the fidelity column is.
const legendKL = "“KL”: divergence of a prediction from the full cache's on the full cache's text, in nats, with the share of predictions that prefer the same token underneath; mean over the tasks."
