package model

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/tensor"
)

func openTiny(t *testing.T, name string) *Model {
	t.Helper()
	m, err := Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func randomTokens(rng *rand.Rand, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(rng.IntN(256))
	}
	return out
}

// randomKeep drops entries at random; lists is 1, the KV heads or the query
// heads.
func randomKeep(rng *rand.Rand, s Shape, n, lists int, share float64) Keep {
	keep := make(Keep, s.Layers)
	for l := range keep {
		for range lists {
			var list []int32
			for pos := range n {
				if pos == 0 || rng.Float64() < share {
					list = append(list, int32(pos))
				}
			}
			keep[l] = append(keep[l], list)
		}
	}
	return keep
}

func prefill(t *testing.T, m *Model, tokens []int32, needs Needs) *Prefix {
	t.Helper()
	p, err := m.Prefill(context.Background(), tokens, needs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decode(t *testing.T, m *Model, p *Prefix, keeps []Keep, maxNew int) []Generation {
	t.Helper()
	out, err := m.Decode(context.Background(), p, keeps, DecodeOptions{MaxNewTokens: maxNew})
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		out[i].Seconds = 0
	}
	return out
}

// Decoding with the full cache must give the very tokens that running the whole
// sequence through prefill again gives.
func TestDecodeFullEqualsPrefill(t *testing.T) {
	for _, name := range []string{"tiny-s", "tiny-m"} {
		m := openTiny(t, name)
		rng := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{1, 2, 31, 32, 33, 100, 257} {
			tokens := randomTokens(rng, n)
			got := decode(t, m, prefill(t, m, tokens, Needs{}), []Keep{All(m.Config.Layers, n)}, 12)[0].Tokens
			sequence := append([]int32{}, tokens...)
			for step := range 12 {
				next := argmaxWithout(prefill(t, m, sequence, Needs{}).Logits(), nil)
				if got[step] != next {
					t.Fatalf("%s, %d tokens, step %d: decode gives %d, prefill %d", name, n, step, got[step], next)
				}
				sequence = append(sequence, next)
			}
		}
	}
}

// What a variant generates must not depend on which variants run beside it, in
// which order, or on the number of threads.
func TestLockstepEqualsAlone(t *testing.T) {
	m := openTiny(t, "tiny-m")
	defer tensor.SetThreads(tensor.Threads())
	rng := rand.New(rand.NewPCG(3, 4))
	n := 150
	p := prefill(t, m, randomTokens(rng, n), Needs{})
	s := p.Shape()
	var keeps []Keep
	for _, lists := range []int{1, s.KVHeads, s.Heads} {
		for _, share := range []float64{0.05, 0.3, 0.8, 1} {
			keeps = append(keeps, randomKeep(rng, s, n, lists, share))
		}
	}
	keeps = append(keeps, All(s.Layers, n), keeps[3])
	together := decode(t, m, p, keeps, 24)
	for threads := 1; threads <= 3; threads++ {
		tensor.SetThreads(threads)
		for i, keep := range keeps {
			alone := decode(t, m, p, []Keep{keep}, 24)
			if diff := cmp.Diff(together[i], alone[0]); diff != "" {
				t.Errorf("variant %d, %d threads (-together +alone):\n%s", i, threads, diff)
			}
		}
	}
}

// The same choice in three forms (one list, one per KV head, one per query
// head) is one choice.
func TestKeepForms(t *testing.T) {
	m := openTiny(t, "tiny-m")
	rng := rand.New(rand.NewPCG(5, 6))
	n := 90
	p := prefill(t, m, randomTokens(rng, n), Needs{})
	s := p.Shape()
	one := randomKeep(rng, s, n, 1, 0.3)
	forms := []Keep{one}
	for _, lists := range []int{s.KVHeads, s.Heads} {
		form := make(Keep, s.Layers)
		for l := range form {
			for range lists {
				form[l] = append(form[l], one[l][0])
			}
		}
		forms = append(forms, form)
	}
	var variants []Variant
	for _, form := range forms {
		variants = append(variants, Variant{Keep: form})
	}
	if c := newContinuation(p, variants, DecodeOptions{MaxNewTokens: 4}); len(c.streams) != 1 {
		t.Errorf("%d streams for one choice in three forms, want 1", len(c.streams))
	}
	out := decode(t, m, p, forms, 16)
	for i := range out {
		if diff := cmp.Diff(out[0], out[i]); diff != "" {
			t.Errorf("form %d (-one list +this form):\n%s", i, diff)
		}
	}
}

func TestRecordedAttention(t *testing.T) {
	m := openTiny(t, "tiny-m")
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{1, 5, 8, 64, 300} {
		p := prefill(t, m, randomTokens(rng, n), Needs{LastRows: 8, ColumnSums: true})
		if want := min(8, n); p.Needs().LastRows != want {
			t.Errorf("%d tokens: %d rows recorded, want %d", n, p.Needs().LastRows, want)
		}
		for l := range p.Shape().Layers {
			for h := range p.Shape().Heads {
				for back := range p.Needs().LastRows {
					row := p.Row(l, h, back)
					if sum := total(row[:n-back]); math.Abs(sum-1) > 1e-5 {
						t.Fatalf("%d tokens, layer %d, head %d, %d back: row sums to %g", n, l, h, back, sum)
					}
					if sum := total(row[n-back:]); sum != 0 {
						t.Fatalf("%d tokens, layer %d, head %d, %d back: %g on keys it may not see", n, l, h, back, sum)
					}
				}
				if sum := total(p.ColumnSum(l, h)); math.Abs(sum-float64(n)) > 1e-4*float64(n) {
					t.Fatalf("%d tokens, layer %d, head %d: column sums add up to %g", n, l, h, sum)
				}
			}
		}
	}
}

func total(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return sum
}

// Recorded statistics and logits must be the same bits whatever the number of
// threads.
func TestPrefillThreads(t *testing.T) {
	m := openTiny(t, "tiny-m")
	defer tensor.SetThreads(tensor.Threads())
	tokens := randomTokens(rand.New(rand.NewPCG(9, 10)), 700)
	needs := Needs{LastRows: 8, ColumnSums: true}
	var first *Prefix
	for threads := 1; threads <= 3; threads++ {
		tensor.SetThreads(threads)
		p := prefill(t, m, tokens, needs)
		if first == nil {
			first = p
			continue
		}
		if diff := cmp.Diff(first.Logits(), p.Logits()); diff != "" {
			t.Errorf("%d threads: logits differ:\n%s", threads, diff)
		}
		for l := range p.Shape().Layers {
			for h := range p.Shape().Heads {
				if !cmp.Equal(first.ColumnSum(l, h), p.ColumnSum(l, h)) {
					t.Errorf("%d threads: column sums of layer %d, head %d differ", threads, l, h)
				}
				if !cmp.Equal(first.Row(l, h, 0), p.Row(l, h, 0)) {
					t.Errorf("%d threads: last row of layer %d, head %d differs", threads, l, h)
				}
			}
		}
	}
}

func TestDecodeStops(t *testing.T) {
	m := openTiny(t, "tiny-s")
	tokens := encoded(t, m.Tokenizer, "qz71 bm04 xr93\nbm", false)
	p := prefill(t, m, tokens, Needs{})
	full := []Keep{All(m.Config.Layers, len(tokens))}
	free := decode(t, m, p, full, 8)[0]
	if free.Stop != StopLength || len(free.Tokens) != 8 {
		t.Fatalf("without stop tokens: %+v", free)
	}
	out, err := m.Decode(context.Background(), p, full, DecodeOptions{MaxNewTokens: 8, Stop: []int32{free.Tokens[1]}})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Stop != StopEOS || len(out[0].Tokens) != 1 {
		t.Errorf("with the second token as stop: %+v", out[0])
	}
	out, err = m.Decode(context.Background(), p, full, DecodeOptions{MaxNewTokens: 1, NotFirst: []int32{free.Tokens[0]}})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Tokens[0] == free.Tokens[0] {
		t.Errorf("a token that may not come first came first: %d", free.Tokens[0])
	}
}

func TestCancel(t *testing.T) {
	m := openTiny(t, "tiny-s")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Prefill(ctx, []int32{1, 2, 3}, Needs{}); err == nil {
		t.Error("prefill went on after cancellation")
	}
	p := prefill(t, m, []int32{1, 2, 3}, Needs{})
	if _, err := m.Decode(ctx, p, []Keep{All(m.Config.Layers, 3)}, DecodeOptions{MaxNewTokens: 4}); err == nil {
		t.Error("decoding went on after cancellation")
	}
}

func TestRefusedPrompts(t *testing.T) {
	m := openTiny(t, "tiny-s")
	for _, tokens := range [][]int32{nil, {-1}, {int32(m.Config.Vocab)}, make([]int32, m.Config.MaxPositions+1)} {
		if _, err := m.Prefill(context.Background(), tokens, Needs{}); err == nil {
			t.Errorf("a prompt of %d tokens that cannot be run was run", len(tokens))
		}
	}
}

func TestKeepCheck(t *testing.T) {
	s := Shape{Layers: 1, Heads: 4, KVHeads: 2, HeadDim: 8}
	for name, c := range map[string]struct {
		keep Keep
		ok   bool
	}{
		"one list":         {Keep{{{0, 2, 5}}}, true},
		"per KV head":      {Keep{{{0}, {1}}}, true},
		"per query head":   {Keep{{{0}, {1}, {2}, {3}}}, true},
		"no layer":         {Keep{}, false},
		"three lists":      {Keep{{{0}, {1}, {2}}}, false},
		"empty list":       {Keep{{{}}}, false},
		"descending":       {Keep{{{2, 1}}}, false},
		"repeated":         {Keep{{{2, 2}}}, false},
		"beyond the end":   {Keep{{{6}}}, false},
		"negative":         {Keep{{{-1}}}, false},
		"last list broken": {Keep{{{0}, {6}}}, false},
	} {
		if err := c.keep.Check(s, 6); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each query head must read its own list, its KV head's or the layer's.
func TestKeepHead(t *testing.T) {
	s := Shape{Layers: 1, Heads: 6, KVHeads: 2, HeadDim: 8}
	for name, c := range map[string]struct {
		keep LayerKeep
		want []int32 // first position of each query head's list
	}{
		"one list":       {LayerKeep{{7}}, []int32{7, 7, 7, 7, 7, 7}},
		"per KV head":    {LayerKeep{{1}, {2}}, []int32{1, 1, 1, 2, 2, 2}},
		"per query head": {LayerKeep{{1}, {2}, {3}, {4}, {5}, {6}}, []int32{1, 2, 3, 4, 5, 6}},
	} {
		var got []int32
		for h := range s.Heads {
			got = append(got, c.keep.Head(h, s)[0])
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
