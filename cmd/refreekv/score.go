package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"refreekv/runners"
	"refreekv/tasks"
)

// scoreOptions are the flags of refreekv score.
type scoreOptions struct {
	predictions, task, protocol, data string
	asJSON                            bool
}

func newScore() *cobra.Command {
	var o scoreOptions
	cmd := &cobra.Command{
		Use:   "score RUN|--predictions FILE --task TASK",
		Short: "Score stored texts, or any tool's predictions, without the model",
		Long: `With a run's folder: scores its stored texts again with the tasks as they are
now, and writes its rows, tables and plots anew. run.yaml keeps what it says
about the run.

With --predictions: scores a JSON Lines file of any tool. A line holds the
generated text as pred, the references as answers and, for classification,
all_classes (LongBench's format). Lines without answers take those of the data
set: of the record with the line's _id or, without one, of the record at the
line's place.`,
		Example: `  refreekv score results/quickstart
  refreekv score --predictions FILE.jsonl --task qasper
  refreekv score --predictions FILE.jsonl --task gsm8k --data DIR --json`,
		RunE: func(cmd *cobra.Command, args []string) error { return score(cmd, args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.predictions, "predictions", "", "score this JSON Lines `FILE` instead of a run")
	f.StringVar(&o.task, "task", "", "the predictions' `TASK`: a name or a .yaml file")
	f.StringVar(&o.protocol, "protocol", tasks.Protocols[0], protocolHelp)
	f.StringVar(&o.data, "data", "", "`DIR` with data sets, looked in first (default: the run's, else $REFREEKV_DATA)")
	f.BoolVar(&o.asJSON, "json", false, "with --predictions: print one object with the score of each line and the mean, 0 to 1")
	return cmd
}

// protocolHelp describes the flag --protocol.
var protocolHelp = "`PROTOCOL`: " + strings.Join(tasks.Protocols, " or ") + ", or with settings switched to the other's value, e.g. standard+chat or paper-truncate"

func score(cmd *cobra.Command, args []string, o scoreOptions) error {
	if o.predictions == "" {
		for _, flag := range []string{"task", "protocol", "json"} {
			if cmd.Flags().Changed(flag) {
				return usageError{fmt.Errorf("--%s goes with --predictions; a run tells its own tasks and protocol", flag)}
			}
		}
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s wants one run's folder, or --predictions FILE; got %s", cmd.CommandPath(), plural(len(args), "argument"))}
		}
		return scoreRun(cmd, args[0], o.data)
	}
	switch {
	case len(args) > 0:
		return usageError{fmt.Errorf("%s wants either a run's folder (%s) or --predictions FILE", cmd.CommandPath(), args[0])}
	case o.task == "":
		return usageError{fmt.Errorf("--predictions wants --task, whose metric is used; refreekv list tasks shows what there is")}
	}
	if err := tasks.CheckProtocol(o.protocol); err != nil {
		return usageError{fmt.Errorf("--protocol %w", err)}
	}
	return scorePredictions(cmd, o)
}

func scoreRun(cmd *cobra.Command, dir, data string) error {
	done, all, _, err := runners.Rescore(cmd.Context(), dir, data, downloadProgress(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	for _, t := range done {
		if t.Redefined {
			fmt.Fprintf(stderr, "task %s: its definition is not that of the run; the texts are still those of the run's prompts\n", t.Task)
		}
		if t.Kept != "" {
			fmt.Fprintf(stderr, "task %s: %s; its scores stay as they are\n", t.Task, t.Kept)
			continue
		}
		fmt.Fprintf(stderr, "task %s: %d of %s changed; mean %.2f, before %.2f\n", t.Task, t.Changed, plural(t.Rows, "score"), 100*t.After, 100*t.Before)
	}
	return writeReport(cmd, dir, all, usualReport, plural(len(all), "row"))
}

// A scoreReport is what --json prints. Scores are 0 to 1.
type scoreReport struct {
	Task     string             `json:"task"`
	Protocol string             `json:"protocol"`
	Metric   string             `json:"metric"`
	Scores   []float64          `json:"scores"` // of each line
	Mean     float64            `json:"mean"`
	ByLength map[string]float64 `json:"by_length,omitempty"` // LongBench-E: means by length in words
}

func scorePredictions(cmd *cobra.Command, o scoreOptions) error {
	task, definition, err := findTask(o.task, o.protocol)
	if err != nil {
		return err
	}
	predictions, err := task.Predictions(cmd.Context(), definition, o.predictions, o.data)
	if err != nil {
		return err
	}
	report := scoreReport{Task: task.Name, Protocol: o.protocol, Metric: definition.Metric, Scores: make([]float64, len(predictions))}
	for i, p := range predictions {
		report.Scores[i] = definition.ScoreAgainst(p.Text, p.Refs)
		report.Mean += report.Scores[i]
	}
	report.Mean /= float64(len(predictions))
	if strings.HasSuffix(task.Name, "_e") {
		report.ByLength = byLength(predictions, report.Scores)
	}
	if o.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	printScores(cmd.OutOrStdout(), report)
	return nil
}

// buckets are LongBench-E's ranges of length in words.
var buckets = []struct {
	name string
	end  int64
}{{"0-4k", 4000}, {"4-8k", 8000}, {"8k+", 1 << 62}}

// byLength are the means of the lines that tell their length.
func byLength(predictions []tasks.Prediction, scores []float64) map[string]float64 {
	out := map[string]float64{}
	begin := int64(1)
	for _, b := range buckets {
		sum, n := 0.0, 0
		for i, p := range predictions {
			if p.Length >= begin && p.Length < b.end {
				sum, n = sum+scores[i], n+1
			}
		}
		if n > 0 {
			out[b.name] = sum / float64(n)
		}
		begin = b.end
	}
	return out
}

func printScores(w io.Writer, r scoreReport) {
	fmt.Fprintf(w, "%s, protocol %s, metric %s: %.2f over %s\n", r.Task, r.Protocol, r.Metric, 100*r.Mean, plural(len(r.Scores), "line"))
	for _, b := range buckets {
		if mean, ok := r.ByLength[b.name]; ok {
			fmt.Fprintf(w, "  %s words: %.2f\n", b.name, 100*mean)
		}
	}
}
