package model

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"refreekv/model/weights"
)

// oneLine checks that an error is one line and says all that is wanted.
func oneLine(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error %q has several lines", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
}

// mostMemory is what refusing a tiny model may allocate, whatever sizes it claims.
const mostMemory = 16 << 20

// refused opens a model and checks that it is refused with one line that names
// the path and says what is wrong, without much memory.
func refused(t *testing.T, path string, want ...string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Open(path)
	runtime.ReadMemStats(&after)
	if err == nil {
		m.Close()
	}
	oneLine(t, err, append(want, path)...)
	if took := after.TotalAlloc - before.TotalAlloc; took > mostMemory {
		t.Errorf("refusing the model took %d bytes of memory", took)
	}
}

// A stored tensor, its values as float32.
type stored struct {
	shape  []int
	values []float32
}

func tinyTensors(t *testing.T, name string) map[string]stored {
	t.Helper()
	f, err := weights.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return readTensors(t, f)
}

func readTensors(t *testing.T, f *weights.File) map[string]stored {
	t.Helper()
	out := map[string]stored{}
	for _, name := range f.Names() {
		tensor, _ := f.Tensor(name)
		values := make([]float32, tensor.Rows()*tensor.Cols())
		if err := tensor.Read(values, 0, tensor.Rows()); err != nil {
			t.Fatal(err)
		}
		out[name] = stored{slices.Clone(tensor.Shape), values}
	}
	return out
}

// writeFolder makes a model folder from tiny-s's or tiny-m's other files, with a
// changed config and one safetensors file.
func writeFolder(t *testing.T, from string, config changes, tensors map[string]stored, encode encoding) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json"} {
		raw, err := os.ReadFile(filepath.Join("testdata", from, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "config.json" {
			if raw, err = json.Marshal(config.apply(readObject(t, filepath.Join("testdata", from, name)))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	header, body := map[string]any{}, []byte{}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		data := encode.encode(tensors[name].values)
		header[name] = map[string]any{"dtype": encode.name, "shape": tensors[name].shape, "data_offsets": []int{len(body), len(body) + len(data)}}
		body = append(body, data...)
	}
	raw, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(raw))), raw...)
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), append(file, body...), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ggufName translates a tensor's Hugging Face name.
func ggufName(name string) string { return ggufRenamer("llama").Replace(name) }

// writeGGUF makes a GGUF file of a tiny model with some metadata changed.
func writeGGUF(t *testing.T, m *Model, meta changes, tensors map[string]stored, encode encoding) string {
	t.Helper()
	g := convert(m, "llama", tensors, encode)
	g.meta = meta.apply(g.meta)
	return g.write(t)
}

func mustOpen(t *testing.T, path string) *Model {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// The same weights from a safetensors folder and from a GGUF file, whose query
// and key rows stand in another order, give the very same bits.
func TestSafetensorsEqualsGGUF(t *testing.T) {
	base := openTiny(t, "tiny-m")
	tokens := randomTokens(rand.New(rand.NewPCG(11, 12)), 70)
	for _, encode := range encodings {
		for _, tied := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, tied %t", encode.name, tied), func(t *testing.T) {
				tensors := tinyTensors(t, "tiny-m")
				if !tied {
					head := stored{tensors["model.embed_tokens.weight"].shape, slices.Clone(tensors["model.embed_tokens.weight"].values)}
					slices.Reverse(head.values)
					tensors["lm_head.weight"] = head
				}
				path := writeGGUF(t, base, nil, tensors, encode)
				as := encode
				if strings.HasPrefix(encode.name, "Q") { // safetensors knows no quantised types
					as = encodings[0]
				}
				tensors = dequantised(t, path, tensors, base.Config.HeadDim)
				folder, file := mustOpen(t, writeFolder(t, "tiny-m", changes{"tie_word_embeddings": tied}, tensors, as)), mustOpen(t, path)
				if diff := cmp.Diff(folder.Config, file.Config, cmpopts.IgnoreUnexported(Config{})); diff != "" {
					t.Errorf("config (-folder +GGUF):\n%s", diff)
				}
				text := "qz71 bm04 é\n</s>"
				if diff := cmp.Diff(encoded(t, folder.Tokenizer, text, false), encoded(t, file.Tokenizer, text, false)); diff != "" {
					t.Errorf("token ids (-folder +GGUF):\n%s", diff)
				}
				a, b := prefill(t, folder, tokens, Needs{LastRows: 1}), prefill(t, file, tokens, Needs{LastRows: 1})
				if diff := cmp.Diff(a.Logits(), b.Logits()); diff != "" {
					t.Errorf("logits (-folder +GGUF):\n%s", diff)
				}
				if !cmp.Equal(a.Row(3, 7, 0), b.Row(3, 7, 0)) {
					t.Error("attention differs")
				}
				full := []Keep{All(4, len(tokens))}
				if diff := cmp.Diff(decode(t, folder, a, full, 8), decode(t, file, b, full, 8)); diff != "" {
					t.Errorf("decoded (-folder +GGUF):\n%s", diff)
				}
			})
		}
	}
}

