package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/weights"
)

// What testdata/gguf_oracle.json.gz holds of a file; oracle_gguf.py made it.
type ggufOracle struct {
	SHA256       string            // of the file that the gguf Python package wrote
	ValuesSHA256 string            `json:"values_sha256"` // of what it dequantises, tensors by name
	Types        map[string]string // of the tensors
	IDs          []int32
	Logits       []float32
	Greedy       []int32
	Margins      []float64
}

// Models of every GGUF type: the file is, byte for byte, the one that the gguf
// package writes, the weights are dequantised to the very bits that it gives,
// logits and 64 greedy tokens are those of transformers, and the very ones of a
// safetensors model with the dequantised weights.
func TestGGUFOracle(t *testing.T) {
	var oracle struct{ Cases map[string]ggufOracle }
	readRecord(t, "testdata/gguf_oracle.json.gz", &oracle)
	cases := oracle.Cases
	base, tiny := openTiny(t, "tiny-s"), tinyTensors(t, "tiny-s")
	files, kinds := map[string]ggufFile{}, map[string]bool{}
	for _, e := range encodings {
		if _, ok := cases[e.name]; ok {
			files[e.name] = convert(base, "llama", tiny, e)
		}
	}
	for seed, name := range []string{6: "Q4_K", 7: "Q5_K", 8: "Q6_K", 9: "Q4_K_M"} {
		if name != "" {
			files[name] = drawn(convert(base, "llama", tiny, encodings[0]), uint64(seed), cases[name].Types)
		}
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			g := files[name]
			g.meta["tokenizer.ggml.tokens"].([]string)[258] = "qz"
			g.meta["tokenizer.ggml.token_type"].([]int32)[258] = 1
			g.meta["tokenizer.ggml.merges"] = []string{"q z"}
			path := g.write(t)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := hash(raw); got != want.SHA256 {
				t.Fatalf("the file has hash %s, the gguf package's has %s", got, want.SHA256)
			}
			f, err := weights.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			types := map[string]string{}
			var values []byte
			read := readTensors(t, f)
			for _, name := range f.Names() {
				tensor, _ := f.Tensor(name)
				types[name], kinds[tensor.Type] = tensor.Type, true
				values = append(values, encodings[0].encode(read[name].values)...)
			}
			if diff := cmp.Diff(want.Types, types); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			if got := hash(values); got != want.ValuesSHA256 {
				t.Errorf("the dequantised values have hash %s, the gguf package's have %s", got, want.ValuesSHA256)
			}
			m := mustOpen(t, path)
			if diff := cmp.Diff([]int32{258, '7'}, encoded(t, m.Tokenizer, "qz7", false)); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
			full := []Keep{All(m.Config.Layers, len(want.IDs))}
			p := prefill(t, m, want.IDs, Needs{})
			greedy := decode(t, m, p, full, len(want.Greedy))
			nearLogits(t, "logits", want.Logits, p.Logits())
			sameGreedy(t, want.Greedy, want.Margins, greedy[0].Tokens)
			c := m.Config
			folder := mustOpen(t, writeFolder(t, "tiny-s", changes{"hidden_size": c.Hidden, "intermediate_size": c.FFN, "num_key_value_heads": c.KVHeads,
				"head_dim": c.HeadDim}, dequantised(t, path, tiny, c.HeadDim), encodings[0]))
			same := prefill(t, folder, want.IDs, Needs{})
			if !slices.Equal(p.Logits(), same.Logits()) {
				t.Error("the safetensors model's logits differ")
			}
			if diff := cmp.Diff(greedy, decode(t, folder, same, full, len(want.Greedy))); diff != "" {
				t.Errorf("greedy tokens (-GGUF +safetensors):\n%s", diff)
			}
		})
	}
	for name := range strings.SplitSeq("F32 F16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K", " ") {
		if !kinds[name] {
			t.Errorf("no file with type %s was read", name)
		}
	}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// kQuants are the blocks of 256 values: bytes, and where which half-precision
// scales stand in drawn ones.
var kQuants = map[string]struct {
	number uint32
	size   int
	scales map[int]float32
}{
	"Q4_K": {12, 144, map[int]float32{0: 1.0 / (1 << 12), 2: 7.5 / (1 << 12)}},
	"Q5_K": {13, 176, map[int]float32{0: 1.0 / (1 << 13), 2: 15.5 / (1 << 13)}},
	"Q6_K": {14, 210, map[int]float32{208: 1.0 / (1 << 14)}},
}

// drawn gives tiny-s's file rows of 256 values: one KV head, heads of 64, and
// weights drawn as oracle_gguf.py draws them.
func drawn(g ggufFile, seed uint64, types map[string]string) ggufFile {
	const width, headDim, vocab = 256, 64, 259
	for _, key := range []string{"embedding_length", "feed_forward_length"} {
		g.meta["llama."+key] = uint32(width)
	}
	for _, key := range []string{"attention.key_length", "attention.value_length", "rope.dimension_count"} {
		g.meta["llama."+key] = uint32(headDim)
	}
	g.meta["llama.attention.head_count_kv"] = uint32(1)
	draw := func(n int) []byte {
		out := make([]byte, n)
		for i := range out {
			seed = seed*6364136223846793005 + 1442695040888963407
			out[i] = byte(seed >> 56)
		}
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(g.tensors)) {
		if len(g.tensors[name].shape) == 1 {
			norm := make([]float32, width)
			for i, b := range draw(width) {
				norm[i] = 0.5 + float32(b)/256
			}
			g.tensors[name] = ggufTensor{[]int{width}, encodings[0].number, encodings[0].encode(norm)}
			continue
		}
		rows := width
		switch {
		case name == ggufNames.embed:
			rows = vocab
		case strings.Contains(name, ".attn_k.") || strings.Contains(name, ".attn_v."):
			rows = headDim
		}
		kind := kQuants[types[name]]
		blocks := draw(rows * kind.size)
		for block := range slices.Chunk(blocks, kind.size) {
			for at, scale := range kind.scales {
				binary.LittleEndian.PutUint16(block[at:], halfBits(scale))
			}
		}
		g.tensors[name] = ggufTensor{[]int{rows, width}, kind.number, blocks}
	}
	return g
}
