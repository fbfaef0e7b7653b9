package bench

import (
	"context"
	"slices"
	"time"
)

// A trial is one thing to measure, again in every round.
type trial struct {
	prepare func() // before the time is taken; may be nil
	run     func() (work float64, err error)
	rates   []float64 // work per second, of each round
}

// repeated is a trial of something short, whose work is known, repeated for so
// many seconds.
func repeated(seconds, work float64, run func()) *trial {
	return &trial{run: func() (float64, error) {
		done := 0.
		for begin := time.Now(); ; {
			run()
			done += work
			if time.Since(begin).Seconds() >= seconds {
				return done, nil
			}
		}
	}}
}

// inTurn runs all trials one after the other, n times.
func inTurn(ctx context.Context, n int, trials ...*trial) error {
	for range n {
		for _, t := range trials {
			if err := ctx.Err(); err != nil {
				return err
			}
			if t.prepare != nil {
				t.prepare()
			}
			begin := time.Now()
			work, err := t.run()
			if err != nil {
				return err
			}
			t.rates = append(t.rates, work/time.Since(begin).Seconds())
		}
	}
	return nil
}

// rate is the median of the rounds.
func (t *trial) rate() float64 { return median(t.rates) }

// over is the median of the rounds' ratios of t's rates to other's.
func (t *trial) over(other *trial) float64 { return ratio(t.rates, other.rates) }

func ratio(a, b []float64) float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return median(out)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	if n := len(x); n%2 == 0 {
		return (x[n/2-1] + x[n/2]) / 2
	}
	return x[len(x)/2]
}
