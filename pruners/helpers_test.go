package pruners

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
)

func mustNew(t testing.TB, text string) Pruner {
	t.Helper()
	spec, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mustResolve reads a method and its settings, defaults filled in.
func mustResolve(t testing.TB, text string) (method, options) {
	t.Helper()
	spec, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	m, err := find(spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := m.resolve(spec.Options)
	if err != nil {
		t.Fatal(err)
	}
	return m, settings
}

// mustSelect selects and holds the result to what every Keep must satisfy.
func mustSelect(t testing.TB, text string, p *model.Prefix) model.Keep {
	t.Helper()
	keep, err := mustNew(t, text).Select(p)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := keep.Check(p.Shape(), p.Len()); err != nil {
		t.Fatalf("%s, %d tokens: %v", text, p.Len(), err)
	}
	return keep
}

// everyRow asks for all that any pruner of these tests reads.
var everyRow = model.Needs{LastRows: 64, ColumnSums: true}

// Kinds of attention that tests run on.
const (
	softmaxRows   = "softmax"   // heavy-tailed weights, half of them on the first token
	quantisedRows = "quantised" // multiples of 1/16, many zeros: ties everywhere
	equalRows     = "equal"     // every key the same
	zeroRows      = "zero"      // no attention at all
	spikeRows     = "spike"     // all on one key of the newest, another one for each row
)

var allKinds = []string{softmaxRows, quantisedRows, equalRows, zeroRows, spikeRows}

var shapes = []model.Shape{
	{Layers: 3, Heads: 4, KVHeads: 4, HeadDim: 8},
	{Layers: 4, Heads: 9, KVHeads: 3, HeadDim: 8},
	{Layers: 3, Heads: 8, KVHeads: 2, HeadDim: 8},
	{Layers: 3, Heads: 2, KVHeads: 1, HeadDim: 8},
}

// attentionPrefix is a prompt with attention of a kind and normally distributed
// keys and values. Column sums are of their own: no pruner may take them for the
// sum of the rows at hand.
func attentionPrefix(seed uint64, kind string, s model.Shape, n int) *model.Prefix {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	p := model.NewPrefix(s, n, everyRow)
	for l := range s.Layers {
		for h := range s.Heads {
			for back := range p.Needs().LastRows {
				fill(rng, kind, p.Row(l, h, back)[:n-back])
			}
			fill(rng, kind, p.ColumnSum(l, h))
		}
	}
	fillKeyValues(rng, p)
	return p
}

// fillKeyValues gives every entry a key and a value of its own.
func fillKeyValues(rng *rand.Rand, p *model.Prefix) {
	s := p.Shape()
	key, value := make([]float32, s.HeadDim), make([]float32, s.HeadDim)
	for l := range s.Layers {
		for kv := range s.KVHeads {
			for pos := range p.Len() {
				for i := range key {
					key[i], value[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
				}
				p.SetKeyValue(l, kv, pos, key, value)
			}
		}
	}
}

func fill(rng *rand.Rand, kind string, row []float32) {
	switch kind {
	case softmaxRows:
		sum := 0.0
		for i := range row {
			x := math.Exp(2 * rng.NormFloat64())
			if i == 0 {
				x *= 8 * float64(len(row))
			}
			row[i] = float32(x)
			sum += x
		}
		for i := range row {
			row[i] /= float32(sum)
		}
	case quantisedRows:
		for i := range row {
			row[i] = float32(max(rng.IntN(6)-2, 0)) / 16
		}
	case equalRows:
		for i := range row {
			row[i] = 1 / float32(len(row))
		}
	case spikeRows:
		row[len(row)-1-rng.IntN(min(len(row), 40))] = 1
	}
}

// checkHeadOrder holds methods to what they keep when query heads change places:
// every head keeps what it kept before.
func checkHeadOrder(t *testing.T, texts []string) {
	t.Helper()
	s := shapes[1]
	rng := rand.New(rand.NewPCG(6, 6))
	for _, text := range texts {
		for range 5 {
			p := attentionPrefix(rng.Uint64(), softmaxRows, s, 120)
			to := rng.Perm(s.Heads)
			got := lists(mustSelect(t, text, permuteHeads(p, to)), s)
			for l, layer := range lists(mustSelect(t, text, p), s) {
				for h, list := range layer {
					if !slices.Equal(list, got[l][to[h]]) {
						t.Fatalf("%s, layer %d: head %d moved to %d (-before +after):\n%s", text, l, h, to[h], cmp.Diff(list, got[l][to[h]]))
					}
				}
			}
		}
	}
}
