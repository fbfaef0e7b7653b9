package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"refreekv/model"
	"refreekv/model/tensor"
	"refreekv/runners"
	"refreekv/spelling"
)

func newInspect() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "inspect model|prune",
		Short:   "Look into a model, or at what a pruner keeps of a prompt",
		Example: "  refreekv inspect model smollm2-135m-instruct\n  refreekv inspect prune --prompt-file notes.txt --pruner refreekv",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s wants what to inspect: model or prune", cmd.CommandPath())}
			}
			return usageError{fmt.Errorf("cannot inspect a %q%s", args[0], spelling.OneOf(args[0], []string{"model", "prune"}))}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	var length int
	modelCmd := &cobra.Command{
		Use:     "model NAME",
		Short:   "Architecture, sizes, types, tokenizer and memory of a model",
		Example: "  refreekv inspect model smollm2-135m-instruct\n  refreekv inspect model ./Qwen2.5-7B-Instruct --context-length 32768",
		Args:    exactly(1, "one model: a registry name, hub id, folder or .gguf file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if length < 1 {
				return usageError{fmt.Errorf("--context-length %d: want at least 1", length)}
			}
			if err := runners.CheckModel(args[0]); err != nil {
				return usageError{err}
			}
			d, err := model.Describe(cmd.Context(), args[0], downloadProgress(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			describeModel(cmd.OutOrStdout(), d, length, totalMemory())
			return nil
		},
	}
	modelCmd.Flags().IntVar(&length, "context-length", 4096, "estimate memory for a prompt of `N` tokens")
	cmd.AddCommand(modelCmd, newInspectPrune())
	return cmd
}

// describeModel prints a description; memory is that of the machine, 0 where it
// is not known.
func describeModel(w io.Writer, d *model.Description, length int, memory int64) {
	c := d.Config
	table(w, func(row func(string, ...any)) {
		row("source\t%s", d.Source)
		row("architecture\t%s, %s", c.Architecture, d.Format)
		row("layers\t%d%s", c.Layers, layerKinds(c))
		row("heads\t%d query heads over %d KV heads of width %d", c.Heads, c.KVHeads, c.HeadDim)
		row("hidden, feed-forward\t%d, %d (%s)", c.Hidden, c.FFN, c.Activation)
		row("vocabulary\t%d logits, %s", c.Vocab, map[bool]string{true: "tied to the embedding", false: "a matrix of their own"}[c.Tied])
		row("positions\t%d", c.MaxPositions)
		for i, r := range c.Ropes {
			row("rotary embedding%s\t%s, base %g, %d of %d values", map[bool]string{true: ", local layers"}[i > 0], r.Kind, r.Theta, r.Dim, c.HeadDim)
		}
		row("parameters\t%.1f M in %d tensors: %s", float64(d.Parameters)/1e6, d.Tensors, shares(d.Types, d.Parameters))
		for _, part := range slices.Sorted(maps.Keys(d.LeftOut)) {
			row("left out\t%s: %.1f M parameters, which text does without", part, float64(d.LeftOut[part])/1e6)
		}
		row("tokenizer\t%d tokens, BOS %s, EOS %s", d.Tokens, orNone(d.BOS), orNone(strings.Join(d.EOS, " ")))
		row("chat template\t%s", map[bool]string{true: "yes", false: "none: prompts are given bare"}[d.Chat])
		row("KV cache\t%d bytes a token in float32", c.KVBytesPerToken())
		for _, dtype := range tensor.DTypes() {
			need := d.Memory(length, dtype)
			row("memory at %d tokens\t%.2f GB for one prompt with --dtype %s%s", length, float64(need)/1e9, dtype, verdict(d, need, length, memory))
		}
	})
}

// layerKinds tells how many layers depart from full attention with rotary
// embedding.
func layerKinds(c model.Config) string {
	local, bare, window := 0, 0, 0
	for _, l := range c.LayerParts {
		if l.Window > 0 {
			local, window = local+1, l.Window
		}
		if l.Rope < 0 {
			bare++
		}
	}
	out := ""
	if local > 0 {
		out += fmt.Sprintf(", %d with a sliding window of %d", local, window)
	}
	if bare > 0 {
		out += fmt.Sprintf(", %d without rotary embedding", bare)
	}
	return out
}

// shares lists types by name with their share of the parameters.
func shares(types map[string]int64, all int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(types)) {
		parts = append(parts, fmt.Sprintf("%s %.1f %%", name, 100*float64(types[name])/float64(all)))
	}
	return strings.Join(parts, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// verdict tells whether a prompt of that length, which needs so many bytes, can be
// run.
func verdict(d *model.Description, need int64, length int, memory int64) string {
	switch {
	case length > d.Config.MaxPositions:
		return fmt.Sprintf("; longer than the model's %d positions", d.Config.MaxPositions)
	case memory <= 0:
		return ""
	case need > memory:
		return fmt.Sprintf("; does not fit this machine's %.1f GB", float64(memory)/1e9)
	}
	return fmt.Sprintf("; fits this machine's %.1f GB", float64(memory)/1e9)
}
