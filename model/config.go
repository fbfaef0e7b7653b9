package model

import (
	"encoding/json"
	"fmt"
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
	Architectures []string        `json:"architectures"`
	Layers        int             `json:"num_hidden_layers"`
	Heads         int             `json:"num_attention_heads"`
	KVHeads       int             `json:"num_key_value_heads"`
	HeadDim       int             `json:"head_dim"`
	Hidden        int             `json:"hidden_size"`
	FFN           int             `json:"intermediate_size"`
	Vocab         int             `json:"vocab_size"`
	MaxPositions  int             `json:"max_position_embeddings"`
	RopeTheta     float64         `json:"rope_theta"`
	RopeScaling   map[string]any  `json:"rope_scaling"`
	RopeParams    map[string]any  `json:"rope_parameters"`
	RMSEps        float32         `json:"rms_norm_eps"`
	Tied          bool            `json:"tie_word_embeddings"`
	HiddenAct     string          `json:"hidden_act"`
	AttentionBias bool            `json:"attention_bias"`
	MLPBias       bool            `json:"mlp_bias"`
	Quantization  json.RawMessage `json:"quantization_config"`
}

// readConfig reads a Hugging Face config.json.
func readConfig(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the model's config: %w", err)
	}
	var h hfConfig
	if err := json.Unmarshal(raw, &h); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if h.ModelType != "llama" {
		return Config{}, fmt.Errorf("%s: model_type %q is not supported; supported: llama", path, h.ModelType)
	}
	if h.HiddenAct != "" && h.HiddenAct != "silu" {
		return Config{}, fmt.Errorf("%s: hidden_act %q is not supported; supported: silu", path, h.HiddenAct)
	}
	if h.AttentionBias || h.MLPBias {
		return Config{}, fmt.Errorf("%s: attention_bias and mlp_bias are not supported", path)
	}
	if len(h.Quantization) > 0 && string(h.Quantization) != "null" {
		return Config{}, fmt.Errorf("%s: quantization_config is not supported; use the unquantised model or a .gguf file", path)
	}
	theta, err := h.rope()
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	c := Config{
		Architecture: h.ModelType,
		Shape:        Shape{Layers: h.Layers, Heads: h.Heads, KVHeads: h.KVHeads, HeadDim: h.HeadDim},
		Hidden:       h.Hidden, FFN: h.FFN, Vocab: h.Vocab, MaxPositions: h.MaxPositions,
		RopeTheta: theta, RMSEps: h.RMSEps, Tied: h.Tied,
	}
	if err := c.complete(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// rope returns the rotary base and refuses scaled rotary embeddings. Newer
// config files hold the base inside rope_parameters.
func (h hfConfig) rope() (float64, error) {
	theta := h.RopeTheta
	for _, params := range []map[string]any{h.RopeScaling, h.RopeParams} {
		kind, _ := params["rope_type"].(string)
		if kind == "" {
			kind, _ = params["type"].(string)
		}
		if kind != "" && kind != "default" {
			return 0, fmt.Errorf("rotary scaling %q is not supported; supported: default", kind)
		}
		if base, ok := params["rope_theta"].(float64); ok {
			theta = base
		}
	}
	if theta == 0 {
		theta = 10000
	}
	return theta, nil
}

// ggufConfig reads the sizes from a GGUF file's metadata.
func ggufConfig(f *weights.File) (Config, error) {
	arch, _ := f.Meta["general.architecture"].(string)
	if arch != "llama" {
		return Config{}, fmt.Errorf("general.architecture %q is not supported; supported: llama", arch)
	}
	num := func(key string) float64 {
		switch v := f.Meta[arch+"."+key].(type) {
		case int64:
			return float64(v)
		case uint64:
			return float64(v)
		case float64:
			return v
		}
		return 0
	}
	if kind, _ := f.Meta[arch+".rope.scaling.type"].(string); kind != "" && kind != "none" {
		return Config{}, fmt.Errorf("rotary scaling %q is not supported; supported: none", kind)
	}
	if _, ok := f.Tensor("rope_freqs.weight"); ok {
		return Config{}, fmt.Errorf("scaled rotary frequencies (tensor rope_freqs.weight) are not supported")
	}
	c := Config{
		Architecture: arch,
		Shape: Shape{
			Layers: int(num("block_count")), Heads: int(num("attention.head_count")),
			KVHeads: int(num("attention.head_count_kv")), HeadDim: int(num("attention.key_length")),
		},
		Hidden: int(num("embedding_length")), FFN: int(num("feed_forward_length")),
		MaxPositions: int(num("context_length")),
		RopeTheta:    num("rope.freq_base"), RMSEps: float32(num("attention.layer_norm_rms_epsilon")),
	}
	if c.RopeTheta == 0 {
		c.RopeTheta = 10000
	}
	if embed, ok := f.Tensor("token_embd.weight"); ok {
		c.Vocab = embed.Rows()
	}
	_, untied := f.Tensor("output.weight")
	c.Tied = !untied
	return c, c.complete()
}

// complete fills in defaults and refuses sizes that make no transformer.
func (c *Config) complete() error {
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	const most = 1 << 24
	var wrong []string
	for _, size := range []struct {
		name string
		n    int
	}{
		{"layers", c.Layers}, {"attention heads", c.Heads}, {"KV heads", c.KVHeads}, {"head width", c.HeadDim},
		{"hidden size", c.Hidden}, {"feed-forward size", c.FFN}, {"vocabulary size", c.Vocab}, {"longest position", c.MaxPositions},
	} {
		if size.n <= 0 || size.n > most {
			wrong = append(wrong, fmt.Sprintf("%s is %d", size.name, size.n))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the model's config makes no transformer: %s", strings.Join(wrong, ", "))
	}
	if c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("%d query heads cannot share %d KV heads evenly", c.Heads, c.KVHeads)
	}
	if c.HeadDim%2 != 0 {
		return fmt.Errorf("head width %d is odd, rotary embedding needs pairs", c.HeadDim)
	}
	return nil
}
