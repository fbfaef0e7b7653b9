package model

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A set of changes to a JSON object or to metadata; a nil value removes the key.
type changes map[string]any

// apply returns base with the changes made.
func (c changes) apply(base map[string]any) map[string]any {
	out := maps.Clone(base)
	for key, value := range c {
		out[key] = value
		if value == nil {
			delete(out, key)
		}
	}
	return out
}

func tinyConfig(t *testing.T) map[string]any {
	t.Helper()
	return readObject(t, "testdata/tiny-s/config.json")
}

// readObject reads a JSON object.
func readObject(t *testing.T, path string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func writeConfig(t *testing.T, config any) string {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadConfig(t *testing.T) {
	tiny := Config{
		Architecture: "llama", Shape: Shape{Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16},
		Hidden: 64, FFN: 128, Vocab: 259, MaxPositions: 1024, RMSEps: 1e-5, Tied: true,
		Activation: activationSiLU, EmbedScale: 1, QueryScale: 0.25,
		Ropes: []Rope{{Kind: RopeDefault, Theta: 10000, Dim: 16}}, LayerParts: make([]LayerConfig, 2),
	}
	with := func(change func(*Config)) Config {
		c := tiny
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		changes changes
		want    Config
	}{
		"as it is":                 {nil, tiny},
		"no head width":            {changes{"head_dim": nil}, tiny},
		"no KV heads":              {changes{"num_key_value_heads": nil}, with(func(c *Config) { c.KVHeads = 4 })},
		"not tied by default":      {changes{"tie_word_embeddings": nil}, with(func(c *Config) { c.Tied = false })},
		"transformers' defaults":   {changes{"rope_theta": nil, "rms_norm_eps": nil}, with(func(c *Config) { c.RMSEps = 1e-6 })},
		"null for what is unset":   {changes{"rope_scaling": json.RawMessage("null"), "quantization_config": json.RawMessage("null")}, tiny},
		"default rotary embedding": {changes{"rope_scaling": map[string]any{"rope_type": "default"}}, tiny},
		"base in rope_parameters": {changes{"rope_theta": nil, "rope_parameters": map[string]any{"rope_type": "default", "rope_theta": 5e5}},
			with(func(c *Config) { c.Ropes = []Rope{{Kind: RopeDefault, Theta: 5e5, Dim: 16}} })},
		"whole rotary embedding":    {changes{"partial_rotary_factor": 1}, tiny},
		"no activation, no biases":  {changes{"hidden_act": nil, "attention_bias": nil, "mlp_bias": nil}, tiny},
		"fields of other libraries": {changes{"pretraining_tp": 1, "transformers_version": "5"}, tiny},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readConfig(writeConfig(t, c.changes.apply(tinyConfig(t))))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
	if got, want := tiny.KVBytesPerToken(), int64(2*2*16*2*4); got != want {
		t.Errorf("%d bytes per token, want %d", got, want)
	}
}

func TestReadConfigRefused(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, c := range map[string]struct {
		changes changes
		want    []string
	}{
		"another architecture":     {changes{"model_type": "mamba"}, []string{"model_type", `"mamba"`, "supported: llama"}},
		"no architecture":          {changes{"model_type": nil}, []string{"model_type", `""`}},
		"activation":               {changes{"hidden_act": "gelu"}, []string{"hidden_act", `"gelu"`, "silu"}},
		"feed-forward bias":        {changes{"mlp_bias": true}, []string{"mlp_bias"}},
		"quantised":                {changes{"quantization_config": map[string]any{"quant_method": "gptq", "bits": 4}}, []string{"quantization_config", `"gptq"`, ".gguf"}},
		"quantised in a text":      {changes{"quantization_config": "awq"}, []string{"quantization_config"}},
		"linear rotary scaling":    {changes{"rope_scaling": map[string]any{"type": "linear", "factor": 0.5}}, []string{`"linear"`, "factor", "0.5"}},
		"llama3 rotary scaling":    {changes{"rope_scaling": map[string]any{"rope_type": "llama3", "factor": 8}}, []string{`"llama3"`, "low_freq_factor"}},
		"unknown rotary scaling":   {changes{"rope_parameters": map[string]any{"rope_type": "mrope"}}, []string{`"mrope"`, "supported: default, linear"}},
		"rotary scaling in a text": {changes{"rope_scaling": "linear"}, []string{"rope_scaling"}},
		"partial rotary embedding": {changes{"partial_rotary_factor": 0.5}, []string{"8 of a head's 16", "partial_rotary_factor", "llama"}},
		"partial, in parameters":   {changes{"rope_parameters": map[string]any{"partial_rotary_factor": 0.25}}, []string{"4 of a head's 16"}},
		"no layers":                {changes{"num_hidden_layers": nil}, []string{"num_hidden_layers is 0"}},
		"negative layers":          {changes{"num_hidden_layers": -1}, []string{"num_hidden_layers is -1"}},
		"too many layers":          {changes{"num_hidden_layers": 1 << 25}, []string{"num_hidden_layers is 33554432"}},
		"beyond an int":            {changes{"num_hidden_layers": raw("9223372036854775808")}, []string{"num_hidden_layers"}},
		"fraction":                 {changes{"hidden_size": 64.5}, []string{"hidden_size"}},
		"text for a number":        {changes{"vocab_size": "259"}, []string{"vocab_size"}},
		"no heads":                 {changes{"num_attention_heads": 0}, []string{"num_attention_heads is 0"}},
		"no hidden size":           {changes{"hidden_size": nil}, []string{"hidden_size is 0"}},
		"no feed-forward size":     {changes{"intermediate_size": nil}, []string{"intermediate_size is 0"}},
		"no vocabulary":            {changes{"vocab_size": nil}, []string{"vocab_size is 0"}},
		"no positions":             {changes{"max_position_embeddings": nil}, []string{"max_position_embeddings is 0"}},
		"several at once":          {changes{"vocab_size": nil, "hidden_size": -5}, []string{"hidden_size is -5, vocab_size is 0"}},
		"heads wider than hidden":  {changes{"head_dim": nil, "num_attention_heads": 128, "num_key_value_heads": 128}, []string{"head_dim is 0"}},
		"KV heads do not divide":   {changes{"num_key_value_heads": 3}, []string{"num_key_value_heads", "4 query heads cannot share 3 KV heads"}},
		"more KV heads than heads": {changes{"num_key_value_heads": 8}, []string{"num_key_value_heads", "4 query heads cannot share 8 KV heads"}},
		"odd head width":           {changes{"head_dim": 15}, []string{"head_dim", "15 is odd"}},
		"rotary base 0":            {changes{"rope_theta": 0}, []string{"rotary base 0"}},
		"negative rotary base":     {changes{"rope_theta": -1}, []string{"rotary base -1"}},
		"negative epsilon":         {changes{"rms_norm_eps": -1e-5}, []string{"rms_norm_eps is -1e-05"}},
		"epsilon beyond float32":   {changes{"rms_norm_eps": 1e300}, []string{"rms_norm_eps"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeConfig(t, c.changes.apply(tinyConfig(t)))
			_, err := readConfig(path)
			oneLine(t, err, append(c.want, path)...)
		})
	}
	for name, content := range map[string]string{
		"empty": "", "cut": `{"model_type": "llama"`, "list": "[]", "text": "llama", "null": "null", "NaN": `{"model_type": "llama", "rms_norm_eps": NaN}`,
		"infinity": `{"model_type": "llama", "rope_theta": Infinity}`, "deep": `{"model_type": "llama", "x": ` + strings.Repeat("[", 20000), "mark": "\ufeff{}",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readConfig(path)
			oneLine(t, err, path)
		})
	}
	t.Run("sparse", func(t *testing.T) {
		path := writeConfig(t, tinyConfig(t))
		if err := os.Truncate(path, 1<<36); err != nil {
			t.Skip(err)
		}
		_, err := readConfig(path)
		oneLine(t, err, path, "more than 100 MB")
	})
	missing := filepath.Join(t.TempDir(), "config.json")
	_, err := readConfig(missing)
	oneLine(t, err, missing, "no such file")
}

// Whatever stands in config.json, it is refused or makes a transformer that can
// be used.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"model_type":"llama","num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"hidden_size":64,"intermediate_size":128,"vocab_size":259,"max_position_embeddings":1024}`))
	f.Add([]byte(`{"model_type":"llama","rope_scaling":{"type":"linear"}}`))
	f.Add([]byte(`{"model_type":"llama","num_hidden_layers":1,"num_attention_heads":9,"head_dim":64,"hidden_size":1,"intermediate_size":1,"vocab_size":1,"max_position_embeddings":1,"rope_parameters":{"rope_theta":1e5}}`))
	for _, name := range []string{"llama-dynamic", "llama-yarn", "smollm3-window", "phi3-longrope", "gemma2", "gemma3", "gemma3-vision"} {
		raw, err := os.ReadFile("testdata/families/" + name + ".config.json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err != nil || c.HeadDim > 1000 {
			return
		}
		if c.Group()*c.KVHeads != c.Heads || c.HeadDim%2 != 0 || c.KVBytesPerToken() <= 0 || !(c.RMSEps > 0) || !(c.QueryScale > 0) {
			t.Errorf("accepted: %+v", c)
		}
		if len(c.LayerParts) != c.Layers {
			t.Errorf("%d layers are described, there are %d", len(c.LayerParts), c.Layers)
		}
		for _, layer := range c.LayerParts {
			if layer.Window < 0 || layer.Rope < -1 || layer.Rope >= len(c.Ropes) {
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
