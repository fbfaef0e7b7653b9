package model

import (
	"fmt"
	"math"
	"strings"

	"refreekv/model/weights"
)

// ggufMeta reads an architecture's numbers from a GGUF file's metadata and keeps
// the first error.
type ggufMeta struct {
	values map[string]any
	arch   string
	err    error
}

// number returns the value of a key, 0 where there is none.
func (m *ggufMeta) number(key string) float64 {
	switch v := m.values[m.arch+"."+key].(type) {
	case nil:
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case float64:
		return v
	default:
		if m.err == nil {
			m.err = fmt.Errorf("%s.%s is of type %T, want one number", m.arch, key, v)
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

func (m *ggufMeta) has(key string) bool {
	_, ok := m.values[m.arch+"."+key]
	return ok
}

// ggufConfig reads the sizes from a GGUF file's metadata.
func ggufConfig(f *weights.File) (Config, error) {
	name, _ := f.Meta["general.architecture"].(string)
	a, err := findArchitecture("general.architecture", name, func(a architecture) string { return a.gguf })
	if err != nil {
		return Config{}, err
	}
	m := &ggufMeta{values: f.Meta, arch: name}
	c := Config{
		Architecture: name,
		Shape: Shape{
			Layers: m.size("block_count"), Heads: m.size("attention.head_count"),
			KVHeads: m.size("attention.head_count_kv"), HeadDim: m.size("attention.key_length"),
		},
		Hidden: m.size("embedding_length"), FFN: m.size("feed_forward_length"),
		MaxPositions: m.size("context_length"), RMSEps: float32(m.number("attention.layer_norm_rms_epsilon")),
		Activation: activationSiLU,
		ScoreCap:   m.number("attn_logit_softcapping"), LogitCap: m.number("final_logit_softcapping"),
	}
	embed, ok := f.Tensor(ggufNames.embed)
	if !ok {
		return Config{}, fmt.Errorf("tensor %s is missing", ggufNames.embed)
	}
	c.Vocab = embed.Rows()
	_, untied := f.Tensor(ggufNames.head)
	c.Tied = !untied
	if name == "gemma2" && !m.has("attn_logit_softcapping") && !m.has("final_logit_softcapping") {
		c.ScoreCap, c.LogitCap = 50, 30 // early files leave them to the reader
	}
	if a.embedding { // the Gemma family
		c.Activation = activationGELUTanh
		if gemma27b(name, c.Layers) {
			c.QueryScale = 1 / math.Sqrt(float64(c.Hidden)/float64(c.Heads))
		}
	}
	if m.err != nil {
		return Config{}, m.err
	}
	if err := c.checkSizes(m.fields()); err != nil {
		return Config{}, err
	}
	if err := m.supported(c); err != nil {
		return Config{}, err
	}
	if err := m.layers(&c, a); err != nil {
		return Config{}, err
	}
	if err := m.ropes(&c, f); err != nil {
		return Config{}, err
	}
	if m.err != nil {
		return Config{}, m.err
	}
	return c, c.complete(a)
}

// gemma27b tells the 27 B models of Gemma 2 and 3, whose queries are scaled by
// another width than that of a head. GGUF files do not say so; the number of
// layers gives them away.
func gemma27b(arch string, layers int) bool {
	return arch == "gemma2" && layers == 46 || arch == "gemma3" && layers == 62
}

func (m *ggufMeta) fields() fieldNames {
	names := fieldNames{"block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length",
		"embedding_length", "feed_forward_length", "", "context_length", "attention.layer_norm_rms_epsilon"}
	for i := range names {
		names[i] = m.arch + "." + names[i]
	}
	names[6] = "rows of " + ggufNames.embed
	return names
}

// supported refuses what would change the numbers and is not implemented.
func (m *ggufMeta) supported(c Config) error {
	for _, only := range []struct {
		key   string
		value float64 // the one that is supported, also where the key is missing
	}{
		{"attention.value_length", float64(c.HeadDim)},
		{"expert_count", 0},
		{"embedding_scale", 0},
		{"residual_scale", 0},
		{"attention.scale", 0},
		{"logit_scale", 0},
		{"rope.scaling.yarn_log_multiplier", 0},
		{"rope.scaling.yarn_ext_factor", 1},
		{"rope.scaling.yarn_attn_factor", 1},
	} {
		if v := m.number(only.key); m.has(only.key) && m.err == nil && v != only.value {
			return fmt.Errorf("%s.%s %g is not supported; supported: %g", m.arch, only.key, v, only.value)
		}
	}
	return m.err
}

// layers works out each layer's window and whether it has rotary embedding.
func (m *ggufMeta) layers(c *Config, a architecture) error {
	c.LayerParts = make([]LayerConfig, c.Layers)
	window := max(m.size("attention.sliding_window"), 0)
	if a.window == windowNone && window > 0 {
		a.window = windowAll // Mistral files call themselves llama
	}
	var listed []bool
	const pattern = "attention.sliding_window_pattern"
	switch v := m.values[m.arch+"."+pattern].(type) {
	case nil:
	case []bool:
		if listed = v; len(listed) != c.Layers {
			return fmt.Errorf("%s.%s names %d layers, %s.block_count is %d", m.arch, pattern, len(listed), m.arch, c.Layers)
		}
	default:
		if a.window == windowAllBut {
			if a.every = m.size(pattern); a.every < 1 {
				return fmt.Errorf("%s.%s is %v; want a number of layers or a list of booleans", m.arch, pattern, v)
			}
		}
	}
	for l := range c.LayerParts {
		rotated := !a.noRope || (l+1)%4 != 0
		if !rotated {
			c.LayerParts[l].Rope = -1
		}
		local := !a.optional() && a.local(l, 0, rotated)
		if listed != nil {
			local = listed[l]
		}
		if local {
			c.LayerParts[l].Window = window
		}
	}
	return nil
}

// ropes reads the rotary embedding. Gemma 3's local layers have one of their
// own, of which older GGUF files say nothing.
func (m *ggufMeta) ropes(c *Config, f *weights.File) error {
	r := Rope{Kind: RopeDefault, Theta: defaultTheta, Dim: c.HeadDim}
	if m.has("rope.freq_base") {
		r.Theta = m.number("rope.freq_base")
	}
	if m.has("rope.dimension_count") {
		r.Dim = m.size("rope.dimension_count")
	}
	local := r
	local.Theta = defaultTheta
	if m.has("rope.freq_base_swa") {
		local.Theta = m.number("rope.freq_base_swa")
	}
	_, hasLong := f.Tensor("rope_factors_long.weight")
	switch kind, _ := m.values[m.arch+".rope.scaling.type"].(string); kind {
	case "", "none":
		if v := m.number("rope.scale_linear"); m.has("rope.scale_linear") && v != 1 {
			r.Kind, r.Factor = RopeLinear, v
		}
		if hasLong { // Phi-3's files name no type
			r.Kind, r.Scale = RopeLongRope, m.number("rope.scaling.attn_factor")
		}
	case "linear":
		r.Kind, r.Factor = RopeLinear, m.number("rope.scaling.factor")
	case "yarn":
		r.Kind, r.Factor = RopeYarn, m.number("rope.scaling.factor")
		r.Trained, r.BetaFast, r.BetaSlow, r.Truncate = m.trained(c.MaxPositions), 32, 1, true
		if m.has("rope.scaling.yarn_beta_fast") {
			r.BetaFast = m.number("rope.scaling.yarn_beta_fast")
		}
		if m.has("rope.scaling.yarn_beta_slow") {
			r.BetaSlow = m.number("rope.scaling.yarn_beta_slow")
		}
		if v := m.number("rope.scaling.attn_factor"); v != 0 && v != 1 {
			return fmt.Errorf("%s.rope.scaling.attn_factor %g with scaling yarn is not supported; supported: 1", m.arch, v)
		}
		r.Scale = yarnScale(r.Factor, 0, 0)
	case "longrope":
		r.Kind, r.Scale = RopeLongRope, m.number("rope.scaling.attn_factor")
	default:
		return fmt.Errorf("%s.rope.scaling.type: rotary scaling %q is not supported; supported: none, linear, yarn, longrope", m.arch, kind)
	}
	if r.Kind == RopeLongRope {
		r.Trained = m.trained(c.MaxPositions)
	}
	for _, divisors := range []struct {
		name string
		to   *[]float64
	}{{"rope_freqs.weight", &r.Short}, {"rope_factors_short.weight", &r.Short}, {"rope_factors_long.weight", &r.Long}} {
		t, ok := f.Tensor(divisors.name)
		if !ok {
			continue
		}
		if t.Rows() != 1 || t.Cols() != r.Dim/2 {
			return fmt.Errorf("tensor %s has shape %v, want [%d]", divisors.name, t.Shape, r.Dim/2)
		}
		if err := t.Supported(); err != nil {
			return err
		}
		values := make([]float32, t.Cols())
		if err := t.Read(values, 0, 1); err != nil {
			return err
		}
		for _, v := range values {
			*divisors.to = append(*divisors.to, float64(v))
		}
	}
	c.Ropes = []Rope{r}
	if strings.HasPrefix(m.arch, "gemma3") {
		c.Ropes = append(c.Ropes, local)
		for l, part := range c.LayerParts {
			if part.Window > 0 {
				c.LayerParts[l].Rope = 1
			}
		}
	}
	return nil
}

// trained is the sequence length before scaling; files that do not say it mean
// the longest.
func (m *ggufMeta) trained(maxPositions int) int {
	if m.has("rope.scaling.original_context_length") {
		return m.size("rope.scaling.original_context_length")
	}
	return maxPositions
}
