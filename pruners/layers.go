package pruners

import (
	"fmt"
	"math"
	"slices"

	"refreekv/model"
	"refreekv/model/tensor"
)

// scratch is one worker's space for choosing in a layer. What is chosen never
// points into it.
type scratch struct {
	total  []float64   // [tokens] attention that each key received
	scores [][]float64 // [heads][tokens]
	order  [][]int32   // [heads][tokens]
	spare  []float64   // [tokens]
	queue  []int32     // [tokens]
	keys   [2][]uint64 // [tokens] each
	marked []bool      // [tokens], all false between uses
}

func newScratch(heads, n int) *scratch {
	s := &scratch{
		total: make([]float64, n), spare: make([]float64, n), queue: make([]int32, n), marked: make([]bool, n),
		scores: make([][]float64, heads), order: make([][]int32, heads),
	}
	for h := range heads {
		s.scores[h], s.order[h] = make([]float64, n), make([]int32, n)
	}
	for i := range s.keys {
		s.keys[i] = make([]uint64, n)
	}
	return s
}

// takeMarked lists the marked positions, ascending, and clears the marks.
func (s *scratch) takeMarked(count int) []int32 {
	list := make([]int32, 0, count)
	for i, on := range s.marked {
		if on {
			list = append(list, int32(i))
		}
	}
	clear(s.marked)
	return list
}

// eachLayer makes a Keep by calling f for every layer, several at a time. Of
// several errors it returns the lowest layer's.
func eachLayer(p *model.Prefix, f func(layer int, s *scratch) (model.LayerKeep, error)) (model.Keep, error) {
	keep, errs := make(model.Keep, p.Shape().Layers), make([]error, p.Shape().Layers)
	workers := make([]*scratch, tensor.Threads())
	tensor.Parallel(len(keep), func(layer, worker int) {
		if workers[worker] == nil {
			workers[worker] = newScratch(p.Shape().Heads, p.Len())
		}
		keep[layer], errs[layer] = f(layer, workers[worker])
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return keep, nil
}

// checkNeeds refuses a prefix that lacks what a pruner reads.
func checkNeeds(p *model.Prefix, needs model.Needs) error {
	has := p.Needs()
	if want := needs.Rows(p.Len()); has.LastRows < want {
		return fmt.Errorf("prefill recorded the last %d attention rows, %d are needed; prefill with the pruner's Needs", has.LastRows, want)
	}
	if needs.ColumnSums && !has.ColumnSums {
		return fmt.Errorf("prefill recorded no column sums of attention; prefill with the pruner's Needs")
	}
	if needs.Queries && !has.Queries || needs.QueryMoments && !has.QueryMoments || needs.HiddenMoments && !has.HiddenMoments {
		return fmt.Errorf("prefill recorded no queries or moments of them; prefill with the pruner's Needs")
	}
	return nil
}

// frozen lists layers that keep everything.
type frozen []int

func (f frozen) has(layer int) bool { return slices.Contains(f, layer) }

// check refuses layers that the model does not have, which a config written for
// a deeper one would name in vain.
func (f frozen) check(p *model.Prefix) error {
	for _, layer := range f {
		if layer < 0 || layer >= p.Shape().Layers {
			return fmt.Errorf("frozen_layers: there is no layer %d in a model of %d layers, which are counted from 0", layer, p.Shape().Layers)
		}
	}
	return nil
}

// sumRows sets dst to the attention that each key got from the last rows, added
// up oldest row first, and refuses what is not a number: any choice would then
// be arbitrary.
func sumRows(dst []float64, p *model.Prefix, layer, head, rows int) error {
	clear(dst)
	for back := min(rows, p.Len()) - 1; back >= 0; back-- {
		for i, a := range p.Row(layer, head, back)[:len(dst)] {
			dst[i] += float64(a)
		}
	}
	return checkFinite(dst, layer, head)
}

// sumColumns sets dst to the attention that each key got from all rows.
func sumColumns(dst []float64, p *model.Prefix, layer, head int) error {
	for i, a := range p.ColumnSum(layer, head)[:len(dst)] {
		dst[i] = float64(a)
	}
	return checkFinite(dst, layer, head)
}

// checkFinite looks at the sum: float32 values and sums of them cannot overflow
// a float64, and one that is not finite shows in it.
func checkFinite(a []float64, layer, head int) error {
	sum := 0.0
	for _, x := range a {
		sum += x
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("layer %d, head %d: the recorded attention is not finite; check the model's weights", layer, head)
	}
	return nil
}
