package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"refreekv/reports"
	"refreekv/runners"
)

func newDiff() *cobra.Command {
	var asJSON, exitCode bool
	var most int
	cmd := &cobra.Command{
		Use:   "diff RUN1 RUN2",
		Short: "List what changed between two runs",
		Long: `Lists in which settings two runs differ and which of their rows do: errors,
prompts, generated texts, kept entries, fidelity, scores, with the p-value of a
paired sign-flip test, and the records that changed most. Rows are matched by
record, variant, model and context length; where each run has one model only, or
one context length, these may differ.`,
		Example: `  refreekv diff results/before results/after
  refreekv diff results/before results/after --rows 50
  refreekv diff results/before results/after --exit-code && echo same`,
		Args: exactly(2, "the folders of two runs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if most < 0 {
				return usageError{fmt.Errorf("--rows %d is negative", most)}
			}
			diff, settings, err := readDiff(args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				err := printJSON(cmd.OutOrStdout(), struct {
					Settings []runners.Difference `json:"settings"`
					reports.Diff
				}{settings, diff})
				if err != nil {
					return err
				}
			} else {
				printDiff(cmd.OutOrStdout(), diff, settings, most)
			}
			if exitCode && !diff.Same() {
				return fmt.Errorf("%s and %s differ", args[0], args[1])
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object with everything")
	f.IntVar(&most, "rows", 10, "show the `N` rows that changed most")
	f.BoolVar(&exitCode, "exit-code", false, "end with exit code 1 where rows differ")
	return cmd
}

func readDiff(first, second string) (reports.Diff, []runners.Difference, error) {
	a, before, err := runners.ReadRuns([]string{first})
	if err != nil {
		return reports.Diff{}, nil, err
	}
	b, after, err := runners.ReadRuns([]string{second})
	if err != nil {
		return reports.Diff{}, nil, err
	}
	settings, err := before.Differences(after)
	if err != nil {
		return reports.Diff{}, nil, err
	}
	// Texts that one of the runs was published without are no difference of its rows.
	if before.NoTexts != after.NoTexts {
		a, _ = runners.WithoutTexts(a, before)
		b, _ = runners.WithoutTexts(b, after)
	}
	diff, err := reports.Compare(a, b)
	return diff, settings, err
}

func printDiff(w io.Writer, d reports.Diff, settings []runners.Difference, most int) {
	for _, s := range settings {
		printSetting(w, s)
	}
	if len(settings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, d.Headline())
	printGroups(w, d.Changed())
	if most == 0 {
		return
	}
	printOnly(w, d.Only, most)
	if len(d.Rows) > 0 {
		fmt.Fprintf(w, "\nrows that changed most:\n")
	}
	for _, r := range d.Rows[:min(most, len(d.Rows))] {
		printRow(w, r)
	}
}

// printSetting prints a setting that differs in a line, or in three.
func printSetting(w io.Writer, s runners.Difference) {
	line := fmt.Sprintf("%s: %s → %s", s.Name, shortened(s.First), shortened(s.Second))
	if utf8.RuneCountInString(line) > helpWidth {
		line = fmt.Sprintf("%s:\n  - %s\n  + %s", s.Name, shortened(s.First), shortened(s.Second))
	}
	fmt.Fprintln(w, line)
}

// nameWidth is how much of a line a variant's name takes beside its figures.
const nameWidth = 26

// wrapped breaks a name between its settings into lines, indented.
func wrapped(name string) []string {
	var out []string
	line := " "
	for _, word := range strings.Fields(name) {
		if line != " " && utf8.RuneCountInString(line+" "+word) > nameWidth {
			out, line = append(out, line), "   "
		}
		line += " " + word
	}
	return append(out, line)
}

// printGroups prints how many rows of each task and variant differ in what.
func printGroups(w io.Writer, changed []reports.DiffGroup) {
	if len(changed) == 0 {
		return
	}
	errors, prompts := 0, 0
	for _, g := range changed {
		errors, prompts = errors+g.Errors, prompts+g.Prompts
	}
	if errors > 0 {
		fmt.Fprintf(w, "%s: an error in one run only, or another one\n", plural(errors, "row"))
	}
	if prompts > 0 {
		fmt.Fprintf(w, "%s: another prompt; what else differs there is no effect of the variant\n", plural(prompts, "row"))
	}
	fmt.Fprintln(w)
	var lines strings.Builder
	table(&lines, func(row func(string, ...any)) {
		row("rows that differ in\trows\ttexts\tkept\tscores\tfidelity\tchange\tp")
		task := ""
		for _, g := range changed {
			if g.Task != task {
				task = g.Task
				row("%s\t\t\t\t\t\t\t", task)
			}
			name := wrapped(g.Variant)
			for _, part := range name[:len(name)-1] {
				row("%s\t\t\t\t\t\t\t", part)
			}
			row("%s\t%d\t%d\t%d\t%d\t%d\t%+.2f\t%.3f", name[len(name)-1], g.Rows, g.Texts, g.Kept, g.Scores, g.Fidelity, g.Second-g.First, g.P)
		}
	})
	for line := range strings.Lines(lines.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
	fmt.Fprintln(w, "change: of the mean score, in points; p: of a paired sign-flip test")
}

// printOnly prints the records that one run lacks, with the variants.
func printOnly(w io.Writer, only []reports.OnlyRow, most int) {
	type record struct {
		run          int
		task, record string
	}
	var order []record
	variants := map[record][]string{}
	for _, o := range only {
		r := record{o.Run, o.Task, o.Record}
		if variants[r] == nil {
			order = append(order, r)
		}
		variants[r] = append(variants[r], o.Variant)
	}
	for i, r := range order {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if i == most {
			fmt.Fprintf(w, "and %s more; --rows shows more of them, --json all\n", plural(len(order)-most, "record"))
			return
		}
		which := strings.Join(variants[r], ", ")
		if n := len(variants[r]); n > 2 {
			which = plural(n, "variant")
		}
		fmt.Fprintf(w, "only in the %s run: %s, record %s: %s\n", [...]string{1: "first", 2: "second"}[r.run], r.task, r.record, which)
	}
}

// printRow prints what differs in a row.
func printRow(w io.Writer, r reports.DiffRow) {
	fmt.Fprintf(w, "%s, record %s, %s: %s\n", r.Task, r.Record, r.Variant, strings.Join(r.Differs, ", "))
	fmt.Fprintf(w, "  score %.1f → %.1f, kept %.1f%% → %.1f%%\n", r.Score[0], r.Score[1], r.Budget[0], r.Budget[1])
	if r.Text[0] == r.Text[1] && r.Error[0] == r.Error[1] {
		return
	}
	for i, sign := range []string{"-", "+"} {
		text := r.Text[i]
		if r.Error[i] != "" {
			text = "error: " + r.Error[i]
		}
		fmt.Fprintf(w, "  %s %s\n", sign, shortened(text))
	}
}

// printJSON prints a value over several lines, for people as well.
func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}

// shortened is a text as one line that fits behind a mark.
func shortened(s string) string {
	const most = helpWidth - len("  + ")
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	if s == "" {
		return "(nothing)"
	}
	return s
}
