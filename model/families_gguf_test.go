package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A ggufCase is a recorded model as llama.cpp's converter would write it. Where
// GGUF cannot say what the config says, the config is changed.
type ggufCase struct {
	name, weights string
	change        map[string]any // of config.json
	arch          string
	meta          map[string]any // beside the sizes, without the architecture's name in front
	extra         map[string][]float32
}

func ggufCases() []ggufCase {
	// llama3's scaling as the converter writes it: a divisor for each frequency.
	llama3 := Rope{Kind: RopeLlama3, Theta: 10000, Dim: 12, Factor: 8, Trained: 64, LowFreq: 1, HighFreq: 4}
	whole := Rope{Kind: RopeDefault, Theta: 10000, Dim: 12}
	var divisors []float32
	for i, f := range llama3.frequencies(1) {
		divisors = append(divisors, whole.frequencies(1)[i]/f)
	}
	longScale := float32(math.Sqrt(1 + math.Log(4)/math.Log(64)))
	return []ggufCase{
		{name: "llama", weights: "llama", arch: "llama"},
		{name: "llama-linear", weights: "llama", arch: "llama", meta: map[string]any{"rope.scaling.type": "linear", "rope.scaling.factor": float32(4)}},
		{name: "llama-llama3", weights: "llama", arch: "llama", extra: map[string][]float32{"rope_freqs.weight": divisors}},
		{name: "llama-yarn", weights: "llama", arch: "llama", meta: map[string]any{"rope.scaling.type": "yarn", "rope.scaling.factor": float32(4),
			"rope.scaling.original_context_length": uint32(64), "rope.scaling.yarn_beta_fast": float32(32)}},
		{name: "llama-bias", weights: "llama-bias", arch: "llama"},
		{name: "mistral", weights: "mistral", arch: "llama", meta: map[string]any{"attention.sliding_window": uint32(16)}},
		{name: "qwen2", weights: "qwen2", arch: "qwen2"},
		{name: "qwen3", weights: "qwen3", arch: "qwen3"},
		{name: "smollm3", weights: "smollm3", arch: "smollm3", change: map[string]any{"no_rope_layers": nil, "no_rope_layer_interval": 4}},
		{name: "phi3", weights: "phi3", arch: "phi3", meta: map[string]any{"attention.sliding_window": uint32(19), "rope.dimension_count": uint32(4)}},
		{name: "phi3-longrope", weights: "phi3", arch: "phi3", meta: map[string]any{"attention.sliding_window": uint32(0), "rope.dimension_count": uint32(6),
			"rope.scaling.original_context_length": uint32(64), "rope.scaling.attn_factor": longScale},
			extra: map[string][]float32{"rope_factors_short.weight": {1, 1.1, 1.25}, "rope_factors_long.weight": {1.05, 2.5, 6}}},
		{name: "gemma2", weights: "gemma2", arch: "gemma2", change: map[string]any{"query_pre_attn_scalar": 16}, meta: map[string]any{
			"attention.sliding_window": uint32(16), "attn_logit_softcapping": float32(6), "final_logit_softcapping": float32(12)}},
		{name: "gemma3", weights: "gemma3", arch: "gemma3", change: map[string]any{"query_pre_attn_scalar": 16, "layer_types": nil, "sliding_window_pattern": 6},
			meta: map[string]any{"attention.sliding_window": uint32(16), "rope.freq_base": float32(1e6), "rope.scaling.type": "linear", "rope.scaling.factor": float32(8)}},
		{name: "gemma3", weights: "gemma3", arch: "gemma3", change: map[string]any{"query_pre_attn_scalar": 16},
			meta: map[string]any{"attention.sliding_window": uint32(16), "attention.sliding_window_pattern": uint32(3), "rope.freq_base": float32(1e6),
				"rope.freq_base_swa": float32(10000), "rope.scaling.type": "linear", "rope.scaling.factor": float32(8)}},
		{name: "gemma3", weights: "gemma3", arch: "gemma3", change: map[string]any{"query_pre_attn_scalar": 16},
			meta: map[string]any{"attention.sliding_window": uint32(16), "attention.sliding_window_pattern": []bool{true, true, false, true},
				"rope.freq_base": float32(1e6), "rope.scaling.type": "linear", "rope.scaling.factor": float32(8)}},
	}
}

