package model

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The parts that are timed are those of the forward pass: together they hold all
// weights, and both ways to multiply give the same bits.
func TestProducts(t *testing.T) {
	m := openTiny(t, "tiny-m")
	bytes := int64(0)
	for _, p := range m.Products() {
		bytes += int64(p.Layers) * p.Bytes()
		last := p.Layers - 1
		p.Prefill(last, 21)
		want := slices.Clone(p.c)
		clear(p.c)
		p.Decode(last, 21)
		if diff := cmp.Diff(want, p.c); diff != "" {
			t.Errorf("%s: prefill and decode differ: %s", p.Name, diff)
		}
		if slices.Max(p.c) <= 0 {
			t.Errorf("%s: nothing was computed", p.Name)
		}
	}
	if bytes != m.WeightBytes() {
		t.Errorf("the products hold %d bytes of weights, the model %d", bytes, m.WeightBytes())
	}
}

// Outputs of the attention are weighted means of values: never outside them.
func TestAttentionPart(t *testing.T) {
	m := openTiny(t, "tiny-m")
	n := 2*chunkTokens() + 5
	part := m.Attention(n)
	part.Run()
	values := slices.Concat(part.p.cache.values[0]...)
	if got, most := slices.Max(part.out), slices.Max(values); got <= 0 || got > most {
		t.Errorf("the largest output is %g, the largest value %g", got, most)
	}
}

func TestPrefillFLOP(t *testing.T) {
	m := openTiny(t, "tiny-s")
	// Two layers, the last of which computes keys and values alone: weights of
	// query, key and value, output, gate and up, down; then 32 key and value rows.
	weights := 64*128 + 64*64 + 64*256 + 128*64 + 64*64
	want := 2*10.*float64(weights) + 2*4*16*10*11
	if got := m.PrefillFLOP(10); got != want {
		t.Errorf("prefill of 10 tokens takes %g operations, want %g", got, want)
	}
}
