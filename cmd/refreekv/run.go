package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"refreekv/reports"
	"refreekv/runners"
	"refreekv/runners/rows"
)

func newRun() *cobra.Command {
	var o runners.Overrides
	var out, shard, memory string
	var batch int
	cmd := &cobra.Command{
		Use:   "run CONFIG",
		Short: "Run (or resume) an experiment and write its tables and plots",
		Long: `Runs the experiment that CONFIG describes: a YAML file, or the name of a
built-in one (refreekv list configs). Every record is prefilled once for all
variants. A run that was stopped goes on where it was when the same command is
given again.

The run's folder holds run.yaml (the config as run and the provenance),
rows.jsonl and rows.parquet (one row per model, context length, task, record
and variant), summary.md, .tex, .csv, .json, figures/ and index.html, a page
for the browser.`,
		Example: `  refreekv run quickstart --limit 1
  refreekv run longbench-mini --data DIR --tasks qasper,lcc
  refreekv run quickstart --variants full --variants "snapkv budget=0.3"
  refreekv run my.yaml --set "context_lengths=[2048, 4096]" --out results/long`,
		Args: exactly(1, "the path or name of one config"),
		RunE: func(cmd *cobra.Command, args []string) error {
			part, err := parseShard(shard)
			if err != nil {
				return usageError{err}
			}
			bytes, err := parseMemory(memory)
			if err != nil {
				return usageError{err}
			}
			if err := checkOverrides(cmd, o); err != nil {
				return err
			}
			if batch < 0 {
				return usageError{fmt.Errorf("--batch %d: want at least 1 token", batch)}
			}
			config, err := runners.LoadConfig(args[0], o)
			if err != nil {
				return asUsage(err)
			}
			dir := out
			if dir == "" {
				dir = filepath.Join("results", config.Name)
			}
			return runExperiment(cmd, config, runners.ShardDir(dir, part.Index+1, part.Count), part, bytes, batch)
		},
	}
	f := cmd.Flags()
	overrideFlags(f, &o)
	groupFlags(f, "Changes to the config")
	f.StringVarP(&out, "out", "o", "", "the run's `DIR` (default results/ and the config's name)")
	f.StringVar(&shard, "shard", "", "run part `I/N` of the work, such as 2/8, into a folder of its own; merge them with refreekv report")
	f.StringVar(&memory, "memory", "", "`SIZE` that weights and the records in hand may take, such as 8GB; a record that needs more fails alone (default 80 % of the machine's memory)")
	f.IntVar(&batch, "batch", 0, fmt.Sprintf("feed up to `N` tokens in a decode step, over the variants of all records in hand; 1: one record at a time (default %d)", runners.DefaultBatch))
	groupFlags(f, "How it is run")
	return cmd
}

// checkOverrides refuses flags that are given but say nothing.
func checkOverrides(cmd *cobra.Command, o runners.Overrides) error {
	if cmd.Flags().Changed("limit") && o.Limit < 1 {
		return usageError{fmt.Errorf("--limit %d: want at least 1 record of each task", o.Limit)}
	}
	return notEmpty(cmd, "model", "tasks")
}

