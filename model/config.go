package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"refreekv/model/weights"
)

// Config describes a transformer: its sizes and the constants of its layers.
type Config struct {
	Architecture string // "llama": the only one that runs so far
	Shape
	Hidden       int     // width of the residual stream
	FFN          int     // width of the SwiGLU feed-forward layer
	Vocab        int     // number of logits
	MaxPositions int     // longest sequence, prompt and generated tokens together
	RopeTheta    float64 // base of the rotary embedding
	RMSEps       float32 // RMSNorm epsilon
	Tied         bool    // logits use the token embedding
}

// KVBytesPerToken is what one token's keys and values occupy in the full
// float32 KV cache, over all layers.
func (c Config) KVBytesPerToken() int64 {
	return int64(c.Layers) * int64(c.KVHeads) * int64(c.HeadDim) * 2 * 4
}

// hfConfig is the part of a Hugging Face config.json that a Llama needs.
type hfConfig struct {
	ModelType     string          `json:"model_type"`
	Layers        int             `json:"num_hidden_layers"`
	Heads         int             `json:"num_attention_heads"`
	KVHeads       int             `json:"num_key_value_heads"`
	HeadDim       int             `json:"head_dim"`
	Hidden        int             `json:"hidden_size"`
	FFN           int             `json:"intermediate_size"`
	Vocab         int             `json:"vocab_size"`
	MaxPositions  int             `json:"max_position_embeddings"`
	RopeTheta     *float64        `json:"rope_theta"`
	RopeScaling   map[string]any  `json:"rope_scaling"`
	RopeParams    map[string]any  `json:"rope_parameters"`
	PartialRotary *float64        `json:"partial_rotary_factor"`
	RMSEps        *float32        `json:"rms_norm_eps"`
	Tied          bool            `json:"tie_word_embeddings"`
	HiddenAct     string          `json:"hidden_act"`
	AttentionBias bool            `json:"attention_bias"`
	MLPBias       bool            `json:"mlp_bias"`
	Quantization  json.RawMessage `json:"quantization_config"`
}

// What transformers takes where config.json says nothing.
const (
	defaultTheta = 10000
	defaultEps   = 1e-6
)

// readConfig reads a Hugging Face config.json.
func readConfig(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the model's config: %w", err)
	}
	c, err := parseConfig(raw)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parseConfig(raw []byte) (Config, error) {
	var h hfConfig
	if err := json.Unmarshal(raw, &h); err != nil {
		return Config{}, err
	}
	if err := h.supported(); err != nil {
		return Config{}, err
	}
	theta, err := h.rope()
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Architecture: h.ModelType,
		Shape:        Shape{Layers: h.Layers, Heads: h.Heads, KVHeads: h.KVHeads, HeadDim: h.HeadDim},
		Hidden:       h.Hidden, FFN: h.FFN, Vocab: h.Vocab, MaxPositions: h.MaxPositions,
		RopeTheta: theta, RMSEps: defaultEps, Tied: h.Tied,
	}
	if h.RMSEps != nil {
		c.RMSEps = *h.RMSEps
	}
	return c, c.complete(hfFields)
}

// supported refuses what would change the numbers and is not implemented.
func (h hfConfig) supported() error {
	if h.ModelType != "llama" {
		return fmt.Errorf("model_type %q is not supported; supported: llama", h.ModelType)
	}
	if h.HiddenAct != "" && h.HiddenAct != "silu" {
		return fmt.Errorf("hidden_act %q is not supported; supported: silu", h.HiddenAct)
	}
	if h.AttentionBias {
		return errors.New("attention_bias true is not supported; supported: false")
	}
	if h.MLPBias {
		return errors.New("mlp_bias true is not supported; supported: false")
	}
	if len(h.Quantization) == 0 || string(h.Quantization) == "null" {
		return nil
	}
	var q struct {
		Method string `json:"quant_method"`
	}
	if err := json.Unmarshal(h.Quantization, &q); err != nil {
		return fmt.Errorf("quantization_config: %w", err)
	}
	return fmt.Errorf("quantization_config with quant_method %q is not supported; use the unquantised model or a .gguf file", q.Method)
}

// rope returns the rotary base and refuses scaled and partial rotary
// embeddings. Newer config files hold the base inside rope_parameters.
func (h hfConfig) rope() (float64, error) {
	theta := float64(defaultTheta)
	if h.RopeTheta != nil {
		theta = *h.RopeTheta
	}
	partial := 1.0
	if h.PartialRotary != nil {
		partial = *h.PartialRotary
	}
	for _, field := range []struct {
		name   string
		params map[string]any
	}{{"rope_scaling", h.RopeScaling}, {"rope_parameters", h.RopeParams}} {
		kind, _ := field.params["rope_type"].(string)
		if kind == "" {
			kind, _ = field.params["type"].(string)
		}
		if kind != "" && kind != "default" {
			return 0, fmt.Errorf("%s: rotary scaling %q is not supported; supported: default", field.name, kind)
		}
		if base, ok := field.params["rope_theta"].(float64); ok {
			theta = base
		}
		if share, ok := field.params["partial_rotary_factor"].(float64); ok {
			partial = share
		}
	}
	if partial != 1 {
		return 0, fmt.Errorf("partial_rotary_factor %g is not supported; supported: 1", partial)
	}
	return theta, nil
}

