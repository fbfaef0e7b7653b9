package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"refreekv/configs"
	"refreekv/datasets"
	"refreekv/metrics"
	"refreekv/model"
	"refreekv/model/hub"
	"refreekv/pruners"
	"refreekv/runners"
	"refreekv/spelling"
	"refreekv/tasks"
)

// kinds are what refreekv list lists.
var kinds = []struct {
	name string
	list func(io.Writer)
}{
	{"models", listModels}, {"tasks", listTasks}, {"datasets", listDatasets}, {"pruners", listPruners}, {"metrics", listMetrics}, {"configs", listConfigs},
}

func newList() *cobra.Command {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return &cobra.Command{
		Use:       "list " + strings.Join(names, "|"),
		Short:     "List what there is, a line each",
		Example:   "  refreekv list pruners\n  refreekv list configs",
		ValidArgs: names,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usageError{fmt.Errorf("%s wants one of %s; got %s", cmd.CommandPath(), strings.Join(names, ", "), plural(len(args), "argument"))}
			case !slices.Contains(names, args[0]):
				return usageError{fmt.Errorf("cannot list %q%s", args[0], spelling.OneOf(args[0], names))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			list, out := kinds[slices.Index(names, args[0])].list, cmd.OutOrStdout()
			if !isTerminal(out) { // a line each, for grep
				list(out)
				return nil
			}
			var lines strings.Builder
			list(&lines)
			_, err := io.WriteString(out, folded(lines.String(), terminalWidth()))
			return err
		},
	}
}

// folded breaks lines that are longer than a width between words; what follows is
// indented further than the line is.
func folded(text string, width int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		indent := strings.Repeat(" ", 4+len(line)-len(strings.TrimLeft(line, " ")))
		for utf8.RuneCountInString(line) > width {
			runes := []rune(line)
			at := strings.LastIndex(string(runes[:width+1]), " ")
			if at <= len(indent) {
				break // a word longer than the line
			}
			fmt.Fprintln(&out, strings.TrimRight(line[:at], " "))
			line = indent + strings.TrimLeft(line[at:], " ")
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
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

func listConfigs(w io.Writer) {
	table(w, func(row func(string, ...any)) {
		for _, name := range configs.Names() {
			// What does not load is found by the tests.
			if c, err := runners.LoadConfig(name, runners.Overrides{}); err == nil {
				row("%s\t%s", name, c.About)
			}
		}
	})
}

func listPruners(w io.Writer) {
	for _, p := range pruners.List() {
		fmt.Fprintf(w, "%s: %s (%s)\n", p.Name, p.About, p.Paper)
		fmt.Fprintf(w, "  records %s\n", strings.Join(records(p), "; "))
		table(w, func(row func(string, ...any)) {
			for _, o := range p.Options {
				about := o.About
				if unnamed := func(choice string) bool { return !strings.Contains(about, choice) }; slices.ContainsFunc(o.Choices, unnamed) {
					about += ": " + strings.Join(o.Choices, ", ")
				}
				row("  %s\t%s\t%s", o.Name, o.DefaultText(), about)
			}
		})
	}
}

// records says what a pruner asks prefill to record with its defaults, and with
// which choices it asks for something else.
func records(p pruners.Info) []string {
	given := map[string]any{}
	for _, o := range p.Options {
		if o.Default == nil {
			given[o.Name] = 0.5 // a budget, which needs do not depend on
		}
	}
	needs := func(option string, choice any) (model.Needs, bool) {
		spec := pruners.Spec{Name: p.Name, Options: maps.Clone(given)}
		if option != "" {
			spec.Options[option] = choice
		}
		pruner, err := pruners.New(spec)
		if err != nil { // a choice that goes with others only
			return model.Needs{}, false
		}
		return pruner.Needs(), true
	}
	usual, _ := needs("", nil)
	out := []string{recorded(usual)}
	for _, o := range p.Options {
		if o.Name == "score" {
			out = append(out, "with another score what that one needs")
			continue
		}
		for _, choice := range o.Choices {
			if n, ok := needs(o.Name, choice); ok && n != usual {
				out = append(out, fmt.Sprintf("with %s=%s %s", o.Name, choice, recorded(n)))
			}
		}
	}
	return out
}

// recorded says in words what needs ask for.
func recorded(n model.Needs) string {
	var parts []string
	switch {
	case n.RowShare > 0:
		parts = append(parts, fmt.Sprintf("the last %g %% of the prompt's attention rows, at least %d", 100*n.RowShare, n.LastRows))
	case n.LastRows == 1:
		parts = append(parts, "the last attention row")
	case n.LastRows > 1:
		parts = append(parts, fmt.Sprintf("the last %d attention rows", n.LastRows))
	}
	for _, need := range []struct {
		asked bool
		what  string
	}{
		{n.ColumnSums, "the attention that every key received"},
		{n.Queries, "every query"},
		{n.QueryMoments, "mean and covariance of the queries"},
		{n.HiddenMoments, "mean and variance of the hidden states"},
	} {
		if need.asked {
			parts = append(parts, need.what)
		}
	}
	if len(parts) == 0 {
		return "keys and values alone"
	}
	return strings.Join(parts, " and ")
}
