package model

import (
	"bytes"
	"encoding/binary"
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
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	for key, value := range c.change {
		config[key] = value
		if value == nil {
			delete(config, key)
		}
	}
	if raw, err = json.Marshal(config); err != nil {
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

// writeFamilyGGUF writes a folder's model in llama.cpp's layout, all tensors F32:
// rows of rotary pairs side by side in the llama family, norms whole.
func writeFamilyGGUF(t *testing.T, m *Model, c ggufCase) string {
	t.Helper()
	config := m.Config
	tokens, types := make([]string, m.Tokenizer.Size()), make([]int32, m.Tokenizer.Size())
	for i := range tokens {
		tokens[i], types[i] = m.Tokenizer.Token(int32(i)), 1
		if i >= 256 {
			types[i] = 3
		}
	}
	meta := map[string]any{
		"general.architecture": c.arch,
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types,
		"tokenizer.ggml.merges": []string{}, "tokenizer.ggml.eos_token_id": uint32(257), "tokenizer.ggml.add_bos_token": false,
	}
	for key, value := range map[string]any{
		"block_count": uint32(config.Layers), "context_length": uint32(256), "embedding_length": uint32(config.Hidden),
		"feed_forward_length": uint32(config.FFN), "attention.head_count": uint32(config.Heads), "attention.head_count_kv": uint32(config.KVHeads),
		"attention.key_length": uint32(config.HeadDim), "attention.value_length": uint32(config.HeadDim),
		"attention.layer_norm_rms_epsilon": config.RMSEps, "rope.freq_base": float32(10000),
	} {
		meta[c.arch+"."+key] = value
	}
	if c.name == "smollm3" {
		meta["smollm3.rope.freq_base"] = float32(config.Ropes[0].Theta)
	}
	if strings.HasPrefix(c.name, "phi3") { // the converter leaves them out
		delete(meta, "phi3.attention.key_length")
		delete(meta, "phi3.attention.value_length")
	}
	for key, value := range c.meta {
		meta[c.arch+"."+key] = value
	}
	gemma := strings.HasPrefix(c.arch, "gemma")
	names := renamed(gemma, c.arch == "phi3")
	type tensorData struct {
		dims   []int
		values []float32
	}
	out := map[string]tensorData{}
	for _, name := range m.file.Names() {
		stored, _ := m.file.Tensor(name)
		values := make([]float32, stored.Rows()*stored.Cols())
		stored.Read(values, 0, stored.Rows())
		if gemma && strings.HasSuffix(name, "norm.weight") {
			for i := range values {
				values[i]++
			}
		}
		if (c.arch == "llama" || c.arch == "smollm3") && (strings.Contains(name, "q_proj") || strings.Contains(name, "k_proj")) {
			values = pairsTogether(values, config.HeadDim, len(values)/(stored.Shape[0]))
		}
		out[names.Replace(name)] = tensorData{stored.Shape, values}
	}
	for name, values := range c.extra {
		out[name] = tensorData{[]int{len(values)}, values}
	}

	var b bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) { put(uint64(len(s))); b.WriteString(s) }
	b.WriteString("GGUF")
	put(uint32(3))
	put([]uint64{uint64(len(out)), uint64(len(meta))})
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		text(key)
		switch v := meta[key].(type) {
		case string:
			put(uint32(8))
			text(v)
		case uint32:
			put([]uint32{4, v})
		case float32:
			put(uint32(6))
			put(v)
		case bool:
			put(uint32(7))
			put(v)
		case []bool:
			put([]uint32{9, 7})
			put(uint64(len(v)))
			put(v)
		case []int32:
			put([]uint32{9, 5})
			put(uint64(len(v)))
			put(v)
		case []string:
			put([]uint32{9, 8})
			put(uint64(len(v)))
			for _, s := range v {
				text(s)
			}
		default:
			t.Fatalf("metadata %s of type %T", key, v)
		}
	}
	var body bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(out)) {
		for body.Len()%32 != 0 {
			body.WriteByte(0)
		}
		text(name)
		put(uint32(len(out[name].dims)))
		for _, n := range slices.Backward(out[name].dims) {
			put(uint64(n))
		}
		put(uint32(0)) // F32
		put(uint64(body.Len()))
		if err := binary.Write(&body, binary.LittleEndian, out[name].values); err != nil {
			t.Fatal(err)
		}
	}
	for b.Len()%32 != 0 {
		b.WriteByte(0)
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, append(b.Bytes(), body.Bytes()...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// renamed turns Hugging Face's tensor names into llama.cpp's.
func renamed(gemma, fused bool) *strings.Replacer {
	pairs := []string{
		"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output", "model.layers.", "blk.",
		"input_layernorm", "attn_norm", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k", "self_attn.v_proj", "attn_v",
		"self_attn.o_proj", "attn_output", "self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm",
		"mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down",
	}
	if fused {
		pairs = append(pairs, "self_attn.qkv_proj", "attn_qkv", "mlp.gate_up_proj", "ffn_up")
	}
	if gemma {
		pairs = append(pairs, "post_attention_layernorm", "post_attention_norm", "pre_feedforward_layernorm", "ffn_norm", "post_feedforward_layernorm", "post_ffw_norm")
	} else {
		pairs = append(pairs, "post_attention_layernorm", "ffn_norm")
	}
	return strings.NewReplacer(pairs...)
}

// pairsTogether moves row i+j·headDim/2 of every head to 2i+j.
func pairsTogether(values []float32, headDim, cols int) []float32 {
	out := make([]float32, len(values))
	for row := range len(values) / cols {
		head, at := row/headDim*headDim, row%headDim
		to := head + at%(headDim/2)*2 + at/(headDim/2)
		copy(out[to*cols:(to+1)*cols], values[row*cols:(row+1)*cols])
	}
	return out
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
