package reports

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"refreekv/runners/rows"
)

// Terminal prints the tables for a screen of width columns. Tasks that do not fit
// beside each other follow below; long names are broken.
func Terminal(w io.Writer, s Summary, width int, colour bool) {
	line := func(s string) { fmt.Fprintln(w, wrap(s, width)) }
	for i, t := range s.Tables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		line(t.heading())
		widths := t.widths(width)
		for _, span := range widths.spans(width) {
			fmt.Fprintln(w, t.render(span, widths, colour))
		}
		line(t.records() + ".")
		if t.compared() {
			line(legendKL)
		}
		if t.tested() {
			line(t.legendVerdict())
		}
		for _, note := range t.Notes {
			line(note)
		}
	}
}

// widths are what the columns of a table take of the screen, borders left out.
type widths struct {
	variant, vsFull, average int
	kl, verdict              int // 0: no such column
	tasks                    []int
}

// averages is the width of the columns behind the tasks.
func (w widths) averages() int {
	out := w.vsFull + w.average + 2*border
	if w.kl > 0 {
		out += w.kl + border
	}
	if w.verdict > 0 {
		out += w.verdict + border
	}
	return out
}

// border is what a column needs beside its text: blanks and a line.
const border = 3

func (t Table) widths(screen int) widths {
	number := text.StringWidthWithoutEscSequences("100.00")
	w := widths{variant: len("variant"), vsFull: len(headerVsFull), average: len(headerAverage)}
	for _, l := range t.Lines {
		w.variant = max(w.variant, text.StringWidthWithoutEscSequences(l.Variant))
		w.vsFull = max(w.vsFull, text.StringWidthWithoutEscSequences(l.vsFull()))
	}
	if t.compared() {
		w.kl = number
	}
	if t.tested() {
		w.verdict = len(headerVerdict)
		for _, l := range t.Lines {
			word, detail := l.Average.Against.verdict()
			w.verdict = max(w.verdict, text.StringWidthWithoutEscSequences(word), text.StringWidthWithoutEscSequences(detail))
		}
	}
	// A screen too narrow for it goes without the verdict, which the files have.
	if len("variant")+border+1+w.averages() > screen {
		w.verdict = 0
	}
	beside := w.averages()
	for _, task := range t.Tasks {
		w.tasks = append(w.tasks, min(max(text.StringWidthWithoutEscSequences(task), number), max(screen/3-border, number)))
		beside = max(beside, w.tasks[len(w.tasks)-1]+border)
	}
	// One task, or the averages, must fit beside the variants.
	w.variant = min(w.variant, max(min(screen/2, screen-1-beside)-border, len("variant")))
	return w
}

// A columns is the part of a table that is printed in one piece: tasks
// [from,to), and the averages where they are the last.
type columns struct {
	from, to int
	averages bool
}

func (w widths) spans(screen int) []columns {
	first := w.variant + border + 1
	averages := w.averages()
	var out []columns
	at, used := 0, first
	for k, task := range w.tasks {
		if used += task + border; used > screen && k > at {
			out = append(out, columns{from: at, to: k})
			at, used = k, first+task+border
		}
	}
	if last := len(w.tasks); used+averages > screen {
		return append(out, columns{from: at, to: last}, columns{from: last, to: last, averages: true})
	}
	return append(out, columns{from: at, to: len(w.tasks), averages: true})
}

func (t Table) render(c columns, w widths, colour bool) string {
	out := table.NewWriter()
	style := table.StyleRounded
	style.Format.Header = text.FormatDefault
	style.Options.SeparateRows = false
	out.SetStyle(style)
	head := table.Row{"variant"}
	for k := c.from; k < c.to; k++ {
		head = append(head, wrap(t.Tasks[k], w.tasks[k]))
	}
	if c.averages {
		head = append(head, headerVsFull, headerAverage)
		if w.kl > 0 {
			head = append(head, headerKL)
		}
		if w.verdict > 0 {
			head = append(head, headerVerdict)
		}
	}
	out.AppendHeader(head)
	configs := make([]table.ColumnConfig, len(head))
	for i := range configs {
		configs[i] = table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight}
	}
	configs[0].Align, configs[0].AlignHeader = text.AlignLeft, text.AlignLeft
	out.SetColumnConfigs(configs)
	for _, l := range t.Lines {
		row := table.Row{wrap(l.Variant, w.variant)}
		for _, cell := range l.Cells[c.from:c.to] {
			row = append(row, screenCell(cell, colour))
		}
		if c.averages {
			row = append(row, l.vsFull(), screenCell(l.Average, colour))
			if w.kl > 0 {
				row = append(row, twoRows(l.Average.kl(), l.Average.agreement(), colour))
			}
			if w.verdict > 0 {
				word, detail := l.Average.Against.verdict()
				row = append(row, twoRows(word, detail, colour))
			}
		}
		out.AppendRow(row)
	}
	return out.Render()
}

// wrap breaks a text into lines of at most width columns, at blanks where it can.
func wrap(s string, width int) string {
	lines := strings.Split(text.WrapSoft(s, width), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func screenCell(c Cell, colour bool) string { return twoRows(c.score(), c.budget(), colour) }

func twoRows(figure, beneath string, colour bool) string {
	if figure == noResult || beneath == "" {
		return figure
	}
	if colour {
		beneath = "\x1b[2m" + beneath + "\x1b[0m"
	}
	return figure + "\n" + beneath
}

// Timings prints where the time of a run went. It is no part of the report: two
// runs of the same experiment differ in it.
func Timings(w io.Writer, all []rows.Row) {
	// Context lengths that leave a prompt as it is share its measurement.
	type record struct {
		model, task, prompt string
		at                  int
	}
	type variant struct {
		record
		label string
	}
	done := map[variant]bool{}
	var prefill, decode, selecting float64
	tokens, shared, generated := 0, 0, 0
	// Rows of one record share its prefill, and its variants decode together: the
	// record took as long as its slowest variant.
	slowest := map[record]float64{}
	for _, r := range all {
		k := record{r.Model, r.Task, r.PromptHash, r.Index}
		v := variant{k, r.Variant}
		if r.Error != "" || done[v] {
			continue
		}
		done[v] = true
		if _, seen := slowest[k]; !seen {
			prefill += r.Timing.Prefill
			tokens += r.PromptTokens
			shared += r.Timing.Shared
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
	if shared > 0 {
		fmt.Fprintf(w, "prompts of %d tokens, %.0f %% of them shared with the prompt before\n", tokens, 100*float64(shared)/float64(tokens))
		tokens -= shared
	}
	fmt.Fprintf(w, "prefill %.1f s (%.0f tok/s), selection %.2f s, decode %.1f s", prefill, float64(tokens)/prefill, selecting, decode)
	if decode > 0 && generated > 0 { // rows that are published hold no tokens
		fmt.Fprintf(w, " (%.0f tok/s over all variants)", float64(generated)/decode)
	}
	fmt.Fprintln(w)
}
