package pruners

import "fmt"

var snapkvInfo = Info{
	Name:    "snapkv",
	About:   "entries that the observation window attends to, pooled over neighbours, plus the window",
	Paper:   "SnapKV, arXiv 2404.14469; default as in ReFreeKV's evaluation, arXiv 2502.16886",
	Repeats: true,
	Options: []Option{
		budgetOption, windowOption, headsOption, groupOption,
		{Name: "kernel", Default: 7, About: "width of the pooling, odd"},
		{Name: "pooling", Default: "max", Choices: []string{"max", "avg"}, About: "max, or avg (the library default of the SnapKV code)"},
	},
}

// newSnapKV makes the method that keeps, per head, the keys with the largest
// pooled attention of the observation window, plus the window (spec 4.3).
func newSnapKV(o options) (Pruner, error) {
	w, err := snapKV(o)
	if err != nil {
		return nil, err
	}
	return w, w.checkWithBudget()
}

func newSnapKVScorer(o options) (scorer, error) {
	w, err := snapKV(o)
	if err != nil {
		return nil, err
	}
	return windowScore{w}, w.check()
}

func snapKV(o options) (*windowed, error) {
	w, kernel := newWindowed(o), o.int("kernel")
	if kernel < 1 || kernel%2 == 0 {
		return nil, fmt.Errorf("kernel %d is not odd and positive", kernel)
	}
	pool := maxPool
	if o.text("pooling") == "avg" {
		pool = avgPool
	}
	w.pool = func(dst, attention []float64, s *scratch) { pool(dst, attention, kernel, s) }
	return w, nil
}

// maxPool sets dst to the maximum over kernel neighbours, padding with minus
// infinity.
func maxPool(dst, x []float64, kernel int, s *scratch) {
	// The queue holds positions whose values fall from its head on: each may yet
	// become the maximum of a window, and the head is that of the current one.
	queue, head, half := s.queue[:0], 0, kernel/2
	next := 0
	for i := range dst {
		for ; next < min(i+half+1, len(x)); next++ {
			for len(queue) > head && x[queue[len(queue)-1]] <= x[next] {
				queue = queue[:len(queue)-1]
			}
			queue = append(queue, int32(next))
		}
		for int(queue[head]) < i-half {
			head++
		}
		dst[i] = x[queue[head]]
	}
}

// avgPool sets dst to the mean over kernel neighbours, counting zeros beyond
// the ends.
func avgPool(dst, x []float64, kernel int, _ *scratch) {
	for i := range dst {
		sum := 0.0
		for _, v := range x[max(i-kernel/2, 0):min(i+kernel/2+1, len(x))] {
			sum += v
		}
		dst[i] = sum / float64(kernel)
	}
}
