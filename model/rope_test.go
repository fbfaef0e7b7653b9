package model

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Frequencies and the factor on cosines and sines are those of transformers for
// every kind of scaling, from configs as it writes them.
func TestRopeOracle(t *testing.T) {
	kinds := map[string]int{}
	for _, want := range readFamilies(t).Ropes {
		c, err := parseConfig(want.Config)
		if err != nil {
			t.Fatalf("%s: %v", want.Config, err)
		}
		r := c.Ropes[0]
		kinds[r.Kind]++
		got := r.frequencies(want.Tokens)
		if len(got) != len(want.Frequencies) {
			t.Errorf("%+v: %d frequencies, want %d", r, len(got), len(want.Frequencies))
			continue
		}
		for i, f := range want.Frequencies {
			// transformers rounds to float32 up to five times on the way.
			if off := math.Abs(float64(got[i] - f)); !(off <= 1e-6*float64(f)) {
				t.Errorf("%s scaling, sequence of %d tokens: frequency %d is %g, want %g", r.Kind, want.Tokens, i, got[i], f)
			}
		}
		cos, sin := r.angles(nil, nil, []float32{0, math.Pi / 2}, 1)
		if off := math.Abs(float64(cos[0])-want.Scale) + math.Abs(float64(sin[1])-want.Scale); !(off < 1e-6) {
			t.Errorf("%s scaling: cosines and sines are scaled by %g and %g, want %g", r.Kind, cos[0], sin[1], want.Scale)
		}
	}
	for _, kind := range []string{RopeDefault, RopeLinear, RopeDynamic, RopeLlama3, RopeYarn, RopeLongRope} {
		if kinds[kind] == 0 {
			t.Errorf("no %s scaling is recorded", kind)
		}
	}
}

// Rotation turns element i with element i + half of the rotated part, by the
// definition in float64, and leaves the rest.
func TestRotate(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, c := range []struct{ width, dim int }{{2, 2}, {12, 12}, {64, 64}, {128, 96}, {8, 4}} {
		r := Rope{Kind: RopeDefault, Theta: 10000, Dim: c.dim}
		for _, pos := range []int{0, 1, 77, 5000} {
			x := make([]float32, c.width)
			want := make([]float64, c.width)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
				want[i] = float64(x[i])
			}
			frequencies := r.frequencies(pos + 1)
			for i, f := range frequencies {
				s, c := math.Sincos(float64(float32(pos) * f))
				a, b := float64(x[i]), float64(x[i+r.Dim/2])
				want[i], want[i+r.Dim/2] = a*c-b*s, b*c+a*s
			}
			cos, sin := r.angles(nil, nil, frequencies, pos)
			rotate(x, cos, sin)
			for i := range x {
				if math.Abs(float64(x[i])-want[i]) > 1e-6 {
					t.Errorf("%d of %d values rotated to position %d: value %d is %g, want %g", c.dim, c.width, pos, i, x[i], want[i])
				}
			}
		}
	}
}

// A table gives a position's angles whatever was asked for before; where they
// depend on the sequence's length, they are those of the length asked for last.
func TestRopeTable(t *testing.T) {
	for _, r := range []Rope{
		{Kind: RopeDefault, Theta: 10000, Dim: 8},
		{Kind: RopeDynamic, Theta: 10000, Dim: 8, Factor: 2, Trained: 16},
		{Kind: RopeLongRope, Theta: 10000, Dim: 4, Trained: 16, Short: []float64{1, 2}, Long: []float64{3, 4}},
	} {
		table := ropeTable{rope: r}
		for _, n := range []int{5, 40, 10, 20, 20} {
			table.cover(n)
			for pos := range n {
				wantCos, wantSin := r.angles(nil, nil, r.frequencies(n), pos)
				cos, sin := table.row(pos)
				if diff := cmp.Diff([][]float32{wantCos, wantSin}, [][]float32{cos, sin}); diff != "" {
					t.Errorf("%s, position %d of %d (-want +got):\n%s", r.Kind, pos, n, diff)
				}
			}
			wantCos, wantSin := r.angles(nil, nil, r.frequencies(n+7), n+6)
			cos, sin := table.next(n + 7)
			if diff := cmp.Diff([][]float32{wantCos, wantSin}, [][]float32{cos, sin}); diff != "" {
				t.Errorf("%s, last position of %d (-want +got):\n%s", r.Kind, n+7, diff)
			}
		}
	}
}

// A scaling that stretches sequences beyond the trained length lets the model
// take them, though configs give that length as the longest.
func TestRopeStretchesPositions(t *testing.T) {
	const sizes = `{"model_type": "qwen2", "num_hidden_layers": 1, "num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 8,
		"vocab_size": 300, "max_position_embeddings": 100, "rope_scaling": `
	for rope, want := range map[string]int{
		`null}`:                             100,
		`{"type": "dynamic", "factor": 3}}`: 300,
		`{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100}}`: 400,
		`{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 20}}`:  100,
		`{"type": "linear", "factor": 4.0}}`:                                        100,
	} {
		c, err := parseConfig([]byte(sizes + rope))
		if err != nil {
			t.Fatal(err)
		}
		if c.MaxPositions != want {
			t.Errorf("%s %d positions, want %d", rope, c.MaxPositions, want)
		}
	}
}
