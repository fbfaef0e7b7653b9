package model

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A chain of prompts, each taking over what it shares with the one before, gives
// the same bits as each alone: keys, values, logits, rows, sums, moments and
// queries.
func TestPrefillAfter(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, _ familyCase) {
		m.Config.MaxPositions = 1 << 12 // the tiny models allow 256
		rng := rand.New(rand.NewPCG(31, 32))
		segment := segmentTokens(m.Config.Shape)
		trunk := randomTokens(rng, 7*segment)
		grow := func(keep, more int) []int32 { return append(slices.Clone(trunk[:keep]), randomTokens(rng, more)...) }
		prompts := [][]int32{
			grow(6*segment, 20), grow(6*segment+3, 40), grow(6*segment, 1), grow(4*segment+1, 90), grow(2*segment, 33), grow(0, 50),
		}
		shared := []int{0, 6 * segment, 5 * segment, 4 * segment, 2 * segment, 0}
		needs := Needs{LastRows: 2, ColumnSums: true, Queries: true, QueryMoments: true, HiddenMoments: true}
		marks := []int{2*segment + 1, 4 * segment, 5 * segment, 6 * segment, 6*segment + 5}
		var base *Prefix
		for i, prompt := range prompts {
			got, err := m.PrefillAfter(context.Background(), base, prompt, needs, marks)
			if err != nil {
				t.Fatal(err)
			}
			want := shared[i]
			if m.ropesGrow() {
				want = 0
			}
			if got.Shared() != want {
				t.Errorf("prompt %d shares %d tokens, want %d", i, got.Shared(), want)
			}
			sameBits(t, prefill(t, m, prompt, needs), got)
			base = got
		}
	})
}

func sameBits(t *testing.T, want, got *Prefix) {
	t.Helper()
	samePrefix(t, "after another prompt", want, got)
	for l := range want.Shape().Layers {
		a, b := want.layers[l], got.layers[l]
		if !cmp.Equal(a.sums, b.sums) || !slices.Equal(a.queries, b.queries) {
			t.Errorf("layer %d: column sums or queries differ", l)
		}
		for h := range want.Shape().Heads {
			meanA, covarianceA := want.QueryMoments(l, h)
			meanB, covarianceB := got.QueryMoments(l, h)
			if !slices.Equal(meanA, meanB) || !slices.Equal(covarianceA, covarianceB) {
				t.Errorf("layer %d, head %d: moments of the queries differ", l, h)
			}
		}
		meanA, varianceA := want.HiddenMoments(l)
		meanB, varianceB := got.HiddenMoments(l)
		if !slices.Equal(meanA, meanB) || !slices.Equal(varianceA, varianceB) {
			t.Errorf("layer %d: moments of the hidden states differ", l)
		}
	}
}

// What was not recorded of the first prompt cannot be taken over, nor can a
// prompt of another model.
func TestPrefillAfterRefuses(t *testing.T) {
	m, other := openTiny(t, "tiny-m"), openTiny(t, "tiny-s")
	tokens := randomTokens(rand.New(rand.NewPCG(1, 2)), 400)
	marks := []int{192}
	bare, err := m.PrefillAfter(context.Background(), nil, tokens, Needs{}, marks)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		m     *Model
		needs Needs
		want  bool
	}{
		{"the same", m, Needs{}, true},
		{"more rows", m, Needs{LastRows: 8}, true},
		{"rows that reach into it", m, Needs{LastRows: 250}, false},
		{"sums", m, Needs{ColumnSums: true}, false},
		{"moments", m, Needs{QueryMoments: true}, false},
		{"another model", other, Needs{}, false},
	} {
		p, err := c.m.PrefillAfter(context.Background(), bare, tokens, c.needs, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Shared() > 0; got != c.want {
			t.Errorf("%s: shares %d tokens", c.name, p.Shared())
		}
	}
}
