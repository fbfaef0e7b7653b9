package rows

import "slices"

// densityBins is into how many parts of equal length a prompt is cut.
const densityBins = 32

// densityDigits stand for kept shares from none to all, as 0 to 35 in base 36.
const densityDigits = "0123456789abcdefghijklmnopqrstuvwxyz"

// NewDensity says which share of each part of an n-token prompt stays, mean over
// the layer's lists: a string per layer, a base-36 digit per part, of 35. 0 is only
// where nothing stays and z only where all does. keep holds lists of ascending
// positions by layers. A prompt of fewer tokens than parts has a part per token.
func NewDensity[K ~[][]int32](keep []K, n int) []string {
	bins := DensityBins(n)
	out := make([]string, len(keep))
	for l, lists := range keep {
		digits := make([]byte, bins)
		for b := range digits {
			from, to := BinStart(b, bins, n), BinStart(b+1, bins, n)
			digits[b] = densityDigit(between(lists, from, to), (to-from)*len(lists))
		}
		out[l] = string(digits)
	}
	return out
}

// DensityBins is how many parts an n-token prompt is cut into.
func DensityBins(n int) int { return min(n, densityBins) }

// BinStart is the first position of a part; parts differ by at most one token.
func BinStart(bin, bins, n int) int { return (bin*n + bins - 1) / bins }

// between counts the positions of all lists from one position up to another.
func between(lists [][]int32, from, to int) (sum int) {
	for _, list := range lists {
		lo, _ := slices.BinarySearch(list, int32(from))
		hi, _ := slices.BinarySearch(list[lo:], int32(to))
		sum += hi
	}
	return sum
}

// densityDigit is the digit nearest to a share that is none or all only where the
// share is.
func densityDigit(kept, of int) byte {
	const top = len(densityDigits) - 1
	switch kept {
	case 0:
		return densityDigits[0]
	case of:
		return densityDigits[top]
	}
	return densityDigits[min(max((kept*top+of/2)/of, 1), top-1)]
}
