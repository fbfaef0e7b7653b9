package model

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/tensor"
)

// What testdata/families/oracle.json.gz holds; testdata/README.md describes it.
type familiesOracle struct {
	Cases map[string]familyCase
	Ropes []struct {
		Config      json.RawMessage
		Tokens      int
		Frequencies []float32
		Scale       float64
	}
}

type familyCase struct {
	Weights string
	Prompts []struct {
		IDs          []int32
		Logits, Last []float32       // after the prompt, and those that chose the last greedy token
		Attention    [][][]float32   // [layers][heads][tokens] of the last token
		Positions    []int           // of which keys and values are recorded
		Keys, Values [][][][]float32 // [layers][kvHeads][positions][headDim]
		Greedy       []int32
		Margins      []float64
	}
	Pruned []struct {
		Name    string
		Prompt  int
		Keep    Keep
		Greedy  []int32
		Margins []float64
		Last    []float32
	}
}

const (
	// familyLogits is relative to the largest logit: float32 itself gets that close
	// to float64 with a factor of 5 to spare (oracle_families.py, ROUNDING).
	familyLogits = 1e-4
	familyCache  = 1e-4 // keys and values, recorded to 5 digits
	familyRows   = 1e-4 // attention weights
	familyMargin = 1e-3 // two right programs may part below this margin
)

func readFamilies(t *testing.T) familiesOracle {
	t.Helper()
	var o familiesOracle
	readRecord(t, "testdata/families/oracle.json.gz", &o)
	return o
}

// readRecord decodes a gzipped JSON file.
func readRecord(t *testing.T, path string, to any) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(unpacked).Decode(to); err != nil {
		t.Fatal(err)
	}
}

// eachFamily runs f on every recorded case.
func eachFamily(t *testing.T, f func(t *testing.T, m *Model, want familyCase)) {
	o := readFamilies(t)
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(o.Cases)) {
		t.Run(name, func(t *testing.T) {
			m := openFamily(t, name, o.Cases[name].Weights)
			seen[m.Config.Architecture] = true
			f(t, m, o.Cases[name])
		})
	}
	for _, a := range architectures {
		if !seen[a.hf] {
			t.Errorf("no case of model_type %s was run", a.hf)
		}
	}
}

// openFamily opens a recorded model: its folder takes the tokenizer of another
// test model, which no recording depends on.
func openFamily(t *testing.T, name, weights string) *Model {
	t.Helper()
	dir := t.TempDir()
	for to, from := range map[string]string{
		"config.json":       filepath.Join("families", name+".config.json"),
		"model.safetensors": filepath.Join("families", weights+".safetensors"),
		"tokenizer.json":    filepath.Join("tiny-s", "tokenizer.json"),
	} {
		raw, err := os.ReadFile(filepath.Join("testdata", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// Every family computes what transformers computes: logits, attention, keys,
// values and 64 greedy tokens, for prompts within and beyond windows and trained
// lengths.
func TestFamiliesOracle(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		for _, want := range c.Prompts {
			n := len(want.IDs)
			t.Run(fmt.Sprintf("%d tokens", n), func(t *testing.T) {
				p := prefill(t, m, want.IDs, Needs{LastRows: 1})
				nearLogits(t, "logits after the prompt", want.Logits, p.Logits())
				for l, heads := range want.Attention {
					for h, row := range heads {
						near(t, fmt.Sprintf("last token's attention in layer %d, query head %d", l, h), row, p.Row(l, h, 0), familyRows)
					}
				}
				got := make([]float32, m.Config.HeadDim)
				for l := range want.Keys {
					for h := range want.Keys[l] {
						for i, pos := range want.Positions {
							where := fmt.Sprintf("of layer %d, KV head %d, position %d", l, h, pos)
							p.Key(l, h, pos, got)
							near(t, "key "+where, want.Keys[l][h][i], got, familyCache)
							p.Value(l, h, pos, got)
							near(t, "value "+where, want.Values[l][h][i], got, familyCache)
						}
					}
				}
				full := All(m.Config.Layers, n)
				sameGreedy(t, want.Greedy, want.Margins, decode(t, m, p, []Keep{full}, len(want.Greedy))[0].Tokens)
				steps := stepLogits(m, p, full, want.Greedy)
				nearLogits(t, "logits of the last step", want.Last, steps[len(steps)-1])
			})
		}
		if len(c.Prompts) < 4 {
			t.Errorf("%d prompts are recorded, want 4", len(c.Prompts))
		}
	})
}

// Decoding over pruned caches, all variants in lockstep and one that keeps all
// among them, gives the tokens of a transformers run that hides what was pruned.
func TestFamiliesPruned(t *testing.T) {
	runs := 0
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		for _, prompt := range c.Prompts {
			keeps := []Keep{All(m.Config.Layers, len(prompt.IDs))}
			var wanted []int
			for i, run := range c.Pruned {
				if slices.Equal(c.Prompts[run.Prompt].IDs, prompt.IDs) {
					keeps, wanted = append(keeps, run.Keep), append(wanted, i)
				}
			}
			if wanted == nil {
				continue
			}
			p := prefill(t, m, prompt.IDs, Needs{})
			out := decode(t, m, p, keeps, len(c.Pruned[wanted[0]].Greedy))
			sameGreedy(t, prompt.Greedy[:len(out[0].Tokens)], prompt.Margins, out[0].Tokens)
			for i, at := range wanted {
				want := c.Pruned[at]
				t.Run(want.Name, func(t *testing.T) {
					runs++
					sameGreedy(t, want.Greedy, want.Margins, out[i+1].Tokens)
					steps := stepLogits(m, p, want.Keep, want.Greedy)
					nearLogits(t, "logits of the last step", want.Last, steps[len(steps)-1])
				})
			}
		}
	})
	if runs < 24 {
		t.Errorf("%d pruned runs are recorded, want 24", runs)
	}
}