// ggufMeta reads numbers of a GGUF file's metadata and keeps the first error.
type ggufMeta struct {
	values map[string]any
	err    error
}

// number returns the value of a key, 0 where there is none.
func (m *ggufMeta) number(key string) float64 {
	switch v := m.values[key].(type) {
	case nil:
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case float64:
		return v
	default:
		if m.err == nil {
			m.err = fmt.Errorf("%s is of type %T, want one number", key, v)
		}
	}
	return 0
}

// size is a number that counts something; what is no whole number of a sane
// size becomes -1, which no check lets pass.
func (m *ggufMeta) size(key string) int {
	v := m.number(key)
	if v != math.Trunc(v) || math.Abs(v) > mostSize {
		return -1
	}
	return int(v)
}

// ggufConfig reads the sizes from a GGUF file's metadata.
func ggufConfig(f *weights.File) (Config, error) {
	arch, _ := f.Meta["general.architecture"].(string)
	if arch != "llama" {
		return Config{}, fmt.Errorf("general.architecture %q is not supported; supported: llama", arch)
	}
	m := &ggufMeta{values: f.Meta}
	c := Config{
		Architecture: arch,
		Shape: Shape{
			Layers: m.size("llama.block_count"), Heads: m.size("llama.attention.head_count"),
			KVHeads: m.size("llama.attention.head_count_kv"), HeadDim: m.size("llama.attention.key_length"),
		},
		Hidden: m.size("llama.embedding_length"), FFN: m.size("llama.feed_forward_length"),
		MaxPositions: m.size("llama.context_length"),
		RopeTheta:    m.number("llama.rope.freq_base"), RMSEps: float32(m.number("llama.attention.layer_norm_rms_epsilon")),
	}
	if _, ok := f.Meta["llama.rope.freq_base"]; !ok {
		c.RopeTheta = defaultTheta
	}
	embed, ok := f.Tensor(ggufNames.embed)
	if !ok {
		return Config{}, fmt.Errorf("tensor %s is missing", ggufNames.embed)
	}
	c.Vocab = embed.Rows()
	_, untied := f.Tensor(ggufNames.head)
	c.Tied = !untied
	if m.err != nil {
		return Config{}, m.err
	}
	if err := c.complete(ggufFields); err != nil {
		return Config{}, err
	}
	return c, ggufSupported(f, m, c)
}

// ggufSupported refuses what would change the numbers and is not implemented.
func ggufSupported(f *weights.File, m *ggufMeta, c Config) error {
	if kind, _ := f.Meta["llama.rope.scaling.type"].(string); kind != "" && kind != "none" {
		return fmt.Errorf("llama.rope.scaling.type: rotary scaling %q is not supported; supported: none", kind)
	}
	for _, only := range []struct {
		key   string
		value float64 // the one that is supported, also where the key is missing
	}{
		{"llama.rope.scale_linear", 1},
		{"llama.rope.dimension_count", float64(c.HeadDim)},
		{"llama.attention.value_length", float64(c.HeadDim)},
		{"llama.expert_count", 0},
	} {
		if _, ok := f.Meta[only.key]; !ok {
			continue
		}
		if v := m.number(only.key); m.err == nil && v != only.value {
			return fmt.Errorf("%s %g is not supported; supported: %g", only.key, v, only.value)
		}
	}
	for _, name := range f.Names() {
		if name == "rope_freqs.weight" || strings.HasSuffix(name, ".bias") {
			return fmt.Errorf("tensor %s: scaled rotary frequencies and biases are not supported", name)
		}
	}
	return m.err
}

// The names that the two kinds of files give to the sizes, in the order of
// Config.complete.
var (
	hfFields = [...]string{"num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
		"hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings", "rope_theta", "rms_norm_eps"}
	ggufFields = [...]string{"llama.block_count", "llama.attention.head_count", "llama.attention.head_count_kv", "llama.attention.key_length",
		"llama.embedding_length", "llama.feed_forward_length", "rows of token_embd.weight", "llama.context_length",
		"llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon"}
)

// mostSize bounds every size of a model.
const mostSize = 1 << 24

// complete fills in defaults and refuses sizes that make no transformer.
func (c *Config) complete(fields [10]string) error {
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	var wrong []string
	for i, n := range []int{c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.Hidden, c.FFN, c.Vocab, c.MaxPositions} {
		if n <= 0 || n > mostSize {
			wrong = append(wrong, fmt.Sprintf("%s is %d", fields[i], n))
		}
	}
	for i, x := range []float64{c.RopeTheta, float64(c.RMSEps)} {
		if !(x > 0) || math.IsInf(x, 0) {
			wrong = append(wrong, fmt.Sprintf("%s is %.6g", fields[8+i], x))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("this makes no transformer (a field that is missing counts as 0): %s", strings.Join(wrong, ", "))
	}
	if c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("%s: %d query heads cannot share %d KV heads evenly", fields[2], c.Heads, c.KVHeads)
	}
	if c.HeadDim%2 != 0 {
		return fmt.Errorf("%s: head width %d is odd, rotary embedding needs pairs", fields[3], c.HeadDim)
	}
	return nil
}
