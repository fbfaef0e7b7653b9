package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"refreekv/model/weights"
)

// hfConfig is the part of a Hugging Face config.json that the transformer needs.
// Pointers tell a field that is null or missing from one that is zero.
type hfConfig struct {
	ModelType       string          `json:"model_type"`
	Layers          int             `json:"num_hidden_layers"`
	Heads           int             `json:"num_attention_heads"`
	KVHeads         int             `json:"num_key_value_heads"`
	HeadDim         int             `json:"head_dim"`
	Hidden          int             `json:"hidden_size"`
	FFN             int             `json:"intermediate_size"`
	Vocab           int             `json:"vocab_size"`
	MaxPositions    int             `json:"max_position_embeddings"`
	Original        int             `json:"original_max_position_embeddings"` // Phi-3 writes it here
	RopeTheta       *float64        `json:"rope_theta"`
	RopeLocal       *float64        `json:"rope_local_base_freq"`
	RopeScaling     *hfRope         `json:"rope_scaling"`
	RopeParams      json.RawMessage `json:"rope_parameters"`
	PartialRotary   *float64        `json:"partial_rotary_factor"`
	RMSEps          *float32        `json:"rms_norm_eps"`
	Tied            *bool           `json:"tie_word_embeddings"`
	HiddenAct       string          `json:"hidden_act"`
	HiddenAct2      string          `json:"hidden_activation"` // Gemma's name for it
	MLPBias         bool            `json:"mlp_bias"`
	Bidirectional   bool            `json:"use_bidirectional_attention"`
	SlidingWindow   *int            `json:"sliding_window"`
	UseWindow       bool            `json:"use_sliding_window"`
	MaxWindowLayers int             `json:"max_window_layers"`
	WindowPattern   int             `json:"sliding_window_pattern"` // Gemma 3's older files: every n-th layer is global
	LayerTypes      []string        `json:"layer_types"`
	NoRopeLayers    []int           `json:"no_rope_layers"` // 1: the layer has rotary embedding
	NoRopeEvery     int             `json:"no_rope_layer_interval"`
	QueryScalar     float64         `json:"query_pre_attn_scalar"`
	ScoreCap        *float64        `json:"attn_logit_softcapping"`
	LogitCap        *float64        `json:"final_logit_softcapping"`
	Quantization    json.RawMessage `json:"quantization_config"`
}

// hfRope is a rope_parameters or rope_scaling object.
type hfRope struct {
	Kind            string    `json:"rope_type"`
	OldKind         string    `json:"type"`
	Theta           float64   `json:"rope_theta"`
	Factor          float64   `json:"factor"`
	Original        int       `json:"original_max_position_embeddings"`
	LowFreq         float64   `json:"low_freq_factor"`
	HighFreq        float64   `json:"high_freq_factor"`
	BetaFast        float64   `json:"beta_fast"`
	BetaSlow        float64   `json:"beta_slow"`
	Truncate        *bool     `json:"truncate"`
	AttentionFactor *float64  `json:"attention_factor"`
	MScale          float64   `json:"mscale"`
	MScaleAllDim    float64   `json:"mscale_all_dim"`
	Short           []float64 `json:"short_factor"`
	Long            []float64 `json:"long_factor"`
	Partial         *float64  `json:"partial_rotary_factor"`
}

