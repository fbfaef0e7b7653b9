package model

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"refreekv/model/weights"
)

// A ggufFile is a GGUF file to be written.
type ggufFile struct {
	meta    map[string]any
	tensors map[string]ggufTensor
}

type ggufTensor struct {
	shape []int // outermost dimension first
	kind  uint32
	data  []byte
}

// bytes lays the file out as the gguf Python package does, metadata and tensors
// in the order of their names.
func (g ggufFile) bytes(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) { put(uint64(len(s))); b.WriteString(s) }
	pad := func(b *bytes.Buffer) { b.Write(make([]byte, -b.Len()&31)) }
	b.WriteString("GGUF")
	put(uint32(3))
	put([]uint64{uint64(len(g.tensors)), uint64(len(g.meta))})
	for _, key := range slices.Sorted(maps.Keys(g.meta)) {
		text(key)
		switch v := g.meta[key].(type) {
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
	for _, name := range slices.Sorted(maps.Keys(g.tensors)) {
		tensor := g.tensors[name]
		text(name)
		put(uint32(len(tensor.shape)))
		for _, n := range slices.Backward(tensor.shape) {
			put(uint64(n))
		}
		put(tensor.kind)
		put(uint64(body.Len()))
		body.Write(tensor.data)
		pad(&body)
	}
	pad(&b)
	return append(b.Bytes(), body.Bytes()...)
}

func (g ggufFile) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := os.WriteFile(path, g.bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// convert makes a GGUF file of a model in llama.cpp's layout: rows of rotary
// pairs side by side in the llama family, Gemma's norms whole. tensors have
// Hugging Face's names; matrices get the encoding, vectors stay F32.
func convert(m *Model, arch string, tensors map[string]stored, as encoding) ggufFile {
	c := m.Config
	tokens, types := make([]string, m.Tokenizer.Size()), make([]int32, m.Tokenizer.Size())
	for i := range tokens {
		tokens[i], types[i] = m.Tokenizer.Token(int32(i)), 1
		if i >= 256 {
			types[i] = 3
		}
	}
	g := ggufFile{map[string]any{
		"general.architecture": arch,
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types,
		"tokenizer.ggml.merges": []string{}, "tokenizer.ggml.bos_token_id": uint32(256), "tokenizer.ggml.eos_token_id": uint32(257),
		"tokenizer.ggml.add_bos_token": false,
	}, map[string]ggufTensor{}}
	for key, value := range map[string]any{
		"block_count": uint32(c.Layers), "context_length": uint32(c.MaxPositions), "embedding_length": uint32(c.Hidden),
		"feed_forward_length": uint32(c.FFN), "attention.head_count": uint32(c.Heads), "attention.head_count_kv": uint32(c.KVHeads),
		"attention.key_length": uint32(c.HeadDim), "attention.value_length": uint32(c.HeadDim), "rope.dimension_count": uint32(c.HeadDim),
		"attention.layer_norm_rms_epsilon": c.RMSEps, "rope.freq_base": float32(c.Ropes[0].Theta),
	} {
		g.meta[arch+"."+key] = value
	}
	gemma := strings.HasPrefix(arch, "gemma")
	names := ggufRenamer(arch)
	for name, s := range tensors {
		if gemma && strings.HasSuffix(name, "norm.weight") {
			s.values = slices.Clone(s.values)
			for i := range s.values {
				s.values[i]++
			}
		}
		if isPaired(arch, name) {
			s.values = moveRows(s.values, c.HeadDim, s.shape[0], true)
		}
		to := as
		if len(s.shape) == 1 {
			to = encodings[0]
		}
		g.tensors[names.Replace(name)] = ggufTensor{s.shape, to.number, to.encode(s.values)}
	}
	return g
}

// ggufRenamer turns Hugging Face's tensor names into llama.cpp's.
func ggufRenamer(arch string) *strings.Replacer {
	pairs := []string{
		"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output", "model.layers.", "blk.",
		"input_layernorm", "attn_norm", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k", "self_attn.v_proj", "attn_v",
		"self_attn.o_proj", "attn_output", "self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm",
		"mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down",
		"self_attn.qkv_proj", "attn_qkv", "mlp.gate_up_proj", "ffn_up",
	}
	if strings.HasPrefix(arch, "gemma") {
		pairs = append(pairs, "post_attention_layernorm", "post_attention_norm", "pre_feedforward_layernorm", "ffn_norm", "post_feedforward_layernorm", "post_ffw_norm")
	} else {
		pairs = append(pairs, "post_attention_layernorm", "ffn_norm")
	}
	return strings.NewReplacer(pairs...)
}

// isPaired reports whether a tensor's rows stand in another order in GGUF.
func isPaired(arch, name string) bool {
	return (arch == "llama" || arch == "smollm3") && (strings.Contains(name, "q_proj") || strings.Contains(name, "k_proj"))
}

// moveRows moves row i+j·headDim/2 of every head to 2i+j, as GGUF's llama layout
// wants it, or back.
func moveRows(values []float32, headDim, rows int, toGGUF bool) []float32 {
	out, cols := make([]float32, len(values)), len(values)/rows
	for row := range rows {
		head, at := row/headDim*headDim, row%headDim
		from, to := row, head+at%(headDim/2)*2+at/(headDim/2)
		if !toGGUF {
			from, to = to, from
		}
		copy(out[to*cols:(to+1)*cols], values[from*cols:(from+1)*cols])
	}
	return out
}

// dequantised reads the tensors of a llama's GGUF file back under the Hugging
// Face names that like has.
func dequantised(t *testing.T, path string, like map[string]stored, headDim int) map[string]stored {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read, names, out := readTensors(t, f), ggufRenamer("llama"), map[string]stored{}
	for name := range like {
		s := read[names.Replace(name)]
		if isPaired("llama", name) {
			s.values = moveRows(s.values, headDim, s.shape[0], false)
		}
		out[name] = s
	}
	return out
}

// Whatever stands in a GGUF file, it is refused with one line or makes a model
// that takes a token.
func FuzzOpenGGUF(f *testing.F) {
	base, err := Open("testdata/tiny-s")
	if err != nil {
		f.Fatal(err)
	}
	defer base.Close()
	for _, arch := range []string{"llama", "gemma3"} {
		f.Add(smallest(base, arch).bytes(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Open(path)
		if err != nil {
			oneLine(t, err, path)
			return
		}
		defer m.Close()
		if c := m.Config; c.Heads*c.HeadDim < 1<<12 && c.MaxPositions < 1<<16 {
			prefill(t, m, []int32{0}, Needs{})
		}
	})
}

// smallest is a model of one layer and two numbers wherever it can be, with
// weights of zero.
func smallest(m *Model, arch string) ggufFile {
	small := *m
	small.Config.Shape = Shape{Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 2}
	small.Config.Hidden, small.Config.FFN, small.Config.MaxPositions = 2, 2, 8
	names := hfNames.of(architectures[0])
	two := stored{[]int{2, 2}, make([]float32, 4)}
	tensors := map[string]stored{names.embed: {[]int{m.Config.Vocab, 2}, make([]float32, 2*m.Config.Vocab)}, names.norm: {[]int{2}, make([]float32, 2)}}
	for _, name := range []string{names.q, names.k, names.v, names.o, names.gate, names.up, names.down} {
		tensors[names.weight(0, name)] = two
	}
	for _, name := range []string{names.attnNorm, names.ffnNorm, names.qNorm, names.kNorm, "post_feedforward_layernorm", "pre_feedforward_layernorm"} {
		if gemma := strings.HasPrefix(arch, "gemma"); gemma || name == names.attnNorm || name == names.ffnNorm {
			tensors[names.weight(0, name)] = stored{[]int{2}, make([]float32, 2)}
		}
	}
	return convert(&small, arch, tensors, encodings[0])
}
