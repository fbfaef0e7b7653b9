package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"refreekv/model"
	"refreekv/pruners"
	"refreekv/reports"
	"refreekv/runners"
)

// inspectPruneOptions are the flags of refreekv inspect prune.
type inspectPruneOptions struct {
	promptOptions
	heads, json bool
	out         string
}

func newInspectPrune() *cobra.Command {
	var o inspectPruneOptions
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "A picture of what each layer and head keeps of a prompt",
		Example: "  refreekv inspect prune --prompt-file notes.txt --pruner \"snapkv budget=0.3\"\n  refreekv inspect prune --prompt-file notes.txt --pruner refreekv --heads --out kept.svg",
		Args:    exactly(0, "no arguments, only flags"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return inspectPrune(cmd, o) },
	}
	f := cmd.Flags()
	o.add(f)
	f.BoolVar(&o.heads, "heads", false, "a line for every list of kept positions instead of one for every layer")
	f.BoolVar(&o.json, "json", false, "print one JSON object: prompt_tokens, budget, layers (budget, counts, kept)")
	f.StringVarP(&o.out, "out", "o", "", "draw a heat map into this file: "+strings.Join(reports.FigureFormats, ", ")+" by its name's end")
	return cmd
}

// inspectedPrune is what inspect prune prints with --json.
type inspectedPrune struct {
	Model        string           `json:"model"`
	Pruner       string           `json:"pruner"`
	PromptTokens []int32          `json:"prompt_tokens"`
	Budget       float64          `json:"budget"`
	Layers       []inspectedLayer `json:"layers"`
}

type inspectedLayer struct {
	Budget float64         `json:"budget"`
	Counts []int           `json:"counts"` // of every list
	Kept   model.LayerKeep `json:"kept"`   // one list for all heads, one per KV head or one per query head
}

func inspectPrune(cmd *cobra.Command, o inspectPruneOptions) error {
	format := strings.TrimPrefix(filepath.Ext(o.out), ".")
	if o.out != "" && !reports.IsFigureFormat(format) {
		return usageError{fmt.Errorf("--out %s: the name must end in one of %s%s", o.out, strings.Join(reports.FigureFormats, ", "), runners.DidYouMean(format, reports.FigureFormats))}
	}
	in, err := o.open(cmd)
	if err != nil {
		return err
	}
	defer in.model.Close()
	n, most := len(in.tokens), in.model.Config.MaxPositions
	if n > most {
		return fmt.Errorf("the prompt's %d tokens exceed the model's %d positions; shorten it", n, most)
	}
	prefix, err := in.model.Prefill(cmd.Context(), in.tokens, in.pruner.Needs())
	if err != nil {
		return err
	}
	v, err := pruners.Apply(in.pruner, prefix)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s, %s, %s: %.1f %% kept", in.spec, in.model.Name, plural(n, "prompt token"), 100*v.Keep.Budget(n))
	kept := reports.Kept{Title: title, Keep: v.Keep, Shape: prefix.Shape(), Tokens: n}
	if o.out != "" {
		figure, err := kept.Figure(format, o.heads)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", o.out, err)
		}
		if err := renameio.WriteFile(o.out, figure, 0o644); err != nil {
			return fmt.Errorf("writing the figure: %w", err)
		}
	}
	if o.json {
		return printInspected(cmd, in, v.Keep)
	}
	width := 80
	if isTerminal(cmd.OutOrStdout()) {
		width = terminalWidth()
	}
	fmt.Fprintln(cmd.OutOrStdout(), title)
	kept.Terminal(cmd.OutOrStdout(), width, o.heads)
	return nil
}

func printInspected(cmd *cobra.Command, in opened, keep model.Keep) error {
	n := len(in.tokens)
	out := inspectedPrune{Model: in.model.Name, Pruner: in.spec.String(), PromptTokens: in.tokens, Budget: keep.Budget(n)}
	for _, layer := range keep {
		l := inspectedLayer{Budget: layer.Kept() / float64(n), Kept: layer}
		for _, list := range layer {
			l.Counts = append(l.Counts, len(list))
		}
		out.Layers = append(out.Layers, l)
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(out)
}
