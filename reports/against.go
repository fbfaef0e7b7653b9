package reports

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"

	"refreekv/pruners"
	"refreekv/reports/stats"
)

//go:embed paper/results.csv
var paperCSV []byte

// A PaperCell is one score that the paper prints.
type PaperCell struct {
	Table   string  `json:"table"`
	Model   string  `json:"model"`
	Variant string  `json:"variant"` // as our rows write it
	Task    string  `json:"task"`
	Score   float64 `json:"score"`          // 0..100
	Budget  float64 `json:"budget"`         // kept share of the prompt, percent; 0: not printed
	Note    string  `json:"note,omitempty"` // why the cell is doubtful in the paper itself
}

// PaperCells are the scores of arXiv 2502.16886; a cell that several of its tables
// print is the first one's.
func PaperCells() ([]PaperCell, error) {
	r := csv.NewReader(bytes.NewReader(paperCSV))
	r.Comment = '#'
	lines, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading the paper's figures: %w", err)
	}
	var out []PaperCell
	seen := map[[3]string]bool{}
	for _, line := range lines[1:] {
		spec, err := pruners.Parse(line[2])
		if err != nil {
			return nil, fmt.Errorf("reading the paper's figures: %w", err)
		}
		c := PaperCell{Table: line[0], Model: line[1], Variant: spec.String(), Task: line[3], Note: line[6]}
		if c.Score, err = strconv.ParseFloat(line[4], 64); err != nil {
			return nil, fmt.Errorf("reading the paper's figures: %w", err)
		}
		if line[5] != "" {
			if c.Budget, err = strconv.ParseFloat(line[5], 64); err != nil {
				return nil, fmt.Errorf("reading the paper's figures: %w", err)
			}
		}
		if key := [3]string{c.Model, c.Variant, c.Task}; !seen[key] {
			seen[key] = true
			out = append(out, c)
		}
	}
	return out, nil
}

// An Against is a run beside the paper's published figures.
type Against struct {
	Paper string        `json:"paper"`
	Lines []AgainstLine `json:"lines"`
	Notes []string      `json:"notes,omitempty"`
}

// An AgainstLine is one variant on one task beside the figure of one of the paper's
// models. Where that is the run's own model, scores are compared, else what is left
// of the full cache's score.
type AgainstLine struct {
	Model         string          `json:"model"`
	ContextLength int             `json:"context_length"`
	Task          string          `json:"task"`
	Variant       string          `json:"variant"`
	PaperModel    string          `json:"paper_model"`
	Ours          float64         `json:"ours"` // score, or percent of the full cache's score
	Interval      *stats.Interval `json:"interval,omitempty"`
	Paper         float64         `json:"paper"`
	Difference    float64         `json:"difference"`   // ours less the paper's
	Within        *bool           `json:"within"`       // the paper's figure lies in our interval; nil without one, or where it has no width
	OurBudget     float64         `json:"our_budget"`   // percent
	PaperBudget   float64         `json:"paper_budget"` // 0: not printed
	Table         string          `json:"table"`
	Note          string          `json:"note,omitempty"`
}

// Relative tells whether the line compares shares of the full cache's score.
func (l AgainstLine) Relative() bool { return l.PaperModel != l.Model }

// AgainstPaper puts a summary beside the paper's figures.
func (s Summary) AgainstPaper() (Against, error) {
	cells, err := PaperCells()
	if err != nil {
		return Against{}, err
	}
	out := Against{Paper: "arXiv 2502.16886v3"}
	for _, t := range s.Tables {
		own := slices.ContainsFunc(cells, func(c PaperCell) bool { return c.Model == t.Model })
		if !own {
			out.Notes = append(out.Notes, fmt.Sprintf("The paper has no figures of %s: what is compared is the share of the full cache's score, with those of its models.", t.Model))
		}
		if t.Protocol != "paper" {
			out.Notes = append(out.Notes, fmt.Sprintf("%s was run under the protocol %s, the paper's figures are of its own evaluation (protocol paper).", t.Model, t.Protocol))
		}
		for _, l := range t.Lines {
			for k, task := range t.Tasks {
				out.Lines = append(out.Lines, t.against(cells, own, l, k, task)...)
			}
		}
	}
	if len(out.Lines) == 0 && s.scoresNothing() {
		return out, fmt.Errorf("the full cache scores 0 on all of these tasks, so there is no share of its score to compare; run more records, or a larger model")
	}
	if len(out.Lines) == 0 {
		return out, fmt.Errorf("the paper has no figure of any of these tasks and variants; its variants are full, refreekv and h2o, snapkv, streamingllm, pyramidkv and cake with budgets of 0.9, 0.5 and 0.2")
	}
	return out, nil
}

