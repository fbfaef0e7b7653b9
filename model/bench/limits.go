package bench

import (
	"context"

	"refreekv/model/tensor"
)

// Peak is the most multiply-adds that so many threads can do.
type Peak struct {
	Threads  int     `json:"threads"`
	GFLOPs   float64 `json:"gflop_s"`          // in float32; a multiplication and an addition count as two
	BFloat16 float64 `json:"bfloat16_gflop_s"` // products of two bfloat16, added in float32
	Int8     float64 `json:"int8_gop_s"`       // products of bytes, added to 32 bits
}

// Bandwidth is how fast so many threads read.
type Bandwidth struct {
	From    string  `json:"from"` // L2, L3 or memory
	Bytes   int64   `json:"bytes"`
	Threads int     `json:"threads"`
	GBs     float64 `json:"gb_s"`
}

// peak measures the machine's limits.
func (b *bencher) peak(ctx context.Context) error {
	var trials []*trial
	for _, n := range threads() {
		trials = append(trials, peakTrial(b.long, n, tensor.FMALoop), peakTrial(b.long, n, tensor.BFloat16Loop), peakTrial(b.long, n, tensor.Int8Loop))
	}
	stores := b.stores()
	for _, s := range stores {
		for _, n := range threads() {
			trials = append(trials, s.trial(b.long, n))
		}
	}
	if err := inTurn(ctx, b.rounds.Kernels, trials...); err != nil {
		return err
	}
	for _, n := range threads() {
		b.report.Peak = append(b.report.Peak, Peak{n, trials[0].rate() / 1e9, trials[1].rate() / 1e9, trials[2].rate() / 1e9})
		trials = trials[3:]
	}
	for _, s := range stores {
		for _, n := range threads() {
			b.report.Bandwidth = append(b.report.Bandwidth, Bandwidth{s.name, s.bytes(n), n, trials[0].rate() / 1e9})
			trials = trials[1:]
		}
	}
	return nil
}

// longPeak is how many seconds the limit is measured for beside what itself takes
// seconds.
const longPeak = 0.25

// peakTrial is one of the loops on n threads, for so many seconds, in stretches of
// some tens of microseconds, so that other goroutines can be stopped in between.
func peakTrial(seconds float64, n int, loop func(rounds int) (operations float64)) *trial {
	const rounds, stretches = 10000, 16
	work := loop(rounds) * float64(stretches*n)
	return repeated(seconds, work, func() {
		onThreads(n, func(int) {
			for range stretches {
				loop(rounds)
			}
		})
	})
}

// onThreads runs f once on each of n threads, which are one or all.
func onThreads(n int, f func(thread int)) {
	if n == 1 {
		f(0)
		return
	}
	tensor.Parallel(n, func(task, _ int) { f(task) })
}

// A store is where data lies that is read again and again.
type store struct {
	name   string
	floats int  // of all threads together, or
	own    bool // of each thread
}

// stores are a core's own cache, the shared one, and memory: half of a cache, so
// that it stays there, and several times the largest cache.
func (b *bencher) stores() []store {
	l2, l3 := b.report.Machine.L2, b.report.Machine.L3
	var out []store
	if l2 > 0 {
		out = append(out, store{"L2", int(l2 / 2 / 4), true})
	}
	if l3 > 0 {
		out = append(out, store{"L3", int(l3 / 2 / 4), false})
	}
	return append(out, memoryStore(l3))
}

func memoryStore(l3 int64) store { return store{"memory", int(max(256<<20, 4*l3) / 4), false} }

func (s store) bytes(n int) int64 {
	if s.own {
		return 4 * int64(s.floats) * int64(n)
	}
	return 4 * int64(s.floats)
}

// trial reads it with n threads, each its own part.
func (s store) trial(seconds float64, n int) *trial {
	part := s.floats
	if !s.own {
		part /= n
	}
	stretch := min(64<<10, part/256*256) // floats read without a pause for other goroutines
	part = part / stretch * stretch
	passes := max(1, (16<<20)/max(part, 1))
	data := make([]float32, part*n)
	for i := range data {
		data[i] = 1 // untouched memory may be one page of zeros
	}
	return repeated(seconds, 4*float64(len(data)*passes), func() {
		onThreads(n, func(thread int) {
			for range passes {
				for at := 0; at < part; at += stretch {
					tensor.ReadLoop(data[thread*part+at:][:stretch])
				}
			}
		})
	})
}

// holder is where the weights lie when they are read once per step: in the
// smallest store that holds them.
func (b *bencher) holder() store {
	stores := b.stores()
	for i, s := range stores {
		// Stores are measured by half of them.
		if size := 2 * s.bytes(tensor.Threads()); i == len(stores)-1 || b.report.Model.WeightBytes <= size {
			return s
		}
	}
	panic("bench: no memory")
}
