package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"refreekv/reports"
	"refreekv/runners"
	"refreekv/runners/rows"
	"refreekv/spelling"
)

func newReport() *cobra.Command {
	var out, format, against string
	var texts, mixed bool
	var margin float64
	cmd := &cobra.Command{
		Use:   "report RUN…",
		Short: "Write the tables and plots of stored runs again, merging shards",
		Long: `Writes the tables and plots of a run's folder again. Several folders (shards of
one experiment, or runs of other models or tasks) are merged into a folder of
their own, which then is a run's folder like any other.`,
		Example: `  refreekv report results/quickstart
  refreekv report results/quickstart --format tex > table.tex
  refreekv report results/big/shard-* --out results/big
  refreekv report results/table-2 --against paper`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s wants at least one run's folder", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(margin > 0) || margin > 100 {
				return usageError{fmt.Errorf("--margin %g: want a loss in points, above 0", margin)}
			}
			if against != "" {
				if !cmd.Flags().Changed("format") {
					format = "md"
				}
				return printAgainst(cmd, args, against, format, margin, mixed)
			}
			if cmd.Flags().Changed("format") {
				if out != "" {
					return usageError{fmt.Errorf("--format prints to stdout, --out writes files; give one of them")}
				}
				return printReport(cmd.OutOrStdout(), args, format, margin, mixed)
			}
			return report(cmd, args, out, texts, margin, mixed)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&mixed, "mixed", false, "average rows that different versions or kernels of the program computed")
	f.StringVarP(&out, "out", "o", "", "write into this `DIR` (default: the run's own folder)")
	f.StringVar(&format, "format", "", "print only this `FORMAT` to stdout: "+strings.Join(reports.Formats, ", "))
	f.StringVar(&against, "against", "", "print the run beside published figures, of `WHOM`: paper (arXiv 2502.16886); with --format md, tex, csv or json")
	f.Float64Var(&margin, "margin", reports.DefaultMargin, "loss in `POINTS` within which a variant counts as lossless")
	f.BoolVar(&texts, "texts", true, "show prompts and generated texts in index.html; with --texts=false, for results that are published, rows that go to another folder (--out) lose them too")
	return cmd
}

func report(cmd *cobra.Command, dirs []string, out string, texts bool, margin float64, mixed bool) error {
	if out == "" {
		if len(dirs) > 1 {
			return usageError{fmt.Errorf("merging %d runs needs a folder of its own: --out DIR", len(dirs))}
		}
		out = dirs[0]
	}
	all, provenance, err := readToReport(dirs, mixed)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s holds no finished record; there is nothing to report", strings.Join(dirs, ", "))
	}
	own := runners.SameFolder(out, dirs[0])
	for _, dir := range dirs {
		if len(dirs) > 1 && runners.SameFolder(out, dir) {
			return usageError{fmt.Errorf("--out %s is one of the runs to merge; choose another folder", out)}
		}
	}
	if !own && !texts {
		all, provenance = runners.WithoutTexts(all, provenance)
	}
	if !own {
		if err := runners.WriteRun(out, all, provenance); err != nil {
			return err
		}
	}
	return writeReport(cmd, out, all, reportOptions{texts, margin}, plural(len(all), "row"))
}

// readToReport reads runs to be averaged, which different programs may have
// computed only where that is asked for.
func readToReport(dirs []string, mixed bool) ([]rows.Row, *runners.Provenance, error) {
	all, provenance, err := runners.ReadRuns(dirs)
	if err != nil || mixed {
		return all, provenance, err
	}
	if err := provenance.Mixed(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", strings.Join(dirs, ", "), err)
	}
	return all, provenance, nil
}

func printReport(w io.Writer, dirs []string, format string, margin float64, mixed bool) error {
	if !reports.IsFormat(format) {
		return usageError{fmt.Errorf("--format: there is no %q%s", format, spelling.OneOf(format, reports.Formats))}
	}
	all, provenance, err := readToReport(dirs, mixed)
	if err != nil {
		return err
	}
	text, err := reports.Render(all, reports.Options{Title: provenance.Config.Name, Margin: margin}, format)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(dirs, ", "), err)
	}
	_, err = w.Write(text)
	return err
}

// printAgainst prints runs beside published figures.
func printAgainst(cmd *cobra.Command, dirs []string, what, format string, margin float64, mixed bool) error {
	if what != "paper" {
		return usageError{fmt.Errorf("--against %q: there are the figures of paper (arXiv 2502.16886) only", what)}
	}
	all, provenance, err := readToReport(dirs, mixed)
	if err != nil {
		return err
	}
	summary, err := reports.Summarize(all, reports.Options{Title: provenance.Config.Name, Margin: margin})
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(dirs, ", "), err)
	}
	beside, err := summary.AgainstPaper()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(dirs, ", "), err)
	}
	text, err := beside.Render(format)
	if err != nil {
		return usageError{err}
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}
