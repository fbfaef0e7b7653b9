package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedians(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.x); got != c.want {
			t.Errorf("median of %v is %g, want %g", c.x, got, c.want)
		}
	}
	// A round in which both sides were slow leaves no trace.
	slow := []float64{100, 10, 100}
	if got := ratio([]float64{50, 5, 50}, slow); got != 0.5 {
		t.Errorf("ratio is %g, want 0.5", got)
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct{ lengths, want []int }{
		{[]int{512, 2048, 8192}, []int{2048, 8192}},
		{[]int{512, 1024}, []int{1024}},
	} {
		if diff := cmp.Diff(c.want, atLeast(c.lengths, 2048)); diff != "" {
			t.Error(diff)
		}
	}
}

// Weights that are read once a step lie in the smallest store that holds them.
func TestHolder(t *testing.T) {
	b := &bencher{report: &Report{Machine: Machine{L2: 1 << 20, L3: 32 << 20}}}
	for bytes, want := range map[int64]string{1 << 20: "L2", 30 << 20: "L3", 33 << 20: "memory", 1 << 40: "memory"} {
		b.report.Model.WeightBytes = bytes
		if got := b.holder().name; got != want {
			t.Errorf("%d bytes are in %s, want %s", bytes, got, want)
		}
	}
	b.report.Machine = Machine{}
	if got := b.holder().name; got != "memory" {
		t.Errorf("without known caches, weights are in %s, want memory", got)
	}
}