// The same model as a folder and as a GGUF file computes the same: the very bits
// where GGUF gives the same numbers, near them where it stores quotients.
func TestFamiliesGGUF(t *testing.T) {
	o := readFamilies(t)
	for i, c := range ggufCases() {
		t.Run(fmt.Sprintf("%d %s", i, c.name), func(t *testing.T) {
			folder := openChanged(t, c)
			file, err := Open(writeFamilyGGUF(t, folder, c))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { file.Close() })
			if diff := cmp.Diff(folder.Config.LayerParts, file.Config.LayerParts); diff != "" {
				t.Errorf("layers (-folder +file):\n%s", diff)
			}
			tokens := o.Cases[c.name].Prompts[3].IDs
			want, got := prefill(t, folder, tokens, Needs{}), prefill(t, file, tokens, Needs{})
			if c.extra == nil && !slices.Equal(want.Logits(), got.Logits()) {
				t.Error("logits differ")
			}
			nearLogits(t, "logits", want.Logits(), got.Logits())
			full := []Keep{All(folder.Config.Layers, len(tokens))}
			if diff := cmp.Diff(decode(t, folder, want, full, 24), decode(t, file, got, full, 24)); diff != "" {
				t.Errorf("greedy tokens (-folder +file):\n%s", diff)
			}
		})
	}
}

// openChanged opens a case's folder with its config changed; nil removes a field.
func openChanged(t *testing.T, c ggufCase) *Model {
	t.Helper()
	m := openFamily(t, c.name, c.weights)
	path := filepath.Join(m.Path, "config.json")
	raw, err := json.Marshal(changes(c.change).apply(readObject(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	changed, err := Open(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { changed.Close() })
	return changed
}

// writeFamilyGGUF writes a folder's model as a GGUF file, all tensors F32.
func writeFamilyGGUF(t *testing.T, m *Model, c ggufCase) string {
	t.Helper()
	g := convert(m, c.arch, readTensors(t, m.file), encodings[0])
	g.meta[c.arch+".context_length"] = uint32(256)
	if c.arch == "phi3" { // the converter leaves them out
		delete(g.meta, "phi3.attention.key_length")
		delete(g.meta, "phi3.attention.value_length")
	}
	for key, value := range c.meta {
		g.meta[c.arch+"."+key] = value
	}
	for name, values := range c.extra {
		g.tensors[name] = ggufTensor{[]int{len(values)}, encodings[0].number, encodings[0].encode(values)}
	}
	return g.write(t)
}

// Metadata that would change the numbers and is not understood is refused.
func TestFamiliesGGUFRefused(t *testing.T) {
	find := func(name string) ggufCase {
		for _, c := range ggufCases() {
			if c.name == name {
				return c
			}
		}
		t.Fatal(name)
		return ggufCase{}
	}
	for _, c := range []struct {
		name, key string
		value     any
		wants     string
	}{
		{"gemma3", "attention.sliding_window_pattern", []bool{true}, "gemma3.attention.sliding_window_pattern names 1 layers"},
		{"gemma3", "attention.sliding_window_pattern", uint32(0), "gemma3.attention.sliding_window_pattern is 0"},
		{"llama-yarn", "rope.scaling.attn_factor", float32(1.5), "llama.rope.scaling.attn_factor 1.5"},
		{"llama-yarn", "rope.scaling.yarn_ext_factor", float32(0), "llama.rope.scaling.yarn_ext_factor 0"},
		{"llama-yarn", "rope.scaling.yarn_beta_fast", float32(0.5), "beta_fast"},
		{"llama", "rope.scaling.type", "spiral", `"spiral"`},
		{"phi3-longrope", "rope.dimension_count", uint32(4), "rope_factors"},
		{"qwen3", "attention.value_length", uint32(8), "qwen3.attention.value_length 8"},
	} {
		t.Run(c.name+" "+c.key, func(t *testing.T) {
			changed := find(c.name)
			changed.meta = maps.Clone(changed.meta)
			if changed.meta == nil {
				changed.meta = map[string]any{}
			}
			changed.meta[c.key] = c.value
			m, err := Open(writeFamilyGGUF(t, openFamily(t, c.name, changed.weights), changed))
			if err == nil {
				m.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("error %v, want one that says %s", err, c.wants)
			}
		})
	}
}
