package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"refreekv/datasets"
	"refreekv/metrics"
	"refreekv/model/hub"
	"refreekv/pruners"
	"refreekv/tasks"
)

func newList() *cobra.Command {
	kinds := map[string]func(io.Writer){
		"models": listModels, "tasks": listTasks, "datasets": listDatasets, "pruners": listPruners, "metrics": listMetrics,
	}
	return &cobra.Command{
		Use:       "list models|tasks|datasets|pruners|metrics",
		Short:     "List what there is, a line each",
		ValidArgs: []string{"models", "tasks", "datasets", "pruners", "metrics"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && kinds[args[0]] != nil {
				return nil
			}
			return usageError{fmt.Errorf("%s wants one of models, tasks, datasets, pruners, metrics", cmd.CommandPath())}
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds[args[0]](cmd.OutOrStdout())
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
				row("  %s\t%v\t%s", o.Name, o.Default, o.About)
			}
		})
	}
}
