package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"refreekv/datasets"
	"refreekv/model"
	"refreekv/tasks"
)

func newShow() *cobra.Command {
	var n, length int
	var modelName, protocol, data string
	cmd := &cobra.Command{
		Use:     "show TASK",
		Short:   "Show the exact prompt, token count and references of a task's records",
		Example: "  refreekv show sample_qa -n 1\n  refreekv show qasper -n 3 --protocol paper --data DIR",
		Args:    exactly(1, "the name of one task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			task, err := tasks.Load(args[0])
			if err != nil {
				return err
			}
			definition, err := task.Protocol(protocol)
			if err != nil {
				return err
			}
			records, err := datasets.Open(cmd.Context(), task.Dataset, datasets.Options{Dir: data, Limit: n, Progress: downloadProgress(cmd.ErrOrStderr())})
			if err != nil {
				return err
			}
			m, err := model.Find(cmd.Context(), modelName, downloadProgress(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer m.Close()
			for _, record := range records {
				if err := showRecord(cmd, m, definition, record, length); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVarP(&n, "records", "n", 1, "how many records")
	f.IntVar(&length, "context-length", 4096, "longest prompt in tokens")
	f.StringVar(&modelName, "model", defaultModel, "model whose tokenizer and chat template are used")
	f.StringVar(&protocol, "protocol", "standard", "standard or paper")
	f.StringVar(&data, "data", os.Getenv("REFREEKV_DATA"), "folder with data sets, looked in first (default $REFREEKV_DATA)")
	return cmd
}

// defaultModel is used where a command needs a model and none is named.
const defaultModel = "smollm2-135m-instruct"

func showRecord(cmd *cobra.Command, m *model.Model, d *tasks.Definition, record datasets.Record, length int) error {
	prompt, err := d.Prompt(tasks.Model{Tokenizer: m.Tokenizer, Family: m.Family(), MaxPositions: m.Config.MaxPositions}, record, length)
	if err != nil {
		return fmt.Errorf("record %s: %w", record.ID, err)
	}
	refs, err := d.References(record)
	if err != nil {
		return fmt.Errorf("record %s: %w", record.ID, err)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "── record %s  (%s)\n", record.ID, record.Source)
	truncated := ""
	if prompt.Truncated {
		truncated = ", truncated in the middle"
	}
	fmt.Fprintf(w, "── prompt: %d tokens%s; at most %d new ones; metric %s\n", len(prompt.Tokens), truncated, d.MaxNewTokens, d.Metric)
	fmt.Fprintln(w, prompt.Text)
	fmt.Fprintln(w, "── references")
	for _, answer := range refs.Answers {
		fmt.Fprintf(w, "%q\n", answer)
	}
	fmt.Fprintln(w)
	return nil
}
