package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"refreekv/model"
	"refreekv/model/tensor"
	"refreekv/model/tokenizer"
	"refreekv/pruners"
	"refreekv/runners"
)

// promptOptions are the flags of commands that run one prompt under a pruner.
type promptOptions struct {
	model, prompt, file, pruner, dtype string
	raw                                bool
}

// dtypeNames lists the formats of weights for help texts.
const dtypeNames = "float32, bfloat16 (exact for bfloat16 files, half the memory), bfloat16-both (rounds activations too, faster where the processor multiplies bfloat16) or int8 (a third of the memory, fastest, rounds most)"

func (o *promptOptions) add(f *pflag.FlagSet) {
	f.StringVar(&o.model, "model", defaultModel, "`MODEL`: a registry name, hub id, folder or .gguf file")
	f.StringVar(&o.dtype, "dtype", string(tensor.Float32), "hold weights as this `DTYPE`: "+dtypeNames)
	f.StringVar(&o.prompt, "prompt", "", "the prompt's `TEXT`")
	f.StringVar(&o.file, "prompt-file", "", "read the prompt from this `FILE` (-: stdin)")
	f.BoolVar(&o.raw, "raw", false, "no chat template, no added text or tokens")
}

// generateOptions are the flags of refreekv generate.
type generateOptions struct {
	promptOptions
	json   bool
	maxNew int
}

func newGenerate() *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Continue one prompt under a pruner, to see it work",
		Example: `  refreekv generate --prompt "Why is the sky blue?" --pruner "h2o budget=0.5"
  refreekv generate --prompt-file notes.txt --raw --json
  refreekv generate --prompt-file - < notes.txt`,
		Args: exactly(0, "no arguments, only flags"),
		RunE: func(cmd *cobra.Command, _ []string) error { return generate(cmd, o) },
	}
	f := cmd.Flags()
	o.add(f)
	f.StringVar(&o.pruner, "pruner", "full", "`PRUNER` and settings, such as \"snapkv budget=0.5\" (refreekv list pruners)")
	f.IntVar(&o.maxNew, "max-new-tokens", 64, "generate at most `N` tokens")
	f.BoolVar(&o.json, "json", false, "print one JSON object: prompt_tokens, tokens, text, kept, budget, seconds")
	return cmd
}

// generated is what generate prints with --json.
type generated struct {
	Model        string            `json:"model"`
	DType        tensor.DType      `json:"dtype"` // format in which the weights are multiplied
	Pruner       string            `json:"pruner"`
	PromptTokens []int32           `json:"prompt_tokens"`
	Tokens       []int32           `json:"tokens"`
	Text         string            `json:"text"`
	Stop         string            `json:"stop"`
	Kept         []model.LayerKeep `json:"kept"` // per layer: one list for all heads, one per KV head or one per query head
	Budget       float64           `json:"budget"`
	Seconds      generatedSeconds  `json:"seconds"`
}

type generatedSeconds struct {
	Prefill float64 `json:"prefill"`
	Select  float64 `json:"select"`
	Decode  float64 `json:"decode"`
}

func generate(cmd *cobra.Command, o generateOptions) error {
	if o.maxNew < 1 {
		return usageError{fmt.Errorf("--max-new-tokens %d: want at least 1", o.maxNew)}
	}
	in, err := o.open(cmd)
	if err != nil {
		return err
	}
	m, tokens := in.model, in.tokens
	defer m.Close()
	maxNew := min(o.maxNew, m.Config.MaxPositions-len(tokens))
	if maxNew < 1 {
		return fmt.Errorf("the prompt's %d tokens leave no room in the model's %d positions; shorten it", len(tokens), m.Config.MaxPositions)
	}
	g := generated{Model: m.Name, DType: m.DType, Pruner: in.spec.String(), PromptTokens: tokens}
	begin := time.Now()
	prefix, err := m.Prefill(cmd.Context(), tokens, in.pruner.Needs())
	if err != nil {
		return err
	}
	g.Seconds.Prefill = time.Since(begin).Seconds()
	begin = time.Now()
	variant, err := pruners.Apply(in.pruner, prefix)
	if err != nil {
		return err
	}
	g.Seconds.Select = time.Since(begin).Seconds()
	texts, err := m.DecodeVariants(cmd.Context(), prefix, []model.Variant{variant}, model.DecodeOptions{MaxNewTokens: maxNew, Stop: m.Tokenizer.EOS()})
	if err != nil {
		return err
	}
	// An empty continuation is printed as [], not as null.
	g.Tokens = append([]int32{}, texts[0].Tokens...)
	g.Stop, g.Seconds.Decode = texts[0].Stop, texts[0].Seconds
	g.Text, g.Kept, g.Budget = m.Tokenizer.Decode(g.Tokens, true), variant.Keep, variant.Keep.Budget(prefix.Len())
	return printGenerated(cmd, g, o.json)
}

