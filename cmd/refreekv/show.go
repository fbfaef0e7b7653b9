package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"refreekv/datasets"
	"refreekv/model"
	"refreekv/model/tensor"
	"refreekv/runners"
	"refreekv/tasks"
)

// showOptions are the flags of refreekv show.
type showOptions struct {
	records, length       int
	model, protocol, data string
	json                  bool
}

func newShow() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:     "show TASK",
		Short:   "Show the exact prompts, token counts and references of a task",
		Example: "  refreekv show sample_qa -n 1\n  refreekv show qasper -n 3 --protocol paper --data DIR",
		Args:    exactly(1, "the name of one task"),
		RunE:    func(cmd *cobra.Command, args []string) error { return show(cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.IntVarP(&o.records, "records", "n", 1, "show the first `N` records")
	f.IntVar(&o.length, "context-length", 4096, "longest prompt, `N` tokens")
	f.StringVar(&o.model, "model", defaultModel, "`MODEL` whose tokenizer and chat template are used")
	f.StringVar(&o.protocol, "protocol", tasks.Protocols[0], protocolHelp)
	f.StringVar(&o.data, "data", "", "`DIR` with data sets, looked in first (default $REFREEKV_DATA)")
	f.BoolVar(&o.json, "json", false, "print a JSON object a record: id, prompt, tokens, answers, max_new_tokens, …, for another program to run")
	return cmd
}

// shown is what show prints of a record with --json; of a protected task only
// what names it.
type shown struct {
	ID           string   `json:"id"`
	Source       string   `json:"source"`
	PromptHash   string   `json:"prompt_hash"`
	Truncated    bool     `json:"truncated"`
	MaxNewTokens int      `json:"max_new_tokens"`
	Metric       string   `json:"metric"`
	Prompt       string   `json:"prompt,omitempty"`
	Tokens       []int32  `json:"tokens,omitempty"`
	Answers      []string `json:"answers,omitempty"`
	Classes      []string `json:"all_classes,omitempty"`
}

// defaultModel is used where a command needs a model and none is named.
const defaultModel = "smollm2-135m-instruct"

func show(cmd *cobra.Command, name string, o showOptions) error {
	if err := o.check(); err != nil {
		return usageError{err}
	}
	task, definition, err := findTask(name, o.protocol)
	if err != nil {
		return err
	}
	records, err := datasets.Open(cmd.Context(), task.Dataset, datasets.Options{Dir: o.data, Limit: o.records, Progress: downloadProgress(cmd.ErrOrStderr())})
	if err != nil {
		return err
	}
	m, err := model.Find(cmd.Context(), o.model, tensor.Float32, downloadProgress(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer m.Close()
	for _, record := range records {
		if err := showRecord(cmd, m, definition, record, o); err != nil {
			return err
		}
	}
	return nil
}

func (o showOptions) check() error {
	switch {
	case o.records < 1:
		return fmt.Errorf("--records %d: want at least 1", o.records)
	case o.length < runners.MinContextLength:
		return fmt.Errorf("--context-length %d: want at least %d tokens", o.length, runners.MinContextLength)
	}
	if err := tasks.CheckProtocol(o.protocol); err != nil {
		return fmt.Errorf("--protocol %w", err)
	}
	return withFlag("--model", runners.CheckModel(o.model))
}

// findTask loads a task. A name that nothing stands behind is a wrong command
// line; what is wrong with a task's file is not.
func findTask(name, protocol string) (*tasks.Task, *tasks.Definition, error) {
	task, err := tasks.Load(name)
	if err != nil {
		if strings.HasSuffix(name, ".yaml") || errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		return nil, nil, usageError{err}
	}
	d, err := task.Protocol(protocol)
	return task, d, err
}

func showRecord(cmd *cobra.Command, m *model.Model, d *tasks.Definition, record datasets.Record, o showOptions) error {
	prompt, err := d.Prompt(tasks.Model{Tokenizer: m.Tokenizer, Family: m.Family(), MaxPositions: m.Config.MaxPositions}, record, o.length)
	if err != nil {
		return fmt.Errorf("record %s: %w", record.ID, err)
	}
	refs, err := d.References(record)
	if err != nil {
		return fmt.Errorf("record %s: %w", record.ID, err)
	}
	w := cmd.OutOrStdout()
	if o.json {
		line := shown{ID: record.ID, Source: record.Source, PromptHash: prompt.Hash(), Truncated: prompt.Truncated, MaxNewTokens: d.MaxNewTokens, Metric: d.Metric}
		if !d.Protected {
			line.Prompt, line.Tokens, line.Answers, line.Classes = prompt.Text, prompt.Tokens, refs.Answers, refs.Classes
		}
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		return out.Encode(line)
	}
	fmt.Fprintf(w, "── record %s  (%s)\n", record.ID, record.Source)
	truncated := ""
	if prompt.Truncated {
		truncated = ", truncated in the middle"
	}
	fmt.Fprintf(w, "── prompt: %d tokens%s; at most %d new ones; metric %s; hash %s\n", len(prompt.Tokens), truncated, d.MaxNewTokens, d.Metric, prompt.Hash())
	if d.Protected {
		fmt.Fprintf(w, "── protected: its authors ask that no text of it is published; %s\n\n", plural(len(refs.Answers), "reference"))
		return nil
	}
	fmt.Fprintln(w, prompt.Text)
	fmt.Fprintln(w, "── references")
	for _, answer := range refs.Answers {
		fmt.Fprintf(w, "%q\n", answer)
	}
	fmt.Fprintln(w)
	return nil
}
