package reports

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"refreekv/runners/rows"
)

// Terminal prints the tables for a screen of width columns. Tasks that do not fit
// beside each other follow below.
func Terminal(w io.Writer, s Summary, width int, colour bool) {
	for i, t := range s.Tables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, t.heading())
		for _, span := range t.spans(width) {
			fmt.Fprintln(w, t.render(span, colour))
		}
		fmt.Fprintf(w, "%s.\n", sentence(t.records()))
		for _, note := range t.Notes {
			fmt.Fprintln(w, note)
		}
	}
}

// cellWidth is what a column takes of the screen, borders included.
func cellWidth(name string) int { return max(utf8.RuneCountInString(name), len("100.00")) + 3 }

// A columns is the part of a table that is printed in one piece: tasks
// [from,to), and the averages where they are the last.
type columns struct {
	from, to int
	averages bool
}

func (t Table) spans(width int) []columns {
	first := cellWidth("variant")
	for _, l := range t.Lines {
		first = max(first, cellWidth(l.Variant))
	}
	averages := cellWidth(headerVsFull) + cellWidth(headerAverage)
	var out []columns
	at, used := 0, first+1
	for k, task := range t.Tasks {
		if used += cellWidth(task); used > width && k > at {
			out = append(out, columns{from: at, to: k})
			at, used = k, first+1+cellWidth(task)
		}
	}
	if used+averages > width && at < len(t.Tasks) {
		return append(out, columns{from: at, to: len(t.Tasks)}, columns{from: len(t.Tasks), to: len(t.Tasks), averages: true})
	}
	return append(out, columns{from: at, to: len(t.Tasks), averages: true})
}

func (t Table) render(c columns, colour bool) string {
	out := table.NewWriter()
	style := table.StyleRounded
	style.Format.Header = text.FormatDefault
	style.Options.SeparateRows = false
	out.SetStyle(style)
	head := table.Row{"variant"}
	for _, task := range t.Tasks[c.from:c.to] {
		head = append(head, task)
	}
	if c.averages {
		head = append(head, headerVsFull, headerAverage)
	}
	out.AppendHeader(head)
	configs := make([]table.ColumnConfig, len(head))
	for i := range configs {
		configs[i] = table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight}
	}
	configs[0].Align, configs[0].AlignHeader = text.AlignLeft, text.AlignLeft
	out.SetColumnConfigs(configs)
	for _, l := range t.Lines {
		row := table.Row{l.Variant}
		for _, cell := range l.Cells[c.from:c.to] {
			row = append(row, screenCell(cell, colour))
		}
		if c.averages {
			row = append(row, l.vsFull(), screenCell(l.Average, colour))
		}
		out.AppendRow(row)
	}
	return out.Render()
}

func screenCell(c Cell, colour bool) string {
	if c.Records == 0 {
		return noResult
	}
	budget := c.budget()
	if colour {
		budget = "\x1b[2m" + budget + "\x1b[0m"
	}
	return c.score() + "\n" + budget
}

// Timings prints where the time of a run went. It is no part of the report: two
// runs of the same experiment differ in it.
func Timings(w io.Writer, all []rows.Row) {
	type record struct {
		model, task string
		length, at  int
	}
	seen := map[record]bool{}
	var prefill, decode, selecting float64
	tokens, generated := 0, 0
	// Rows of one record share its prefill, and its variants decode together: the
	// record took as long as its slowest variant.
	slowest := map[record]float64{}
	for _, r := range all {
		k := record{r.Model, r.Task, r.ContextLength, r.Index}
		if !seen[k] {
			seen[k] = true
			prefill += r.Timing.Prefill
			tokens += r.PromptTokens
		}
		selecting += r.Timing.Select
		generated += len(r.Tokens)
		slowest[k] = max(slowest[k], r.Timing.Decode)
	}
	for _, s := range slowest {
		decode += s
	}
	if prefill <= 0 {
		return
	}
	fmt.Fprintf(w, "prefill %.1f s (%.0f tok/s), selection %.2f s, decode %.1f s", prefill, float64(tokens)/prefill, selecting, decode)
	if decode > 0 {
		fmt.Fprintf(w, " (%.0f tok/s over all variants)", float64(generated)/decode)
	}
	fmt.Fprintln(w)
}
