package reports

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
)

// csvTable renders all tables as one: a line for each model, context length and
// variant, for each task the score, the budget in percent and the comparison with
// the full cache, then the same over all tasks, with the memory and the fidelity.
func csvTable(s Summary) ([]byte, error) {
	var tasks []string
	for _, t := range s.Tables {
		for _, task := range t.Tasks {
			if !slices.Contains(tasks, task) {
				tasks = append(tasks, task)
			}
		}
	}
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	head := []string{"model", "context_length", "protocol", "variant"}
	for _, task := range tasks {
		head = append(head, task, task+"_budget")
		for _, column := range csvComparison {
			head = append(head, task+"_"+column)
		}
	}
	head = append(head, "vs_full_percent", "average", "average_budget", "memory", "kl", "agreement", "reference")
	for _, column := range csvComparison {
		head = append(head, "average_"+column)
	}
	if err := w.Write(head); err != nil {
		return nil, fmt.Errorf("writing CSV: %w", err)
	}
	for _, t := range s.Tables {
		for _, l := range t.Lines {
			cells := []string{t.Model, strconv.Itoa(t.ContextLength), t.Protocol, l.Variant}
			for _, task := range tasks {
				if k := slices.Index(t.Tasks, task); k >= 0 {
					cells = append(append(cells, csvCell(l.Cells[k])...), csvAgainst(l.Cells[k].Against)...)
				} else {
					cells = append(cells, make([]string, 2+len(csvComparison))...)
				}
			}
			ratio := ""
			if l.VsFull != nil {
				ratio = csvNumber(*l.VsFull)
			}
			cells = append(append(cells, ratio), csvCell(l.Average)...)
			memory := ""
			if l.Average.Records > 0 {
				memory = csvNumber(l.Average.Memory)
			}
			cells = append(append(cells, memory), csvFidelity(l.Average.Fidelity)...)
			if err := w.Write(append(cells, csvAgainst(l.Average.Against)...)); err != nil {
				return nil, fmt.Errorf("writing CSV: %w", err)
			}
		}
	}
	w.Flush()
	return buf.Bytes(), w.Error()
}

func csvCell(c Cell) []string {
	if c.Records == 0 {
		return []string{"", ""}
	}
	return []string{csvNumber(c.Score), csvNumber(c.Budget)}
}

// csvComparison are the columns of a comparison with the full cache.
var csvComparison = []string{"difference", "low", "high", "p_adjusted", "verdict", "records_needed"}

func csvAgainst(c *Comparison) []string {
	if c == nil {
		return make([]string, len(csvComparison))
	}
	needed := ""
	if c.Needed > 0 {
		needed = strconv.Itoa(c.Needed)
	}
	return []string{csvNumber(c.Difference), csvNumber(c.Interval.Low), csvNumber(c.Interval.High), strconv.FormatFloat(c.Adjusted, 'g', 4, 64), string(c.Verdict), needed}
}

func csvFidelity(f *Fidelity) []string {
	if f == nil {
		return []string{"", "", ""}
	}
	return []string{csvNumber(f.KL), csvNumber(f.Agreement), csvNumber(f.Reference)}
}

func csvNumber(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }
