package model

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func parseFile(t *testing.T, path string) Config {
	t.Helper()
	c, err := readConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var allOfConfig = cmp.AllowUnexported(Config{}, architecture{})

// Older releases of transformers wrote rope_theta and rope_scaling where newer
// ones write rope_parameters, and no layer_types: the models are the same.
func TestOldConfigs(t *testing.T) {
	for _, name := range []string{"llama-llama3", "phi3-longrope", "gemma3"} {
		t.Run(name, func(t *testing.T) {
			want := parseFile(t, "testdata/families/"+name+".config.json")
			got := parseFile(t, "testdata/families/old/"+name+".config.json")
			if diff := cmp.Diff(want, got, allOfConfig); diff != "" {
				t.Errorf("config (-new style +old style):\n%s", diff)
			}
		})
	}
}

// Windows and rotary embeddings by layer, as transformers gives them out where
// the config does not list them.
func TestConfigLayers(t *testing.T) {
	const sizes = `"num_hidden_layers": 7, "num_attention_heads": 8, "hidden_size": 64, "intermediate_size": 8, "vocab_size": 300, "max_position_embeddings": 99`
	full, bare := LayerConfig{}, LayerConfig{Rope: -1}
	window := func(rope int) LayerConfig { return LayerConfig{Window: 9, Rope: rope} }
	for name, c := range map[string]struct {
		config string
		want   []LayerConfig
	}{
		"llama never":   {`"model_type": "llama", "sliding_window": 9`, []LayerConfig{full, full, full, full, full, full, full}},
		"mistral":       {`"model_type": "mistral", "sliding_window": 9`, []LayerConfig{window(0), window(0), window(0), window(0), window(0), window(0), window(0)}},
		"mistral, null": {`"model_type": "mistral", "sliding_window": null`, []LayerConfig{full, full, full, full, full, full, full}},
		"qwen2, off":    {`"model_type": "qwen2", "sliding_window": 9, "max_window_layers": 3`, []LayerConfig{full, full, full, full, full, full, full}},
		"qwen2, on": {`"model_type": "qwen2", "sliding_window": 9, "max_window_layers": 3, "use_sliding_window": true`,
			[]LayerConfig{full, full, full, window(0), window(0), window(0), window(0)}},
		"qwen3, on": {`"model_type": "qwen3", "sliding_window": 9, "max_window_layers": 6, "use_sliding_window": true`,
			[]LayerConfig{full, full, full, full, full, full, window(0)}},
		"smollm3": {`"model_type": "smollm3"`, []LayerConfig{full, full, full, bare, full, full, full}},
		"smollm3, on": {`"model_type": "smollm3", "sliding_window": 9, "use_sliding_window": true, "no_rope_layer_interval": 3`,
			[]LayerConfig{full, full, window(-1), full, full, window(-1), full}},
		"smollm3, listed": {`"model_type": "smollm3", "no_rope_layers": [0, 1, 1, 1, 1, 1, 0]`,
			[]LayerConfig{bare, full, full, full, full, full, bare}},
		"phi3": {`"model_type": "phi3", "sliding_window": 9`, []LayerConfig{window(0), window(0), window(0), window(0), window(0), window(0), window(0)}},
		"gemma2": {`"model_type": "gemma2", "sliding_window": 9`,
			[]LayerConfig{window(0), full, window(0), full, window(0), full, window(0)}},
		"gemma3": {`"model_type": "gemma3_text", "sliding_window": 9`,
			[]LayerConfig{window(1), window(1), window(1), window(1), window(1), full, window(1)}},
		"gemma3, pattern": {`"model_type": "gemma3_text", "sliding_window": 9, "sliding_window_pattern": 2`,
			[]LayerConfig{window(1), full, window(1), full, window(1), full, window(1)}},
		"gemma3, listed": {`"model_type": "gemma3_text", "sliding_window": 9, "layer_types": ["full_attention", "sliding_attention",
			"full_attention", "full_attention", "full_attention", "full_attention", "full_attention"]`,
			[]LayerConfig{full, window(1), full, full, full, full, full}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseConfig([]byte("{" + sizes + ", " + c.config + "}"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.LayerParts); diff != "" {
				t.Errorf("layers (-want +got):\n%s", diff)
			}
		})
	}
}

// Fields that a config leaves out take the family's defaults in transformers,
// null does not.
func TestConfigDefaults(t *testing.T) {
	const sizes = `"num_hidden_layers": 2, "num_attention_heads": 8, "hidden_size": 256, "intermediate_size": 8, "vocab_size": 300, "max_position_embeddings": 99`
	type part struct {
		KVHeads, HeadDim, Window       int
		Activation                     string
		EmbedScale                     float32
		QueryScale, ScoreCap, LogitCap float64
		Thetas                         []float64
		Eps                            float32
	}
	for name, c := range map[string]struct {
		config string
		want   part
	}{
		"llama":   {`"model_type": "llama"`, part{8, 32, 0, "silu", 1, 1 / math.Sqrt(32), 0, 0, []float64{10000}, 1e-6}},
		"qwen3":   {`"model_type": "qwen3"`, part{8, 128, 0, "silu", 1, 1 / math.Sqrt(128), 0, 0, []float64{10000}, 1e-6}},
		"mistral": {`"model_type": "mistral"`, part{8, 32, 4096, "silu", 1, 1 / math.Sqrt(32), 0, 0, []float64{10000}, 1e-6}},
		"smollm3": {`"model_type": "smollm3"`, part{4, 32, 0, "silu", 1, 1 / math.Sqrt(32), 0, 0, []float64{2e6}, 1e-6}},
		"phi3":    {`"model_type": "phi3"`, part{8, 32, 0, "silu", 1, 1 / math.Sqrt(32), 0, 0, []float64{10000}, 1e-5}},
		"gemma2":  {`"model_type": "gemma2"`, part{4, 256, 4096, "gelu_tanh", 16, 1.0 / 16, 50, 30, []float64{10000}, 1e-6}},
		"gemma2, no caps": {`"model_type": "gemma2", "attn_logit_softcapping": null, "final_logit_softcapping": null`,
			part{4, 256, 4096, "gelu_tanh", 16, 1.0 / 16, 0, 0, []float64{10000}, 1e-6}},
		"gemma3": {`"model_type": "gemma3_text", "query_pre_attn_scalar": 64`,
			part{4, 256, 4096, "gelu_tanh", 16, 1.0 / 8, 0, 0, []float64{1e6, 1e4}, 1e-6}},
		"gemma3, one rope said": {`"model_type": "gemma3_text", "rope_parameters": {"sliding_attention": {"rope_theta": 500}}`,
			part{4, 256, 4096, "gelu_tanh", 16, 1.0 / 16, 0, 0, []float64{1e6, 500}, 1e-6}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseConfig([]byte("{" + sizes + ", " + c.config + "}"))
			if err != nil {
				t.Fatal(err)
			}
			is := part{got.KVHeads, got.HeadDim, got.LayerParts[0].Window, got.Activation, got.EmbedScale,
				got.QueryScale, got.ScoreCap, got.LogitCap, nil, got.RMSEps}
			for _, r := range got.Ropes {
				is.Thetas = append(is.Thetas, r.Theta)
			}
			if diff := cmp.Diff(c.want, is, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

// What would change the numbers and is not implemented is refused, with the
// field named.
func TestConfigRefused(t *testing.T) {
	raw, err := os.ReadFile("testdata/families/gemma3.config.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ field, value, wants string }{
		{"model_type", `"gpt2"`, "model_type"},
		{"mlp_bias", `true`, "mlp_bias"},
		{"use_bidirectional_attention", `true`, "use_bidirectional_attention"},
		{"quantization_config", `{"quant_method": "awq"}`, `"awq"`},
		{"hidden_activation", `"relu"`, "hidden_activation"},
		{"sliding_window", `0`, "sliding_window"},
		{"layer_types", `["full_attention"]`, "layer_types"},
		{"layer_types", `["full_attention", "full_attention", "full_attention", "linear_attention"]`, "linear_attention"},
		{"num_attention_heads", `3`, "3 query heads"},
		{"num_key_value_heads", `3`, "3 KV heads"},
		{"head_dim", `15`, "head_dim"},
		{"rms_norm_eps", `-1`, "rms_norm_eps"},
		{"rope_parameters", `{"full_attention": 7}`, "rope_parameters.full_attention"},
		{"rope_parameters", `{"full_attention": {"rope_type": "spiral"}}`, `"spiral"`},
		{"rope_parameters", `{"full_attention": {"rope_type": "linear"}}`, `"linear"`},
		{"rope_parameters", `{"rope_type": "longrope"}`, "short_factor"},
		{"rope_parameters", `{"rope_type": "longrope", "short_factor": [1], "long_factor": [1]}`, "divisors"},
		{"rope_parameters", `{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1}`, "low_freq_factor"},
		{"rope_parameters", `{"rope_type": "yarn", "factor": 8, "beta_fast": 1, "beta_slow": 2}`, "beta_slow"},
		{"rope_parameters", `{"rope_theta": 1}`, "rope_theta"},
		{"rope_parameters", `{"partial_rotary_factor": 0.2}`, "rotary"},
	} {
		t.Run(c.field+" "+c.value, func(t *testing.T) {
			fields := map[string]json.RawMessage{}
			if err := json.Unmarshal(raw, &fields); err != nil {
				t.Fatal(err)
			}
			if c.field == "num_attention_heads" {
				fields["num_key_value_heads"] = []byte("2")
			}
			fields[c.field] = []byte(c.value)
			changed, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseConfig(changed); err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("error %v, want one that names %s", err, c.wants)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, name := range []string{"llama-dynamic", "llama-yarn", "smollm3-window", "phi3-longrope", "gemma2", "gemma3"} {
		raw, err := os.ReadFile("testdata/families/" + name + ".config.json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err != nil || c.Layers > 1000 || c.HeadDim > 1000 {
			return
		}
		// What is let through must be usable.
		for _, layer := range c.LayerParts {
			if layer.Window < 0 || layer.Rope >= len(c.Ropes) {
				t.Fatalf("layer %+v with %d rotary embeddings", layer, len(c.Ropes))
			}
		}
		for _, rope := range c.Ropes {
			for _, n := range []int{1, 100, c.MaxPositions} {
				if got := rope.frequencies(n); len(got) != rope.Dim/2 {
					t.Fatalf("%d frequencies, want %d", len(got), rope.Dim/2)
				}
			}
		}
	})
}