// readConfig reads a Hugging Face config.json.
func readConfig(path string) (Config, error) {
	raw, err := weights.ReadSmall(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the model's config: %w", err)
	}
	c, err := parseConfig(raw)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

var hfFields = fieldNames{"num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
	"hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings", "rms_norm_eps"}

func parseConfig(raw []byte) (Config, error) {
	var whole struct {
		ModelType    string          `json:"model_type"`
		Text         json.RawMessage `json:"text_config"`
		Quantization json.RawMessage `json:"quantization_config"`
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return Config{}, err
	}
	text, multimodal := textParts[whole.ModelType]
	if !multimodal {
		a, err := findArchitecture("model_type", whole.ModelType, func(a architecture) string { return a.hf })
		if err != nil {
			return Config{}, fmt.Errorf("%w, and the text part of %s", err, strings.Join(slices.Sorted(maps.Keys(textParts)), ", "))
		}
		return parseText(raw, a, nil)
	}
	if whole.Text == nil {
		return Config{}, fmt.Errorf("text_config is missing, which describes the text part of a %s", whole.ModelType)
	}
	a, err := findArchitecture("model_type", text, func(a architecture) string { return a.hf })
	if err != nil {
		return Config{}, err
	}
	c, err := parseText(whole.Text, a, whole.Quantization)
	if err != nil {
		return Config{}, fmt.Errorf("text_config: %w", err)
	}
	// Releases of transformers differ in which tie_word_embeddings counts, the
	// inner or the outer one; tied models are stored without a head by all.
	c.multimodal, c.tiedUnsaid = true, true
	return c, nil
}

// parseText reads the config of a language model, which may be a part of a
// multimodal model's: then quantization stands outside of it.
func parseText(raw []byte, a architecture, quantization json.RawMessage) (Config, error) {
	h := hfDefaults(a.hf)
	h.ModelType, h.Quantization = a.hf, quantization
	if err := json.Unmarshal(raw, &h); err != nil {
		return Config{}, err
	}
	if h.ModelType != a.hf {
		return Config{}, fmt.Errorf("model_type %q is not supported here; supported: %s", h.ModelType, a.hf)
	}
	if h.WindowPattern > 0 && a.window == windowAllBut {
		a.every = h.WindowPattern
	}
	if err := h.supported(); err != nil {
		return Config{}, err
	}
	c := Config{
		Architecture: h.ModelType,
		Shape:        Shape{Layers: h.Layers, Heads: h.Heads, KVHeads: h.KVHeads, HeadDim: h.HeadDim},
		Hidden:       h.Hidden, FFN: h.FFN, Vocab: h.Vocab, MaxPositions: h.MaxPositions,
		RMSEps: defaultEps, Tied: h.Tied != nil && *h.Tied, tiedUnsaid: h.Tied == nil,
	}
	if h.RMSEps != nil {
		c.RMSEps = *h.RMSEps
	}
	if h.QueryScalar != 0 {
		c.QueryScale = 1 / math.Sqrt(h.QueryScalar)
	}
	if h.ScoreCap != nil {
		c.ScoreCap = *h.ScoreCap
	}
	if h.LogitCap != nil {
		c.LogitCap = *h.LogitCap
	}
	var err error
	if c.Activation, err = h.activation(); err != nil {
		return Config{}, err
	}
	if err := c.checkSizes(hfFields); err != nil {
		return Config{}, err
	}
	if err := h.layers(&c, a); err != nil {
		return Config{}, err
	}
	if err := h.ropes(&c, a); err != nil {
		return Config{}, err
	}
	return c, c.complete(a)
}

// hfDefaults is what transformers takes for fields that a family's config.json
// lacks, where that is not what a missing field means anyway.
func hfDefaults(modelType string) hfConfig {
	h := hfConfig{NoRopeEvery: 4}
	number := func(x float64) *float64 { return &x }
	window := 4096
	switch modelType {
	case "mistral":
		h.KVHeads, h.SlidingWindow = 8, &window
	case "qwen2":
		h.SlidingWindow, h.MaxWindowLayers = &window, 28
	case "qwen3":
		h.HeadDim, h.SlidingWindow, h.MaxWindowLayers = 128, &window, 28
	case "smollm3":
		h.KVHeads, h.RopeTheta = 4, number(2e6)
	case "phi3":
		eps := float32(1e-5)
		h.RMSEps, h.Original = &eps, 4096
	case "gemma2":
		h.KVHeads, h.HeadDim, h.HiddenAct2, h.QueryScalar = 4, 256, "gelu_pytorch_tanh", 256
		h.SlidingWindow, h.ScoreCap, h.LogitCap = &window, number(50), number(30)
	case "gemma3_text":
		h.KVHeads, h.HeadDim, h.HiddenAct2, h.QueryScalar = 4, 256, "gelu_pytorch_tanh", 256
		h.Heads, h.Vocab, h.MaxPositions = 8, 262208, 131072 // the 4 B model's file leaves them out
		h.SlidingWindow, h.RopeTheta, h.RopeLocal = &window, number(1e6), number(1e4)
	}
	return h
}

// supported refuses what would change the numbers and is not implemented.
func (h hfConfig) supported() error {
	if h.MLPBias {
		return errors.New("mlp_bias true is not supported; supported: false")
	}
	if h.Bidirectional {
		return errors.New("use_bidirectional_attention true is not supported; supported: false")
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

func (h hfConfig) activation() (string, error) {
	field, name := "hidden_act", h.HiddenAct
	if h.HiddenAct2 != "" {
		field, name = "hidden_activation", h.HiddenAct2
	}
	switch name {
	case "", "silu", "swish":
		return activationSiLU, nil
	case "gelu_pytorch_tanh":
		return activationGELUTanh, nil
	}
	return "", fmt.Errorf("%s %q is not supported; supported: silu, gelu_pytorch_tanh", field, name)
}

// layers works out each layer's window and whether it has rotary embedding.
func (h hfConfig) layers(c *Config, a architecture) error {
	c.LayerParts = make([]LayerConfig, c.Layers)
	window := 0
	if h.SlidingWindow != nil && (!a.optional() || h.UseWindow) {
		if window = *h.SlidingWindow; window < 1 {
			return fmt.Errorf("sliding_window is %d; want at least 1, or null for none", window)
		}
	}
	if h.LayerTypes != nil && len(h.LayerTypes) != c.Layers {
		return fmt.Errorf("layer_types names %d layers, num_hidden_layers is %d", len(h.LayerTypes), c.Layers)
	}
	if h.NoRopeLayers != nil && len(h.NoRopeLayers) != c.Layers {
		return fmt.Errorf("no_rope_layers names %d layers, num_hidden_layers is %d", len(h.NoRopeLayers), c.Layers)
	}
	for l := range c.LayerParts {
		rotated := true
		if a.noRope {
			rotated = h.NoRopeEvery < 1 || (l+1)%h.NoRopeEvery != 0
			if h.NoRopeLayers != nil {
				rotated = h.NoRopeLayers[l] != 0
			}
		}
		if !rotated {
			c.LayerParts[l].Rope = -1
		}
		local := a.local(l, h.MaxWindowLayers, rotated)
		if h.LayerTypes != nil {
			switch h.LayerTypes[l] {
			case "sliding_attention":
				local = true
			case "full_attention":
				local = false
			default:
				return fmt.Errorf("layer_types: %q is not supported; supported: full_attention, sliding_attention", h.LayerTypes[l])
			}
		}
		if local && a.window != windowNone {
			c.LayerParts[l].Window = window
		}
	}
	return nil
}

// ropes reads the rotary embedding, or, where local layers have one of their
// own, both. Newer config files hold all of it in rope_parameters.
func (h hfConfig) ropes(c *Config, a architecture) error {
	base := hfRope{Theta: defaultTheta}
	if h.RopeTheta != nil {
		base.Theta = *h.RopeTheta
	}
	base.Partial = h.PartialRotary
	global, local := base, base
	if h.RopeScaling != nil {
		global = h.RopeScaling.over(base)
	}
	if h.RopeLocal != nil {
		local.Theta = *h.RopeLocal
	}
	twoKinds := h.RopeLocal != nil
	if len(h.RopeParams) > 0 && string(h.RopeParams) != "null" {
		var byType map[string]json.RawMessage
		if err := json.Unmarshal(h.RopeParams, &byType); err != nil {
			return fmt.Errorf("rope_parameters: %w", err)
		}
		full, isFull := byType["full_attention"]
		sliding, isSliding := byType["sliding_attention"]
		if isFull || isSliding {
			twoKinds = true
			for _, kind := range []struct {
				name string
				raw  json.RawMessage
				to   *hfRope
			}{{"full_attention", full, &global}, {"sliding_attention", sliding, &local}} {
				if kind.raw == nil {
					continue
				}
				var p hfRope
				if err := json.Unmarshal(kind.raw, &p); err != nil {
					return fmt.Errorf("rope_parameters.%s: %w", kind.name, err)
				}
				*kind.to = p.over(*kind.to)
			}
		} else {
			var p hfRope
			if err := json.Unmarshal(h.RopeParams, &p); err != nil {
				return fmt.Errorf("rope_parameters: %w", err)
			}
			global = p.over(base)
		}
	}
	c.Ropes = []Rope{global.rope(h, c)}
	if !twoKinds {
		return nil
	}
	c.Ropes = append(c.Ropes, local.rope(h, c))
	for l, part := range c.LayerParts {
		if part.Window > 0 && part.Rope == 0 {
			c.LayerParts[l].Rope = 1
		}
	}
	return nil
}

// over fills what p does not say from base.
func (p hfRope) over(base hfRope) hfRope {
	if p.Theta == 0 {
		p.Theta = base.Theta
	}
	if p.Partial == nil {
		p.Partial = base.Partial
	}
	return p
}

func (p hfRope) rope(h hfConfig, c *Config) Rope {
	r := Rope{
		Kind: p.Kind, Theta: p.Theta, Dim: c.HeadDim, Factor: p.Factor, Trained: p.Original,
		LowFreq: p.LowFreq, HighFreq: p.HighFreq, BetaFast: p.BetaFast, BetaSlow: p.BetaSlow,
		Truncate: p.Truncate == nil || *p.Truncate,
		Short:    p.Short, Long: p.Long,
	}
	if r.Kind == "" {
		r.Kind = p.OldKind
	}
	if r.Kind == "" {
		r.Kind = RopeDefault
	}
	if r.Kind == "su" || r.Kind == RopeYarn && h.ModelType == "phi3" { // Phi-3's first names for it
		r.Kind = RopeLongRope
	}
	if p.Partial != nil {
		r.Dim = int(float64(c.HeadDim) * *p.Partial)
	}
	if r.Kind == RopeDefault {
		return Rope{Kind: r.Kind, Theta: r.Theta, Dim: r.Dim}
	}
	if h.Original != 0 {
		r.Trained = h.Original
	}
	if r.Trained == 0 || r.Kind == RopeDynamic {
		r.Trained = c.MaxPositions
	}
	if r.BetaFast == 0 {
		r.BetaFast = 32
	}
	if r.BetaSlow == 0 {
		r.BetaSlow = 1
	}
	if r.Factor == 0 && (r.Kind == RopeYarn || r.Kind == RopeLongRope) {
		r.Factor = float64(c.MaxPositions) / float64(r.Trained)
	}
	if r.Kind != RopeLongRope {
		r.Short, r.Long = nil, nil
	}
	switch {
	case p.AttentionFactor != nil:
		r.Scale = *p.AttentionFactor
	case r.Kind == RopeYarn:
		r.Scale = yarnScale(r.Factor, p.MScale, p.MScaleAllDim)
	case r.Kind == RopeLongRope && r.Factor > 1:
		r.Scale = math.Sqrt(1 + math.Log(r.Factor)/math.Log(float64(r.Trained)))
	}
	return r
}

// yarnScale is yarn's factor on cosines and sines.
func yarnScale(factor, mscale, allDim float64) float64 {
	of := func(mscale float64) float64 {
		if factor <= 1 {
			return 1
		}
		return 0.1*mscale*math.Log(factor) + 1
	}
	if mscale != 0 && allDim != 0 {
		return of(mscale) / of(allDim)
	}
	return of(1)
}