// A model is the same from its folder, from its one file, and rewritten.
func TestOpenPaths(t *testing.T) {
	m := openTiny(t, "tiny-s")
	tokens := randomTokens(rand.New(rand.NewPCG(13, 14)), 20)
	want := prefill(t, m, tokens, Needs{}).Logits()
	hash, err := m.Hash()
	if err != nil || len(hash) != 64 {
		t.Errorf("hash %q, %v", hash, err)
	}
	rewritten := writeFolder(t, "tiny-s", nil, tinyTensors(t, "tiny-s"), encodings[0])
	for _, path := range []string{"testdata/tiny-s/model.safetensors", "testdata/tiny-s/", rewritten, writeGGUF(t, m, nil, tinyTensors(t, "tiny-s"), encodings[0])} {
		other := mustOpen(t, path)
		if diff := cmp.Diff(want, prefill(t, other, tokens, Needs{}).Logits()); diff != "" {
			t.Errorf("%s: logits (-want +got):\n%s", path, diff)
		}
		if other.Path != path || !strings.Contains(other.Source, path) {
			t.Errorf("%s: path %s, source %s", path, other.Path, other.Source)
		}
	}
	if name := mustOpen(t, writeGGUF(t, m, nil, tinyTensors(t, "tiny-s"), encodings[0])).Name; name != "tiny" {
		t.Errorf("tiny.gguf has the name %q", name)
	}
}

// Weights that are cut short under an open model are an error where they are
// loaded, and a panic that says so where an embedding is read: never a signal,
// never other numbers.
func TestCutWhileOpen(t *testing.T) {
	dir := writeFolder(t, "tiny-s", nil, tinyTensors(t, "tiny-s"), encodings[0])
	loaded := mustOpen(t, dir)
	m, err := openFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 1<<13); err != nil {
		t.Fatal(err)
	}
	oneLine(t, m.loadWeights(), "model.safetensors can no longer be read: it was cut short")
	_, err = loaded.Prefill(t.Context(), []int32{258}, Needs{})
	oneLine(t, err, "model.safetensors can no longer be read: it was cut short")
}

// Every tensor is needed, and must have the shape that the config gives it.
func TestTensorsRefused(t *testing.T) {
	m := openTiny(t, "tiny-s")
	all := tinyTensors(t, "tiny-s")
	if len(all) != 2+9*2 {
		t.Fatalf("tiny-s has %d tensors", len(all))
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			missing := maps.Clone(all)
			delete(missing, name)
			refused(t, writeFolder(t, "tiny-s", nil, missing, encodings[0]), "tensor "+name+" is missing")
			refused(t, writeGGUF(t, m, nil, missing, encodings[0]), "tensor "+ggufName(name)+" is missing")
			wrong := maps.Clone(all)
			cut := slices.Clone(s.shape)
			cut[0] -= 2
			wrong[name] = stored{cut, s.values[:len(s.values)/s.shape[0]*cut[0]]}
			refused(t, writeFolder(t, "tiny-s", nil, wrong, encodings[0]), "tensor "+name+" has shape", fmt.Sprint(cut))
		})
	}
	t.Run("a type that is not read", func(t *testing.T) {
		bytes := encoding{name: "I32", encode: encodings[0].encode}
		refused(t, writeFolder(t, "tiny-s", nil, all, bytes), "has type I32; supported: F32")
	})
}

