package model

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/tensor"
)

var everyStatistic = Needs{LastRows: 30, Queries: true, QueryMoments: true, HiddenMoments: true}

// Attention computed again from the stored queries is what prefill recorded,
// sliding windows and soft caps included.
func TestAttend(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		tokens := c.Prompts[len(c.Prompts)-1].IDs
		n := len(tokens)
		p := prefill(t, m, tokens, everyStatistic)
		rows := p.Needs().LastRows
		got := make([]float32, rows*n)
		for l := range p.Shape().Layers {
			for h := range p.Shape().Heads {
				p.Attend(l, h, n-rows, n, true, got)
				for i := range rows {
					near(t, "attention row", p.Row(l, h, rows-1-i), got[i*n:(i+1)*n], 1e-5)
				}
				p.Attend(l, h, n-2, n, false, got)
				if sum := total(got[:n]); math.Abs(sum-1) > 1e-5 || got[n-1] == 0 {
					t.Fatalf("layer %d, head %d: an unmasked row sums to %g with %g on the newest key", l, h, sum, got[n-1])
				}
			}
		}
	})
}

// Moments are those of the queries that the model stores, turned back; they
// follow from the hidden states where the projection is linear.
func TestMoments(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		tokens := c.Prompts[len(c.Prompts)-1].IDs
		n := len(tokens)
		p := prefill(t, m, tokens, everyStatistic)
		s := p.Shape()
		d := s.HeadDim
		for l := range s.Layers {
			projected := make([]float32, s.Heads*d)
			hidden, _ := p.HiddenMoments(l)
			p.ProjectQueries(l, toFloat32(hidden), projected)
			for h := range s.Heads {
				mean, covariance := p.QueryMoments(l, h)
				wantMean, wantCovariance := momentsOf(bareQueries(p, l, h, n))
				nearAll(t, "mean query", wantMean, mean, 1e-4)
				nearAll(t, "covariance", wantCovariance, covariance, 1e-4)
				if m.layers[l].qNorm == nil {
					nearAll(t, "projected mean", mean, toFloat64(projected[h*d:(h+1)*d]), 1e-4)
				}
			}
		}
	})
}

// bareQueries turns a head's stored queries from MomentsFrom on back by their
// rotation and scale.
func bareQueries(p *Prefix, l, h, n int) [][]float64 {
	d, width := p.shape.HeadDim, p.shape.Heads*p.shape.HeadDim
	var out [][]float64
	for pos := MomentsFrom; pos < n; pos++ {
		q := toFloat64(p.layers[l].queries[pos*width+h*d:][:d])
		for i := range q {
			q[i] /= math.Log2E * p.ScoreScale()
		}
		cos, sin := p.Rotation(l, pos)
		half := len(cos)
		for i := range half {
			a, b, c, s := q[i], q[i+half], float64(cos[i]), float64(sin[i])
			norm := c*c + s*s
			q[i], q[i+half] = (a*c+b*s)/norm, (b*c-a*s)/norm
		}
		out = append(out, q)
	}
	return out
}

func momentsOf(rows [][]float64) (mean, covariance []float64) {
	d := len(rows[0])
	mean, covariance = make([]float64, d), make([]float64, d*d)
	for _, row := range rows {
		for i, x := range row {
			mean[i] += x / float64(len(rows))
		}
	}
	for _, row := range rows {
		for i := range covariance {
			covariance[i] += (row[i/d] - mean[i/d]) * (row[i%d] - mean[i%d]) / float64(len(rows))
		}
	}
	return mean, covariance
}

