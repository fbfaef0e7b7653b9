package stats

import "math"

// Unseen is the share of records, 0..1, that a method may change although none of
// n drawn records shows a change: the upper end of the 95 % interval of Clopper
// and Pearson (1934) for 0 of n. It is the rule of three with its 3 made exact for
// a two-sided interval: about 3.69 / n.
func Unseen(n int) float64 {
	if n <= 0 {
		return 1
	}
	return 1 - math.Pow(0.025, 1/float64(n))
}

// SeenFrom is the number of records from which Unseen is at most share (0..1).
func SeenFrom(share float64) float64 {
	switch {
	case share >= 1:
		return 1
	case share <= 0:
		return math.Inf(1)
	}
	return math.Log(0.025) / math.Log1p(-share)
}

// Needed is about how many records would narrow a 95 % interval of half width
// halfWidth, seen with n records, to that of reach: widths fall with the root of
// the number of records.
func Needed(n int, halfWidth, reach float64) float64 {
	if reach <= 0 {
		return math.Inf(1)
	}
	return float64(n) * (halfWidth / reach) * (halfWidth / reach)
}