// Sizes that the weights do not have are refused before anything of such a size
// is allocated.
func TestSizesRefused(t *testing.T) {
	all := tinyTensors(t, "tiny-s")
	for name, c := range map[string]struct {
		config changes
		want   string
	}{
		"more layers":             {changes{"num_hidden_layers": 3}, "tensor model.layers.2.input_layernorm.weight is missing"},
		"millions of layers":      {changes{"num_hidden_layers": mostSize}, "num_hidden_layers is 16777216"},
		"another hidden size":     {changes{"hidden_size": 32}, "tensor model.embed_tokens.weight has shape [259 64], the config asks for [259 32]"},
		"huge hidden size":        {changes{"hidden_size": mostSize}, "tensor model.embed_tokens.weight"},
		"larger vocabulary":       {changes{"vocab_size": 260}, "tensor model.embed_tokens.weight has shape [259 64], the config asks for [260 64]"},
		"huge vocabulary":         {changes{"vocab_size": mostSize}, "tensor model.embed_tokens.weight"},
		"tokenizer too large":     {changes{"vocab_size": 258}, "the tokenizer has 259 tokens but the model only 258 logits"},
		"huge feed-forward layer": {changes{"intermediate_size": mostSize}, "gate_proj.weight has shape [128 64], the config asks for [16777216 64]"},
		"huge heads":              {changes{"num_attention_heads": mostSize, "num_key_value_heads": mostSize, "head_dim": mostSize}, "q_proj.weight has shape [64 64]"},
		"fewer heads":             {changes{"num_attention_heads": 2}, "q_proj.weight has shape [64 64], the config asks for [32 64]"},
		"more KV heads":           {changes{"num_key_value_heads": 4}, "k_proj.weight has shape [32 64], the config asks for [64 64]"},
		"not tied, no head":       {changes{"tie_word_embeddings": false}, "tensor lm_head.weight is missing"},
		"unsupported":             {changes{"model_type": "gemma"}, `config.json: model_type "gemma" is not supported`},
	} {
		t.Run(name, func(t *testing.T) { refused(t, writeFolder(t, "tiny-s", c.config, all, encodings[0]), c.want) })
	}
	for name, c := range map[string]struct{ gone, want string }{
		"no config":    {"config.json", "config.json"},
		"no tokenizer": {"tokenizer.json", "tokenizer.json: there is no such file"},
		"no weights":   {"model.safetensors", "holds no *.safetensors file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeFolder(t, "tiny-s", nil, all, encodings[0])
			if err := os.Remove(filepath.Join(dir, c.gone)); err != nil {
				t.Fatal(err)
			}
			refused(t, dir, c.want)
		})
	}
	t.Run("no such path", func(t *testing.T) { refused(t, filepath.Join(t.TempDir(), "nothing"), "no such file") })
}

