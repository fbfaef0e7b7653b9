package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"refreekv/datasets"
	"refreekv/metrics"
	"refreekv/model/hub"
	"refreekv/pruners"
	"refreekv/runners"
	"refreekv/tasks"
)

// kinds are what refreekv list lists.
var kinds = []struct {
	name string
	list func(io.Writer)
}{
	{"models", listModels}, {"tasks", listTasks}, {"datasets", listDatasets}, {"pruners", listPruners}, {"metrics", listMetrics},
}

func newList() *cobra.Command {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return &cobra.Command{
		Use:       "list " + strings.Join(names, "|"),
		Short:     "List what there is, a line each",
		Example:   "  refreekv list pruners",
		ValidArgs: names,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usageError{fmt.Errorf("%s wants one of %s; got %s", cmd.CommandPath(), strings.Join(names, ", "), plural(len(args), "argument"))}
			case !slices.Contains(names, args[0]):
				return usageError{fmt.Errorf("cannot list %q; want one of %s%s", args[0], strings.Join(names, ", "), runners.DidYouMean(args[0], names))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds[slices.Index(names, args[0])].list(cmd.OutOrStdout())
			return nil
		},
	}
}

// table prints lines of tab-separated cells aligned.
func table(w io.Writer, lines func(row func(format string, args ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lines(func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) })
	t.Flush()
}

func listModels(w io.Writer) {
	table(w, func(row func(string, ...any)) {
		for _, m := range hub.Models() {
			row("%s\t%s\t%s", m.Name, m.Repo, m.About)
		}
	})
}

func listTasks(w io.Writer) {
	table(w, func(row func(string, ...any)) {
		for _, t := range tasks.List() {
			row("%s\t%s\t%s", t.Name, t.Dataset, t.About)
		}
	})
}

func listDatasets(w io.Writer) {
	table(w, func(row func(string, ...any)) {
		for _, d := range datasets.List() {
			row("%s\t%s\t%s", d.Name, d.Licence, d.About)
		}
	})
}

func listMetrics(w io.Writer) {
	table(w, func(row func(string, ...any)) {
		for _, m := range metrics.List() {
			row("%s\t%s", m.Name, m.About)
		}
	})
}

func listPruners(w io.Writer) {
	for _, p := range pruners.List() {
		fmt.Fprintf(w, "%s: %s (%s)\n", p.Name, p.About, p.Paper)
		table(w, func(row func(string, ...any)) {
			for _, o := range p.Options {
				row("  %s\t%s\t%s", o.Name, o.DefaultText(), o.About)
			}
		})
	}
}
