package model

import (
	"fmt"
	"slices"
)

// LayerKeep lists the positions that stay in one layer's KV cache, each list
// ascending and without repeats. There is one list for all heads, one per KV
// head, or one per query head (the official SnapKV, H2O and ReFreeKV codes
// repeat KV to the query heads and choose per query head).
type LayerKeep [][]int32

// Keep is what a pruner returns: one LayerKeep per layer.
type Keep []LayerKeep

// All returns the Keep of the full cache: every one of n positions in every
// layer. The layers share one list.
func All(layers, n int) Keep {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(i)
	}
	keep := make(Keep, layers)
	for l := range keep {
		keep[l] = LayerKeep{list}
	}
	return keep
}

// Head returns the list that a query head of the layer reads.
func (k LayerKeep) Head(head int, s Shape) []int32 { return k[k.listOf(head, s)] }

// listOf is the index of the list that a query head reads.
func (k LayerKeep) listOf(head int, s Shape) int {
	switch len(k) {
	case 1:
		return 0
	case s.Heads: // also right when Heads == KVHeads
		return head
	default:
		return head / s.Group()
	}
}

// Kept is the mean number of entries that the layer's lists hold.
func (k LayerKeep) Kept() float64 {
	sum := 0
	for _, list := range k {
		sum += len(list)
	}
	return float64(sum) / float64(len(k))
}

// Budget is the kept share of an n-token prompt: per layer the mean kept count
// over n, then the mean over layers (spec: every layer weighs the same,
// generated tokens do not count).
func (k Keep) Budget(n int) float64 {
	if n == 0 || len(k) == 0 {
		return 1
	}
	sum := 0.0
	for _, layer := range k {
		sum += layer.Kept() / float64(n)
	}
	return sum / float64(len(k))
}

// entries counts the (head, position) pairs that a cache with this choice stores,
// of positions from lo on: a list shared by all heads is stored once per KV head,
// a list per query head once per query head, as the codes that choose so do. With
// repeated, every list is stored once per query head.
func (k LayerKeep) entries(s Shape, lo int, repeated bool) int {
	sum := 0
	for _, list := range k {
		sum += len(reachable(list, lo))
	}
	switch {
	case repeated:
		return sum * s.Heads / len(k)
	case len(k) == 1:
		return sum * s.KVHeads
	}
	return sum
}

// reachable are the positions of an ascending list from lo on.
func reachable(list []int32, lo int) []int32 {
	at, _ := slices.BinarySearch(list, int32(lo))
	return list[at:]
}

// Check reports the first way in which k is no valid choice over n positions of
// a model with shape s: wrong number of layers or lists, an empty list, a
// position out of range, out of order or repeated.
func (k Keep) Check(s Shape, n int) error {
	if len(k) != s.Layers {
		return fmt.Errorf("kept positions for %d layers, the model has %d", len(k), s.Layers)
	}
	for l, layer := range k {
		if len(layer) != 1 && len(layer) != s.KVHeads && len(layer) != s.Heads {
			return fmt.Errorf("layer %d: %d lists of kept positions, want 1, %d (KV heads) or %d (query heads)", l, len(layer), s.KVHeads, s.Heads)
		}
		for h, list := range layer {
			if len(list) == 0 {
				return fmt.Errorf("layer %d, list %d keeps no position", l, h)
			}
			last := int32(-1)
			for _, pos := range list {
				if pos <= last || int(pos) >= n {
					return fmt.Errorf("layer %d, list %d: position %d after %d is out of order or beyond the %d prompt tokens", l, h, pos, last, n)
				}
				last = pos
			}
		}
	}
	return nil
}
