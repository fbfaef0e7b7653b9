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
		{"query_pre_attn_scalar", `-4`, "query scale NaN"},
		{"partial_rotary_factor", `1e300`, "rotary"},
		{"partial_rotary_factor", `-1`, "rotary"},
		{"attn_logit_softcapping", `-1`, "attention soft cap"},
		{"final_logit_softcapping", `-1e300`, "logit soft cap"},
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

// Configs of well-known models that are not supported, as far as it matters:
// each is refused for what it is, with what is supported.
func TestOtherModelsRefused(t *testing.T) {
	const sizes = `"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 64, "intermediate_size": 8, "vocab_size": 300, "max_position_embeddings": 99`
	quantised := func(modelType, method string) string {
		return `{"model_type": "` + modelType + `", ` + sizes + `, "quantization_config": ` + method + `}`
	}
	const supported = "supported: llama, mistral, qwen2, qwen3, smollm3, phi3, gemma2, gemma3_text, and the text part of gemma3, mistral3"
	const remedy = "use the unquantised model or a .gguf file"
	for name, c := range map[string]struct{ config, what, instead string }{
		"Mixtral-8x7B":     {`{"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, ` + sizes + `}`, `model_type "mixtral"`, supported},
		"DeepSeek-V3":      {`{"model_type": "deepseek_v3", "q_lora_rank": 1536, "quantization_config": {"quant_method": "fp8"}, ` + sizes + `}`, `model_type "deepseek_v3"`, supported},
		"Falcon-7B":        {`{"model_type": "falcon", "multi_query": true, "alibi": false, "parallel_attn": true}`, `model_type "falcon"`, supported},
		"Pythia":           {`{"model_type": "gpt_neox", "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": true}`, `model_type "gpt_neox"`, supported},
		"Mamba":            {`{"model_type": "mamba", "state_size": 16, "conv_kernel": 4}`, `model_type "mamba"`, supported},
		"Qwen1.5-MoE":      {`{"model_type": "qwen2_moe", "num_experts": 60, ` + sizes + `}`, `model_type "qwen2_moe"`, supported},
		"Qwen3-30B-A3B":    {`{"model_type": "qwen3_moe", "num_experts": 128, ` + sizes + `}`, `model_type "qwen3_moe"`, supported},
		"Qwen2.5-VL":       {`{"model_type": "qwen2_5_vl", "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, ` + sizes + `}`, `model_type "qwen2_5_vl"`, supported},
		"Llama 4":          {`{"model_type": "llama4", "text_config": {"model_type": "llama4_text", ` + sizes + `}, "vision_config": {}}`, `model_type "llama4"`, supported},
		"Llama 3.2 Vision": {`{"model_type": "mllama", "text_config": {"model_type": "mllama_text_model"}}`, `model_type "mllama"`, supported},
		"Gemma":            {`{"model_type": "gemma", "hidden_act": "gelu_pytorch_tanh", ` + sizes + `}`, `model_type "gemma"`, supported},
		"Gemma 3n":         {`{"model_type": "gemma3n", "text_config": {"model_type": "gemma3n_text"}}`, `model_type "gemma3n"`, supported},
		"Phi-2":            {`{"model_type": "phi", "partial_rotary_factor": 0.4, "qk_layernorm": false, ` + sizes + `}`, `model_type "phi"`, supported},
		"Phi-3.5-MoE":      {`{"model_type": "phimoe", ` + sizes + `}`, `model_type "phimoe"`, supported},
		"GPT-J":            {`{"model_type": "gptj", "n_embd": 4096, "n_layer": 28, "n_head": 16, "rotary_dim": 64}`, `model_type "gptj"`, supported},
		"GPT-2":            {`{"model_type": "gpt2", "n_ctx": 1024, "n_embd": 768}`, `model_type "gpt2"`, supported},
		"OPT":              {`{"model_type": "opt", "word_embed_proj_dim": 512, "do_layer_norm_before": true}`, `model_type "opt"`, supported},
		"BLOOM":            {`{"model_type": "bloom", "n_layer": 24, "n_head": 16}`, `model_type "bloom"`, supported},
		"Command R":        {`{"model_type": "cohere", "logit_scale": 0.0625, ` + sizes + `}`, `model_type "cohere"`, supported},
		"gpt-oss":          {`{"model_type": "gpt_oss", "num_local_experts": 32, "quantization_config": {"quant_method": "mxfp4"}}`, `model_type "gpt_oss"`, supported},
		"ChatGLM":          {`{"architectures": ["ChatGLMModel"], "model_type": "chatglm", "num_layers": 28}`, `model_type "chatglm"`, supported},
		"without a type":   {`{"architectures": ["LlamaForCausalLM"], ` + sizes + `}`, `model_type ""`, supported},

		"GPTQ":               {quantised("llama", `{"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": true}`), `quant_method "gptq"`, remedy},
		"AWQ":                {quantised("qwen2", `{"quant_method": "awq", "bits": 4, "version": "gemm", "zero_point": true}`), `quant_method "awq"`, remedy},
		"FP8":                {quantised("mistral", `{"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}`), `quant_method "fp8"`, remedy},
		"compressed tensors": {quantised("llama", `{"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {}}`), `quant_method "compressed-tensors"`, remedy},
		"bitsandbytes":       {quantised("llama", `{"quant_method": "bitsandbytes", "load_in_4bit": true}`), `quant_method "bitsandbytes"`, remedy},
		"quantised inside":   {`{"model_type": "gemma3", "text_config": ` + quantised("gemma3_text", `{"quant_method": "gptq"}`) + `}`, `text_config: quantization_config with quant_method "gptq"`, remedy},
		"linear attention":   {`{"model_type": "qwen3", "layer_types": ["linear_attention", "full_attention"], ` + sizes + `}`, `layer_types: "linear_attention"`, "supported: full_attention, sliding_attention"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig([]byte(c.config))
			oneLine(t, err, c.what+" is not supported", c.instead)
		})
	}
}

// The configs of real models that leave fields to transformers' defaults.
func TestSparseConfigs(t *testing.T) {
	// Gemma 3 4B: 34 layers, every sixth of them global.
	got, err := parseConfig([]byte(`{"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "mm_tokens_per_image": 256,
		"text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
		"rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}, "vision_config": {"hidden_size": 1152}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Architecture: "gemma3_text", Shape: Shape{Layers: 34, Heads: 8, KVHeads: 4, HeadDim: 256},
		Hidden: 2560, FFN: 10240, Vocab: 262208, MaxPositions: 131072, RMSEps: 1e-6,
		Activation: activationGELUTanh, EmbedScale: float32(math.Sqrt(2560)), QueryScale: 1.0 / 16,
		Ropes: []Rope{{Kind: RopeLinear, Theta: 1e6, Dim: 256, Factor: 8, Trained: 131072, BetaFast: 32, BetaSlow: 1, Truncate: true},
			{Kind: RopeDefault, Theta: 1e4, Dim: 256}},
	}
	for l := range want.Layers {
		part := LayerConfig{Window: 1024, Rope: 1}
		if l%6 == 5 {
			part = LayerConfig{}
		}
		want.LayerParts = append(want.LayerParts, part)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}
