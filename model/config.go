package model

import (
	"fmt"
	"math"
	"strings"
)

// Config describes a transformer: its sizes and the constants of its layers.
type Config struct {
	Architecture string // model_type (of text_config, if there is one), or general.architecture of a GGUF file
	Shape
	Hidden       int           // width of the residual stream
	FFN          int           // width of the gated feed-forward layer
	Vocab        int           // number of logits
	MaxPositions int           // longest sequence, prompt and generated tokens together
	RMSEps       float32       // RMSNorm epsilon
	Tied         bool          // logits use the token embedding
	Activation   string        // of the feed-forward gate: silu or gelu_tanh
	EmbedScale   float32       // embeddings are multiplied by it
	QueryScale   float64       // attention scores are q·k times it; 1/sqrt(headDim) but for Gemma
	ScoreCap     float64       // scores are bent to cap·tanh(score/cap); 0: not
	LogitCap     float64       // so are logits; 0: not
	Ropes        []Rope        // rotary embeddings in use
	LayerParts   []LayerConfig // [layers]

	arch       architecture
	tiedUnsaid bool // the config does not say whether logits use the token embedding
	multimodal bool // this is the text part of a multimodal model
}

// LayerConfig is what differs from layer to layer.
type LayerConfig struct {
	Window int // a query sees this many positions, its own included; 0: all
	Rope   int // index into Config.Ropes; -1: the layer has no rotary embedding
}

// Activations of the gated feed-forward layer.
const (
	activationSiLU     = "silu"      // SwiGLU, arXiv 2002.05202
	activationGELUTanh = "gelu_tanh" // GeGLU with the tanh form of GELU
)

// KVBytesPerToken is what one token's keys and values occupy in the full
// float32 KV cache, over all layers.
func (c Config) KVBytesPerToken() int64 {
	return int64(c.Layers) * int64(c.KVHeads) * int64(c.HeadDim) * 2 * 4
}

// What transformers takes where config.json says nothing.
const (
	defaultTheta = 10000
	defaultEps   = 1e-6
)

// mostSize bounds every size of a model.
const mostSize = 1 << 24

// mostLayers bounds the layers, which get room before their tensors are looked
// for.
const mostLayers = 1 << 12

// fieldNames are the names that a kind of file gives to a model's sizes, in the
// order in which checkSizes looks at them.
type fieldNames [9]string

// checkSizes fills in defaults and refuses sizes that make no transformer.
func (c *Config) checkSizes(fields fieldNames) error {
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	var wrong []string
	for i, n := range []int{c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.Hidden, c.FFN, c.Vocab, c.MaxPositions} {
		if n <= 0 || n > mostSize || i == 0 && n > mostLayers {
			wrong = append(wrong, fmt.Sprintf("%s is %d", fields[i], n))
		}
	}
	if x := float64(c.RMSEps); !(x > 0) || math.IsInf(x, 0) {
		wrong = append(wrong, fmt.Sprintf("%s is %.6g", fields[8], x))
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

// complete derives what follows from the sizes, and checks the rest.
func (c *Config) complete(a architecture) error {
	c.arch = a
	c.EmbedScale = 1
	if a.embedding {
		c.EmbedScale = float32(math.Sqrt(float64(c.Hidden)))
	}
	if c.QueryScale == 0 {
		c.QueryScale = 1 / math.Sqrt(float64(c.HeadDim))
	}
	for what, x := range map[string]float64{"query scale": c.QueryScale, "attention soft cap": c.ScoreCap, "logit soft cap": c.LogitCap} {
		if x < 0 || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("%s %g is no usable number", what, x)
		}
	}
	for _, rope := range c.Ropes {
		if err := rope.check(c.HeadDim); err != nil {
			return err
		}
		if rope.Dim != c.HeadDim && !a.partial {
			return fmt.Errorf("rotary embedding of %d of a head's %d values (partial_rotary_factor, rope.dimension_count) is not supported for %s", rope.Dim, c.HeadDim, c.Architecture)
		}
		c.MaxPositions = max(c.MaxPositions, rope.positions())
	}
	return nil
}
