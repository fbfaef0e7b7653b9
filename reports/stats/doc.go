// Package stats holds the statistics of paired scores: bootstrap intervals,
// sign-flip permutation tests, Holm's correction, and how many records a claim
// needs. All randomness comes from seeds that the caller names, so the same
// numbers give the same results on every machine.
package stats

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// An Interval is a range of values, both ends included.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Holds reports whether x lies in the interval, rounding errors forgiven.
func (i Interval) Holds(x float64) bool {
	const slack = 1e-9
	return x >= i.Low-slack && x <= i.High+slack
}

// Width is the interval's length.
func (i Interval) Width() float64 { return i.High - i.Low }

// Middle95 is the interval between the 2.5 % and the 97.5 % quantile of values,
// which it sorts: the percentile interval where they are bootstrapped estimates
// (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
// values must not be empty.
func Middle95(values []float64) Interval {
	slices.Sort(values)
	return Interval{Quantile(values, 0.025), Quantile(values, 0.975)}
}

// Quantile is the value below which a share q of sorted values lies, linear between
// them (type 7 of Hyndman and Fan, 1996, what NumPy and R do by default). There must
// be a value.
func Quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Mean is the mean of values; 0 of none.
func Mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// source is the random source of a seed.
func source(seed string) *rand.PCG {
	h := sha256.Sum256([]byte(seed))
	return rand.NewPCG(binary.LittleEndian.Uint64(h[:]), binary.LittleEndian.Uint64(h[8:]))
}