// opened is what the flags of one prompt stand for. The model is to be closed.
type opened struct {
	spec   pruners.Spec
	pruner pruners.Pruner
	model  *model.Model
	tokens []int32
}

// open checks the flags, the cheap ones first, and opens what they name.
func (o promptOptions) open(cmd *cobra.Command) (opened, error) {
	spec, pruner, err := findPruner(o.pruner)
	if err != nil {
		return opened{}, usageError{withFlag("--pruner", err)}
	}
	if err := runners.CheckModel(o.model); err != nil {
		return opened{}, usageError{withFlag("--model", err)}
	}
	dtype, err := tensor.ParseDType(o.dtype)
	if err != nil {
		return opened{}, usageError{withFlag("--dtype", err)}
	}
	text, err := o.text(cmd)
	if err != nil {
		return opened{}, err
	}
	m, err := model.Find(cmd.Context(), o.model, dtype, downloadProgress(cmd.ErrOrStderr()))
	if err != nil {
		return opened{}, err
	}
	tokens, err := promptTokens(m, text, o.raw)
	if err != nil {
		m.Close()
		return opened{}, err
	}
	return opened{spec, pruner, m, tokens}, nil
}

func (o promptOptions) text(cmd *cobra.Command) (string, error) {
	switch {
	case o.prompt != "" && o.file != "":
		return "", usageError{errors.New("give --prompt or --prompt-file, not both")}
	case o.file != "":
		return readPrompt(cmd.InOrStdin(), o.file)
	case o.prompt == "":
		return "", usageError{fmt.Errorf("%s needs --prompt TEXT or --prompt-file FILE", cmd.CommandPath())}
	}
	return o.prompt, nil
}

// readPrompt reads a prompt from a file, or from stdin under the name "-".
func readPrompt(stdin io.Reader, file string) (string, error) {
	var raw []byte
	var err error
	if file == "-" {
		raw, err = io.ReadAll(stdin)
		file = "stdin"
	} else {
		raw, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the prompt: %w", err)
	case len(raw) == 0:
		return "", fmt.Errorf("reading the prompt: %s is empty", file)
	case !utf8.Valid(raw):
		return "", fmt.Errorf("reading the prompt: %s is no UTF-8 text", file)
	}
	return string(raw), nil
}

func findPruner(text string) (pruners.Spec, pruners.Pruner, error) {
	spec, err := pruners.Parse(text)
	if err != nil {
		return spec, nil, err
	}
	pruner, err := pruners.New(spec)
	return spec, pruner, err
}

// promptTokens turns a user's text into tokens, through the model's chat
// template where it has one.
func promptTokens(m *model.Model, text string, raw bool) ([]int32, error) {
	if raw {
		return m.Tokenizer.Encode(text, false)
	}
	if !m.Tokenizer.HasChat() {
		return m.Tokenizer.Encode(text, true)
	}
	wrapped, err := m.Tokenizer.Chat([]tokenizer.Message{{Role: "user", Content: text}}, true)
	if err != nil {
		return nil, err
	}
	// The template writes the special tokens itself.
	return m.Tokenizer.Encode(wrapped, false)
}

func printGenerated(cmd *cobra.Command, g generated, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(cmd.OutOrStdout())
		out.SetEscapeHTML(false)
		return out.Encode(g)
	}
	fmt.Fprintln(cmd.OutOrStdout(), g.Text)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s, %.1f %% of the cache kept, %s (%s); prefill %.2f s, select %.4f s, decode %.2f s\n",
		g.Pruner, plural(len(g.PromptTokens), "prompt token"), 100*g.Budget, plural(len(g.Tokens), "new token"), g.Stop, g.Seconds.Prefill, g.Seconds.Select, g.Seconds.Decode)
	return nil
}
