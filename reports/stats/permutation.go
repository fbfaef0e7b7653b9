package stats

import (
	"math"
	"math/bits"
	"slices"
)

// MostExact is the number of differences other than 0 up to which a sign-flip
// test tries all signs.
const MostExact = 16

// ExactSignFlip is the two-sided p-value of the sign-flip permutation test of
// paired differences (Fisher's randomization test, The Design of Experiments,
// 1935, section 21): the share of all 2^n choices of signs whose sum is at least
// as far from 0 as the observed one. ok is false where more than MostExact
// differences are not 0: then Flips stands in.
func ExactSignFlip(differences []float64) (p float64, ok bool) {
	changed := slices.DeleteFunc(slices.Clone(differences), func(d float64) bool { return d == 0 })
	if len(changed) > MostExact {
		return 0, false
	}
	observed, size := total(changed)
	// Gray code: one sign changes from a choice to the next. Rounding errors pile
	// up far below the slack.
	sum, far := observed, 0
	flipped := make([]bool, len(changed))
	all := 1 << len(changed)
	for choice := range all {
		if choice > 0 {
			k := bits.TrailingZeros(uint(choice))
			if flipped[k] = !flipped[k]; flipped[k] {
				sum -= 2 * changed[k]
			} else {
				sum += 2 * changed[k]
			}
		}
		if asFar(sum, observed, size) {
			far++
		}
	}
	return float64(far) / float64(all), true
}

func total(values []float64) (sum, size float64) {
	for _, v := range values {
		sum += v
		size += math.Abs(v)
	}
	return sum, size
}

// asFar reports whether a sum is as far from 0 as the observed one. Sums that
// differ by rounding are equal.
func asFar(sum, observed, size float64) bool {
	return math.Abs(sum) >= math.Abs(observed)-1e-9*size
}

// Flips flips the sign of each record's differences at random, rounds times, and
// returns the sums of every series in every round: [series][rounds]. series is
// [series][records]. In one round all series have the same signs at the same
// records, so that sums of one variant over several tasks can be added up.
func Flips(series [][]float64, rounds int, seed string) [][]float64 {
	out := make([][]float64, len(series))
	records := 0
	for s := range out {
		out[s] = make([]float64, rounds)
		records = max(records, len(series[s]))
	}
	random := source(seed)
	signs := make([]byte, (rounds+7)/8*8) // of eight records, in every round
	for first := 0; first < records; first += 8 {
		for i := 0; i < len(signs); i += 8 {
			word := random.Uint64()
			for k := range 8 {
				signs[i+k] = byte(word >> (8 * k))
			}
		}
		for s, values := range series {
			if first < len(values) {
				sums := signedSums(values[first:min(first+8, len(values))])
				mine := out[s]
				for round := range mine {
					mine[round] += sums[signs[round]]
				}
			}
		}
	}
	return out
}

// signedSums are the sums of up to eight values under all choices of signs: a set
// bit is a minus.
func signedSums(values []float64) (sums [256]float64) {
	for choice := range sums {
		for k, v := range values {
			if choice>>k&1 == 1 {
				v = -v
			}
			sums[choice] += v
		}
	}
	return sums
}

// FlipP is the two-sided p-value that the sums of Flips give for the observed
// differences: (1 + rounds as far from 0) / (1 + rounds), which is never below
// its true level (Phipson and Smyth, 2010, arXiv 1603.05766).
func FlipP(sums, differences []float64) float64 {
	observed, size := total(differences)
	far := 0
	for _, sum := range sums {
		if asFar(sum, observed, size) {
			far++
		}
	}
	return float64(1+far) / float64(1+len(sums))
}

// Holm corrects p-values for their number: the returned ones, in the same order,
// can be held against one level, and the chance of any false rejection stays
// below it (Holm, A simple sequentially rejective multiple test procedure, 1979).
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(p))
	least := 0.0
	for rank, i := range order {
		least = max(least, min(1, p[i]*float64(len(p)-rank)))
		out[i] = least
	}
	return out
}