// memoryUnits are the units that --memory is given in.
var memoryUnits = map[string]float64{
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// parseMemory reads a size with its unit; the default is a share of the machine's
// memory, where that is known.
func parseMemory(s string) (int64, error) {
	if s == "" {
		return totalMemory() / 5 * 4, nil
	}
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, ok := memoryUnits[strings.ToLower(strings.TrimSpace(s[len(number):]))]
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !ok || !(x*unit >= 1) || x*unit > 1e18 {
		return 0, fmt.Errorf("--memory %q: want a size with its unit, such as 500MB, 8GB or 8GiB", s)
	}
	return int64(x * unit), nil
}

// parseShard reads "i/n", i from 1, or "i+1/n" with i from 0, as cluster schedulers
// count that can put a number into a command but not add to it.
func parseShard(s string) (runners.Shard, error) {
	if s == "" {
		return runners.Shard{}, nil
	}
	i, n, ok := strings.Cut(s, "/")
	i, from0 := strings.CutSuffix(i, "+1")
	index, err1 := strconv.Atoi(i)
	if from0 {
		index++
	}
	count, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || index < 1 || index > count {
		return runners.Shard{}, fmt.Errorf("--shard %q: want i/n with i from 1 to n, e.g. 2/8", s)
	}
	return runners.Shard{Index: index - 1, Count: count}, nil
}

func runExperiment(cmd *cobra.Command, config *runners.Config, dir string, part runners.Shard, memory int64, batch int) error {
	stderr := cmd.ErrOrStderr()
	begin := time.Now()
	result, err := runners.Run(cmd.Context(), config, runners.Options{
		Dir: dir, Shard: part, Memory: memory, Batch: batch, Fetch: downloadProgress(stderr), Progress: runProgress(stderr),
		Notice: func(text string) { fmt.Fprintln(stderr, text) },
	})
	if errors.Is(err, context.Canceled) {
		if _, statErr := os.Stat(filepath.Join(dir, "rows.jsonl")); statErr != nil {
			return errors.New("interrupted before the first record was finished; nothing is stored")
		}
		return fmt.Errorf("interrupted; the finished records are stored in %s, give the same command again to go on", dir)
	}
	if err != nil {
		return err
	}
	if len(result.Rows) == 0 {
		fmt.Fprintf(stderr, "shard %d of %d holds no record; there is nothing to run\n", part.Index+1, part.Count)
		return nil
	}
	return writeReport(cmd, dir, result.Rows, usualReport, fmt.Sprintf("%s in %s", plural(len(result.Rows), "row"), time.Since(begin).Round(time.Second)))
}

// asUsage makes errors of the command line's own values usage errors; what is
// wrong with a file stays a plain one.
func asUsage(err error) error {
	var override *runners.OverrideError
	if errors.As(err, &override) || errors.Is(err, runners.ErrNoConfig) {
		return usageError{err}
	}
	return err
}

// reportOptions say how a report is written.
type reportOptions struct {
	texts  bool    // the page holds prompts and what was generated
	margin float64 // within which a variant counts as lossless, in points
}

var usualReport = reportOptions{true, reports.DefaultMargin}

// writeReport writes a run's tables, figures and page and shows the table.
func writeReport(cmd *cobra.Command, dir string, all []rows.Row, o reportOptions, done string) error {
	provenance, err := runners.ReadProvenance(dir)
	if err != nil {
		return err
	}
	summary, err := reports.WriteAll(dir, all, reports.Options{Title: provenance.Config.Name, Margin: o.margin})
	if err != nil {
		return err
	}
	page, err := writePage(cmd, dir, provenance, summary, all, o.texts)
	if err != nil {
		return err
	}
	colour := isTerminal(cmd.OutOrStdout()) && os.Getenv("NO_COLOR") == ""
	reports.Terminal(cmd.OutOrStdout(), summary, terminalWidth(), colour)
	stderr := cmd.ErrOrStderr()
	reports.Timings(stderr, all)
	fmt.Fprintf(stderr, "%s\nto look through: %s; tables and figures beside it\n", done, page)
	return nil
}

// writePage writes a run's index.html.
func writePage(cmd *cobra.Command, dir string, provenance *runners.Provenance, summary reports.Summary, all []rows.Row, texts bool) (path string, err error) {
	page := reports.Page{Title: provenance.Config.Name, Summary: summary, Rows: all, Version: runners.Version(), NoTexts: !texts || provenance.NoTexts}
	if page.Provenance, err = provenance.YAML(); err != nil {
		return "", err
	}
	if !page.NoTexts {
		var missing string
		if page.Prompts, missing, err = runners.Prompts(cmd.Context(), provenance, all); err != nil {
			return "", err
		}
		if missing != "" {
			slog.Info("the page", "note", missing)
		}
	}
	return reports.WritePage(dir, page)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// terminalWidth is the width of the terminal that stdout is, or 100 columns.
func terminalWidth() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w >= 40 {
		return w
	}
	return 100
}