func TestGGUFRefused(t *testing.T) {
	m := openTiny(t, "tiny-s")
	all := tinyTensors(t, "tiny-s")
	with := func(name string, shape ...int) map[string]stored {
		out := maps.Clone(all)
		n := 1
		for _, d := range shape {
			n *= d
		}
		out[name] = stored{shape, make([]float32, n)}
		return out
	}
	for name, c := range map[string]struct {
		meta    changes
		tensors map[string]stored
		want    string
	}{
		"another architecture":   {changes{"general.architecture": "mamba"}, all, `general.architecture "mamba" is not supported; supported: llama`},
		"no architecture":        {changes{"general.architecture": nil}, all, `general.architecture ""`},
		"no layers":              {changes{"llama.block_count": nil}, all, "llama.block_count is 0"},
		"more layers":            {changes{"llama.block_count": uint32(3)}, all, "tensor blk.2.attn_norm.weight is missing"},
		"layers in a text":       {changes{"llama.block_count": "2"}, all, "llama.block_count is of type string"},
		"2^32-1 layers":          {changes{"llama.block_count": uint32(math.MaxUint32)}, all, "llama.block_count is -1"},
		"half a layer":           {changes{"llama.block_count": float32(1.5)}, all, "llama.block_count is -1"},
		"KV heads per layer":     {changes{"llama.attention.head_count_kv": []int32{2, 1}}, all, "llama.attention.head_count_kv is of type []int64, want one number"},
		"odd KV heads":           {changes{"llama.attention.head_count_kv": uint32(3)}, all, "llama.attention.head_count_kv: 4 query heads cannot share 3 KV heads"},
		"no epsilon":             {changes{"llama.attention.layer_norm_rms_epsilon": nil}, all, "llama.attention.layer_norm_rms_epsilon is 0"},
		"NaN epsilon":            {changes{"llama.attention.layer_norm_rms_epsilon": float32(math.NaN())}, all, "llama.attention.layer_norm_rms_epsilon is NaN"},
		"infinite rotary base":   {changes{"llama.rope.freq_base": float32(math.Inf(1))}, all, "rotary base +Inf (rope_theta, rope.freq_base)"},
		"linear rotary scaling":  {changes{"llama.rope.scaling.type": "linear"}, all, `rotary scaling "linear" needs a factor`},
		"yarn":                   {changes{"llama.rope.scaling.type": "yarn"}, all, `rotary scaling "yarn" needs a factor`},
		"old linear scaling":     {changes{"llama.rope.scale_linear": float32(0.25)}, all, `rotary scaling "linear" needs a factor of at least 1, has 0.25`},
		"partial rotary":         {changes{"llama.rope.dimension_count": uint32(8)}, all, "rotary embedding of 8 of a head's 16 values (partial_rotary_factor, rope.dimension_count)"},
		"values of other width":  {changes{"llama.attention.value_length": uint32(8)}, all, "llama.attention.value_length 8 is not supported"},
		"experts":                {changes{"llama.expert_count": uint32(8)}, all, "llama.expert_count 8 is not supported"},
		"rotary frequencies":     {nil, with("rope_freqs.weight", 8), "tensor rope_freqs.weight"},
		"bias":                   {nil, with("model.layers.0.mlp.gate_proj.bias", 128), "tensor blk.0.ffn_gate.bias belongs to no part of a llama"},
		"head of another size":   {nil, with("lm_head.weight", 258, 64), "tensor output.weight has shape [258 64], the config asks for [259 64]"},
		"embedding of few rows":  {nil, with("model.embed_tokens.weight", 200, 64), "the tokenizer has 259 tokens but the model only 200 logits"},
		"no tokens":              {changes{"tokenizer.ggml.tokens": nil}, all, "tokenizer.ggml.tokens"},
		"tokenizer of Unigram":   {changes{"tokenizer.ggml.model": "t5"}, all, `tokenizer.ggml.model "t5" is not supported`},
		"unknown pre-tokenizer":  {changes{"tokenizer.ggml.pre": "tekken"}, all, `tokenizer.ggml.pre "tekken" is not supported`},
		"end token out of range": {changes{"tokenizer.ggml.eos_token_id": uint32(259)}, all, "tokenizer.ggml.eos_token_id is 259"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, writeGGUF(t, m, c.meta, c.tensors, encodings[0]), c.want) })
	}
	t.Run("head width and base by default", func(t *testing.T) {
		changed := changes{"llama.attention.key_length": nil, "llama.rope.freq_base": nil, "llama.rope.scaling.type": "none", "llama.expert_count": uint32(0)}
		got := mustOpen(t, writeGGUF(t, m, changed, all, encodings[0])).Config
		if diff := cmp.Diff(m.Config, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
			t.Errorf("config (-want +got):\n%s", diff)
		}
	})
}
