package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"refreekv/model"
	"refreekv/pruners"
	"refreekv/reports"
)

// inspectPruneOptions are the flags of refreekv inspect prune.
type inspectPruneOptions struct {
	promptOptions
	pruners     []string
	heads, json bool
	out         string
}

func newInspectPrune() *cobra.Command {
	var o inspectPruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "A picture of what each layer and head keeps of a prompt",
		Example: `  refreekv inspect prune --prompt-file notes.txt --pruner "snapkv budget=0.3"
  refreekv inspect prune --prompt-file notes.txt --pruner refreekv --heads
  refreekv inspect prune --prompt-file notes.txt --pruner refreekv \
      --pruner "snapkv budget=0.5" --out kept.pdf`,
		Args: exactly(0, "no arguments, only flags"),
		RunE: func(cmd *cobra.Command, _ []string) error { return inspectPrune(cmd, o) },
	}
	f := cmd.Flags()
	o.add(f)
	f.StringArrayVar(&o.pruners, "pruner", []string{"full"}, "`PRUNER` and settings, such as \"snapkv budget=0.5\" (refreekv list pruners); repeat to compare several")
	f.BoolVar(&o.heads, "heads", false, "a line for every list of kept positions instead of one for every layer")
	f.BoolVar(&o.json, "json", false, "print a line with a JSON object for every pruner: prompt_tokens, budget, layers (budget, counts, kept)")
	f.StringVarP(&o.out, "out", "o", "", "draw a heat map into this `FILE`: "+strings.Join(reports.FigureFormats, ", ")+" by its name's end")
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
		return usageError{fmt.Errorf("--out %s: the name must end in one of %s", o.out, strings.Join(reports.FigureFormats, ", "))}
	}
	chosen, needs, err := o.choose()
	if err != nil {
		return err
	}
	o.pruner = o.pruners[0]
	in, err := o.open(cmd)
	if err != nil {
		return err
	}
	defer in.model.Close()
	n, most := len(in.tokens), in.model.Config.MaxPositions
	if n > most {
		return fmt.Errorf("the prompt's %d tokens exceed the model's %d positions; shorten it", n, most)
	}
	prefix, err := in.model.Prefill(cmd.Context(), in.tokens, needs)
	if err != nil {
		return err
	}
	var all []reports.Kept
	for _, c := range chosen {
		v, err := pruners.Apply(c.pruner, prefix)
		if err != nil {
			return err
		}
		title := fmt.Sprintf("%s, %s, %s: %.1f %% kept", c.spec, in.model.Name, plural(n, "prompt token"), 100*v.Keep.Budget(n))
		all = append(all, reports.Kept{Title: title, Keep: v.Keep, Shape: prefix.Shape(), Tokens: n})
	}
	if o.out != "" {
		if err := o.draw(chosen, all, format); err != nil {
			return err
		}
	}
	width := 80
	if isTerminal(cmd.OutOrStdout()) {
		width = terminalWidth()
	}
	for i, k := range all {
		if o.json {
			if err := printInspected(cmd, in, chosen[i].spec, k.Keep); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(cmd.OutOrStdout(), k.Title)
		k.Terminal(cmd.OutOrStdout(), width, o.heads)
	}
	return nil
}

// A chosenPruner is one of those that are compared.
type chosenPruner struct {
	spec   pruners.Spec
	pruner pruners.Pruner
}

// choose makes the pruners; one prefill serves them all.
func (o inspectPruneOptions) choose() (out []chosenPruner, needs model.Needs, err error) {
	for _, text := range o.pruners {
		spec, pruner, err := findPruner(text)
		if err != nil {
			return nil, needs, usageError{withFlag("--pruner", err)}
		}
		out, needs = append(out, chosenPruner{spec, pruner}), needs.Union(pruner.Needs())
	}
	return out, needs, nil
}

// draw writes the figure: of one pruner with its layers' budgets, of several side
// by side.
func (o inspectPruneOptions) draw(chosen []chosenPruner, all []reports.Kept, format string) error {
	var figure []byte
	var err error
	if len(all) == 1 {
		figure, err = all[0].Figure(format, o.heads)
	} else {
		short := slices.Clone(all)
		for i := range short {
			short[i].Title = fmt.Sprintf("%s: %.1f %%", chosen[i].spec, 100*all[i].Keep.Budget(all[i].Tokens))
		}
		figure, err = reports.KeptFigure(short, o.heads).Render(format)
	}
	if err != nil {
		return fmt.Errorf("drawing %s: %w", o.out, err)
	}
	if err := renameio.WriteFile(o.out, figure, 0o644); err != nil {
		return fmt.Errorf("writing the figure: %w", err)
	}
	return nil
}

func printInspected(cmd *cobra.Command, in opened, spec pruners.Spec, keep model.Keep) error {
	n := len(in.tokens)
	out := inspectedPrune{Model: in.model.Name, Pruner: spec.String(), PromptTokens: in.tokens, Budget: keep.Budget(n)}
	for _, layer := range keep {
		l := inspectedLayer{Budget: layer.Kept() / float64(n), Kept: layer}
		for _, list := range layer {
			l.Counts = append(l.Counts, len(list))
		}
		out.Layers = append(out.Layers, l)
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(out)
}
