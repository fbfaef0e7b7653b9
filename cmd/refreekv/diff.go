package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

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
	diff, err := reports.Compare(a, b)
	return diff, settings, err
}

func printDiff(w io.Writer, d reports.Diff, settings []runners.Difference, most int) {
	for _, s := range settings {
		fmt.Fprintf(w, "%s: %s → %s\n", s.Name, shortened(s.First), shortened(s.Second))
	}
	if len(settings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, d.Headline())
	if changed := d.Changed(); len(changed) > 0 {
		fmt.Fprintln(w)
		table(w, func(row func(string, ...any)) {
			row("task\tvariant\trows\terrors\tprompts\ttexts\tkept\tscores\tfidelity\tmean\tchange\tp")
			for _, g := range changed {
				row("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f → %.2f\t%+.2f\t%.3f", g.Task, g.Variant, g.Rows, g.Errors, g.Prompts, g.Texts, g.Kept, g.Scores, g.Fidelity, g.First, g.Second, g.Second-g.First, g.P)
			}
		})
	}
	if most == 0 || len(d.Rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\nrows that changed most:\n")
	for _, r := range d.Rows[:min(most, len(d.Rows))] {
		fmt.Fprintf(w, "%s, record %s, %s (%s): score %.1f → %.1f, kept %.1f%% → %.1f%%\n", r.Task, r.Record, r.Variant, strings.Join(r.Differs, ", "), r.Score[0], r.Score[1], r.Budget[0], r.Budget[1])
		if r.Text[0] == r.Text[1] && r.Error[0] == r.Error[1] {
			continue
		}
		for i, sign := range []string{"-", "+"} {
			text := r.Text[i]
			if r.Error[i] != "" {
				text = "error: " + r.Error[i]
			}
			fmt.Fprintf(w, "  %s %s\n", sign, shortened(text))
		}
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

// shortened is a text as one line of at most 100 characters.
func shortened(s string) string {
	const most = 100
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	if s == "" {
		return "(nothing)"
	}
	return s
}