// scoresNothing tells whether the full cache was run and scores 0 on every task.
func (s Summary) scoresNothing() bool {
	ran := false
	for _, t := range s.Tables {
		full := t.full()
		if full < 0 {
			continue
		}
		for _, c := range t.Lines[full].Cells {
			if c.Score > 0 {
				return false
			}
			ran = ran || c.Records > 0
		}
	}
	return ran
}

func (t Table) against(cells []PaperCell, own bool, l Line, k int, task string) (out []AgainstLine) {
	cell := l.Cells[k]
	if cell.Records == 0 || !own && l.Pruner == "full" {
		return nil
	}
	full := t.full()
	for _, c := range cells {
		if c.Task != task || c.Variant != l.Variant || own && c.Model != t.Model {
			continue
		}
		line := AgainstLine{
			Model: t.Model, ContextLength: t.ContextLength, Task: task, Variant: l.Variant, PaperModel: c.Model, Table: c.Table, Note: c.Note,
			Ours: cell.Score, Interval: cell.Interval, Paper: c.Score, OurBudget: cell.Budget, PaperBudget: c.Budget,
		}
		if !own {
			if full < 0 || t.Lines[full].Cells[k].Score <= 0 {
				continue
			}
			level := t.Lines[full].Cells[k].Score
			at := slices.IndexFunc(cells, func(f PaperCell) bool { return f.Model == c.Model && f.Task == task && f.Variant == "full" })
			if at < 0 || cells[at].Score <= 0 {
				continue
			}
			line.Ours, line.Paper, line.Interval = 100*cell.Score/level, 100*c.Score/cells[at].Score, nil
			if a := cell.Against; a != nil {
				line.Interval = &stats.Interval{Low: 100 * (1 + a.Interval.Low/level), High: 100 * (1 + a.Interval.High/level)}
			}
		}
		line.Difference = line.Ours - line.Paper
		// Records that all say the same tell nothing of what others would say.
		if line.Interval != nil && line.Interval.Width() > 0 {
			within := line.Interval.Holds(line.Paper)
			line.Within = &within
		}
		out = append(out, line)
	}
	return out
}

// Render is the comparison in one of Formats but tex, or as text for a screen.
func (a Against) Render(format string) ([]byte, error) {
	head := []string{"task", "variant", "paper's model", "ours", "interval", "paper", "difference", "within", "our budget", "paper's budget", "where", "note"}
	cells := func(l AgainstLine) []string {
		unit, interval, within := "", "", ""
		if l.Relative() {
			unit = "%"
		}
		if i := l.Interval; i != nil {
			interval = fmt.Sprintf("%.2f to %.2f", i.Low, i.High)
			if l.Within != nil {
				within = map[bool]string{true: "yes", false: "no"}[*l.Within]
			}
		}
		budget := ""
		if l.PaperBudget > 0 {
			budget = fmt.Sprintf("%.1f%%", l.PaperBudget)
		}
		return []string{l.Task, l.Variant, l.PaperModel, fmt.Sprintf("%.2f%s", l.Ours, unit), interval, fmt.Sprintf("%.2f%s", l.Paper, unit), fmt.Sprintf("%+.2f", l.Difference), within,
			fmt.Sprintf("%.1f%%", l.OurBudget), budget, l.Table, l.Note}
	}
	var buf bytes.Buffer
	switch format {
	case "json":
		return encodeJSON(a)
	case "csv":
		w := csv.NewWriter(&buf)
		w.Write(append([]string{"model", "context_length"}, head...)) // a buffer takes every write
		for _, l := range a.Lines {
			w.Write(append([]string{l.Model, strconv.Itoa(l.ContextLength)}, cells(l)...))
		}
		w.Flush()
	case "md":
		for i, l := range a.Lines {
			if i == 0 || l.Model != a.Lines[i-1].Model || l.ContextLength != a.Lines[i-1].ContextLength {
				fmt.Fprintf(&buf, "\n## %s, context length %d, beside %s\n\n", escapeMarkdown(l.Model), l.ContextLength, a.Paper)
				writeMarkdownLine(&buf, head)
				buf.WriteString("|---|---|---|---:|---:|---:|---:|---|---:|---:|---|---|\n")
			}
			line := cells(l)
			for k := range line {
				line[k] = escapeMarkdown(line[k])
			}
			writeMarkdownLine(&buf, line)
		}
		for _, note := range a.Notes {
			fmt.Fprintf(&buf, "\n%s\n", escapeMarkdown(note))
		}
	default:
		return nil, fmt.Errorf("format %q is none of md, csv, json", format)
	}
	return buf.Bytes(), nil
}