// Results do not depend on the size of the chunks that a prompt is taken in:
// what is recorded of it and what follows are the same bits. Column sums, whose
// terms are added in another order, are near.
func TestFamiliesChunks(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		tokens := c.Prompts[len(c.Prompts)-1].IDs
		needs := Needs{LastRows: 20, ColumnSums: true}
		want := prefill(t, m, tokens, needs)
		after := decode(t, m, want, []Keep{All(m.Config.Layers, len(tokens))}, 8)
		for _, chunk := range []int{1, 3, 17, 32, 45, 99} {
			got, err := m.prefill(context.Background(), nil, tokens, needs, nil, chunk)
			if err != nil {
				t.Fatal(err)
			}
			samePrefix(t, fmt.Sprintf("chunks of %d tokens", chunk), want, got)
			if diff := cmp.Diff(after, decode(t, m, got, []Keep{All(m.Config.Layers, len(tokens))}, 8)); diff != "" {
				t.Errorf("chunks of %d tokens: what follows (-want +got):\n%s", chunk, diff)
			}
		}
	})
}

func samePrefix(t *testing.T, what string, want, got *Prefix) {
	t.Helper()
	equal := func(where string, want, got []float32) {
		if !slices.Equal(want, got) {
			t.Errorf("%s: %s differ", what, where)
		}
	}
	s := want.Shape()
	equal("logits", want.Logits(), got.Logits())
	a, b := make([]float32, s.HeadDim), make([]float32, s.HeadDim)
	for l := range s.Layers {
		for h := range s.KVHeads {
			for pos := range want.Len() {
				want.Key(l, h, pos, a)
				got.Key(l, h, pos, b)
				equal(fmt.Sprintf("keys of layer %d, KV head %d, position %d", l, h, pos), a, b)
				want.Value(l, h, pos, a)
				got.Value(l, h, pos, b)
				equal(fmt.Sprintf("values of layer %d, KV head %d, position %d", l, h, pos), a, b)
			}
		}
		for h := range s.Heads {
			for back := range want.Needs().LastRows {
				equal(fmt.Sprintf("attention rows of layer %d, query head %d, %d back", l, h, back), want.Row(l, h, back), got.Row(l, h, back))
			}
			near(t, fmt.Sprintf("%s: column sums of layer %d, query head %d", what, l, h), want.ColumnSum(l, h), got.ColumnSum(l, h), 1e-5)
		}
	}
}

// What is recorded of windowed attention: rows are zero outside the window, sum
// to one inside, and column sums are the rows' sums.
func TestFamiliesWindows(t *testing.T) {
	windows := 0
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		tokens := c.Prompts[len(c.Prompts)-1].IDs
		n := len(tokens)
		p := prefill(t, m, tokens, Needs{LastRows: n, ColumnSums: true})
		for l, layer := range m.Config.LayerParts {
			if layer.Window > 0 {
				windows++
			}
			for h := range m.Config.Heads {
				sums := make([]float32, n)
				for back := range n {
					row, pos := p.Row(l, h, back), n-1-back
					lo := 0
					if layer.Window > 0 {
						lo = max(0, pos-layer.Window+1)
					}
					if outside := total(row[:lo]) + total(row[pos+1:]); outside != 0 {
						t.Fatalf("layer %d, head %d, position %d: weight %g outside the window of %d", l, h, pos, outside, layer.Window)
					}
					if inside := total(row[lo : pos+1]); math.Abs(inside-1) > 1e-5 {
						t.Fatalf("layer %d, head %d, position %d: weights sum to %g", l, h, pos, inside)
					}
					tensor.Add(sums, row)
				}
				near(t, fmt.Sprintf("column sums of layer %d, head %d", l, h), sums, p.ColumnSum(l, h), 1e-5)
			}
		}
	})
	if windows < 10 {
		t.Errorf("%d layers with windows, want 10", windows)
	}
}

// nearLogits compares logits relative to the largest of them.
func nearLogits(t *testing.T, what string, want, got []float32) {
	t.Helper()
	most := 0.0
	for _, x := range want {
		most = max(most, math.Abs(float64(x)))
	}
	near(t, what, want, got, familyLogits*most)
}

// sameGreedy compares greedy tokens up to the first near tie.
func sameGreedy(t *testing.T, want []int32, margins []float64, got []int32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d greedy tokens, want %d", len(got), len(want))
	}
	for i := range want {
		if margins[i] < familyMargin {
			t.Logf("step %d: the two best tokens are %g apart; the rest is not compared", i, margins[i])
			return
		}
		if got[i] != want[i] {
			t.Fatalf("step %d: token %d, want %d, by a margin of %g", i, got[i], want[i], margins[i])
		}
	}
}