// Variances of the hidden states are those that running every chunk alone would
// add up to, and nothing depends on the number of threads.
func TestMomentsThreadsAndChunks(t *testing.T) {
	m := openTiny(t, "tiny-m")
	defer tensor.SetThreads(tensor.Threads())
	tokens := randomTokens(rand.New(rand.NewPCG(3, 4)), 500)
	tensor.SetThreads(1)
	one := prefill(t, m, tokens, everyStatistic)
	tensor.SetThreads(3)
	three := prefill(t, m, tokens, everyStatistic)
	chunked, err := m.prefill(context.Background(), nil, tokens, everyStatistic, nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	for l := range m.Config.Layers {
		for h := range m.Config.Heads {
			mean, covariance := one.QueryMoments(l, h)
			sameMean, sameCovariance := three.QueryMoments(l, h)
			if !cmp.Equal(mean, sameMean) || !cmp.Equal(covariance, sameCovariance) {
				t.Errorf("layer %d, head %d: moments differ on three threads", l, h)
			}
			nearMean, nearCovariance := chunked.QueryMoments(l, h)
			nearAll(t, "mean in chunks", mean, nearMean, 1e-5)
			nearAll(t, "covariance in chunks", covariance, nearCovariance, 1e-5)
		}
		mean, variance := one.HiddenMoments(l)
		nearMean, nearVariance := chunked.HiddenMoments(l)
		nearAll(t, "hidden mean in chunks", mean, nearMean, 1e-5)
		nearAll(t, "hidden variance in chunks", variance, nearVariance, 1e-5)
	}
}

// A prompt within MomentsFrom has no moments.
func TestMomentsOfShortPrompts(t *testing.T) {
	m := openTiny(t, "tiny-s")
	for n := 1; n <= MomentsFrom+1; n++ {
		p := prefill(t, m, randomTokens(rand.New(rand.NewPCG(1, 1)), n), everyStatistic)
		mean, _ := p.QueryMoments(0, 0)
		hidden, _ := p.HiddenMoments(0)
		if some := n > MomentsFrom; (mean != nil) != some || (hidden != nil) != some {
			t.Errorf("%d tokens: moments of %d and %d values", n, len(mean), len(hidden))
		}
	}
}

func TestOutputNorms(t *testing.T) {
	eachFamily(t, func(t *testing.T, m *Model, c familyCase) {
		tokens := c.Prompts[0].IDs
		p := prefill(t, m, tokens, Needs{})
		s, d := p.Shape(), p.Shape().HeadDim
		var positions []int32 // all but every third
		for pos := range p.Len() {
			if pos%3 != 1 {
				positions = append(positions, int32(pos))
			}
		}
		got, value, weights := make([]float64, len(positions)), make([]float32, d), make([]float32, s.Heads*d)
		for l := range s.Layers {
			for h := range s.Heads {
				p.OutputNorms(l, h, positions, got)
				for i, x := range got {
					pos := int(positions[i])
					p.Value(l, h/s.Group(), pos, value)
					want := 0.0
					for row := range m.Config.Hidden {
						m.layers[l].out.Row(row, weights)
						dot := 0.0
						for i, v := range value {
							dot += float64(v) * float64(weights[h*d+i])
						}
						want += math.Abs(dot)
					}
					if math.Abs(x-want) > 1e-4*want {
						t.Fatalf("layer %d, head %d, position %d: %g, want %g", l, h, pos, x, want)
					}
				}
			}
		}
	})
}

func TestNeedsRows(t *testing.T) {
	for _, c := range []struct {
		needs Needs
		n     int
		want  int
	}{
		{Needs{}, 10, 0},
		{Needs{LastRows: 3}, 10, 3},
		{Needs{LastRows: 30}, 10, 10},
		{Needs{RowShare: 0.01}, 99, 0},
		{Needs{RowShare: 0.01}, 250, 2},
		{Needs{LastRows: 4, RowShare: 0.5}, 10, 5},
		{Needs{LastRows: 7, RowShare: 0.5}, 10, 7},
		{Needs{RowShare: 1}, 10, 10},
	} {
		if got := c.needs.Rows(c.n); got != c.want {
			t.Errorf("%+v, %d tokens: %d rows, want %d", c.needs, c.n, got, c.want)
		}
	}
}

// nearAll compares to a share of the largest value.
func nearAll(t *testing.T, what string, want, got []float64, tolerance float64) {
	t.Helper()
	largest := 0.0
	for _, x := range want {
		largest = max(largest, math.Abs(x))
	}
	if len(want) != len(got) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, x := range want {
		if !(math.Abs(x-got[i]) <= tolerance*largest) {
			t.Fatalf("%s: value %d is %g, want %g (largest %g)", what, i, got[i], x, largest)
		}
	}
}

func toFloat64(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func toFloat32(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}
