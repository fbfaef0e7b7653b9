package pruners

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"refreekv/model"
)

// topK returns the positions of the k largest scores, ascending; ties go to the
// lower position.
func topK(scores []float64, k int) []int32 {
	if k >= len(scores) {
		return allPositions(len(scores))
	}
	if k <= 0 {
		return nil
	}
	threshold := kthLargest(slices.Clone(scores), k)
	above := 0
	for _, s := range scores {
		if s > threshold {
			above++
		}
	}
	list, ties := make([]int32, 0, k), k-above
	for i, s := range scores {
		if s > threshold {
			list = append(list, int32(i))
		} else if s == threshold && ties > 0 {
			list = append(list, int32(i))
			ties--
		}
	}
	return list
}

// kthLargest finds the k-th largest value (k from 1) by quickselect; it
// reorders a.
func kthLargest(a []float64, k int) float64 {
	lo, hi := 0, len(a)-1
	for lo < hi {
		pivot := median3(a[lo], a[(lo+hi)/2], a[hi])
		i, j := lo, hi
		for i <= j {
			for a[i] > pivot {
				i++
			}
			for a[j] < pivot {
				j--
			}
			if i <= j {
				a[i], a[j] = a[j], a[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k-1 <= j:
			hi = j
		case k-1 >= i:
			lo = i
		default:
			return pivot
		}
	}
	return a[lo]
}

func median3(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }

// ascending orders positions by score, lowest first; ties go to the lower
// position.
func ascending(scores []float64) []int32 {
	order := allPositions(len(scores))
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(scores[a], scores[b]) })
	return order
}

// checkFinite refuses attention that is not a number, which would make any
// choice arbitrary.
func checkFinite(row []float32, layer, head int) error {
	sum := float32(0)
	for _, x := range row {
		sum += x
	}
	if x := float64(sum); math.IsNaN(x) || math.IsInf(x, 0) {
		return fmt.Errorf("layer %d, head %d: the recorded attention is not finite", layer, head)
	}
	return nil
}

// eachLayer makes a Keep by calling f for every layer.
func eachLayer(p *model.Prefix, f func(layer int) (model.LayerKeep, error)) (model.Keep, error) {
	keep := make(model.Keep, p.Shape().Layers)
	for l := range keep {
		var err error
		if keep[l], err = f(l); err != nil {
			return nil, err
		}
	}
	return keep, nil
}
