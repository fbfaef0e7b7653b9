package reports

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
)

// csvTable renders all tables as one: a line for each model, context length and
// variant, for each task the score and the budget in percent, and last the
// fidelity to the full cache.
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
	}
	if err := w.Write(append(head, "vs_full_percent", "average", "average_budget", "kl", "agreement", "reference")); err != nil {
		return nil, fmt.Errorf("writing CSV: %w", err)
	}
	for _, t := range s.Tables {
		for _, l := range t.Lines {
			cells := []string{t.Model, strconv.Itoa(t.ContextLength), t.Protocol, l.Variant}
			for _, task := range tasks {
				if k := slices.Index(t.Tasks, task); k >= 0 {
					cells = append(cells, csvCell(l.Cells[k])...)
				} else {
					cells = append(cells, "", "")
				}
			}
			ratio := ""
			if l.VsFull != nil {
				ratio = csvNumber(*l.VsFull)
			}
			cells = append(append(cells, ratio), csvCell(l.Average)...)
			if err := w.Write(append(cells, csvFidelity(l.Average.Fidelity)...)); err != nil {
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

func csvFidelity(f *Fidelity) []string {
	if f == nil {
		return []string{"", "", ""}
	}
	return []string{csvNumber(f.KL), csvNumber(f.Agreement), csvNumber(f.Reference)}
}

func csvNumber(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }
