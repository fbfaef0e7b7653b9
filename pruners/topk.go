package pruners

import "math"

// topK appends the positions of the k largest scores to list, ascending; ties
// go to the lower position, but of more than k entries that stay in any case
// (+Inf) the newest stay. spare is space for as many scores.
func topK(list []int32, scores []float64, k int, spare []float64) []int32 {
	if k >= len(scores) {
		return span(list, 0, len(scores))
	}
	if k <= 0 {
		return list
	}
	spare = spare[:len(scores)]
	copy(spare, scores)
	threshold := kthLargest(spare, k)
	ties, skip := k, 0
	for _, s := range scores {
		if s > threshold {
			ties--
		}
		if s == math.Inf(1) {
			skip++
		}
	}
	skip = max(skip-k, 0)
	for i, s := range scores {
		if skip > 0 && s == threshold {
			skip--
			continue
		}
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

// rank lists positions by score, lowest first; ties go to the lower position.
// The result lies in s.order[head].
func rank(scores []float64, s *scratch, head int) []int32 {
	n := len(scores)
	keys, otherKeys := s.keys[0][:n], s.keys[1][:n]
	order, otherOrder := s.order[head][:n], s.queue[:n]
	var counts [8][256]int32
	for i, x := range scores {
		key := sortKey(x)
		keys[i], order[i] = key, int32(i)
		for digit := range counts {
			counts[digit][key>>(8*digit)&255]++
		}
	}
	// A radix sort from the lowest digit up is stable, which settles ties.
	for digit := range counts {
		count := &counts[digit]
		if count[keys[0]>>(8*digit)&255] == int32(n) {
			continue
		}
		at := int32(0)
		for v, c := range count {
			count[v], at = at, at+c
		}
		for i, key := range keys {
			to := &count[key>>(8*digit)&255]
			otherKeys[*to], otherOrder[*to] = key, order[i]
			*to++
		}
		keys, otherKeys, order, otherOrder = otherKeys, keys, otherOrder, order
	}
	copy(s.order[head][:n], order)
	return s.order[head][:n]
}

// sortKey maps a number to an integer that sorts the same way.
func sortKey(x float64) uint64 {
	bits := math.Float64bits(x + 0) // -0 sorts as 0
	if bits>>63 == 1 {
		return ^bits
	}
	return bits | 1<<63
}
