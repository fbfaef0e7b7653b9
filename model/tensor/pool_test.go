package tensor

import (
	"sync/atomic"
	"testing"
)

// Every task must run exactly once, and a worker's number must be its own while
// it runs.
func TestParallel(t *testing.T) {
	defer SetThreads(Threads())
	for _, threads := range []int{1, 2, 3, 8} {
		SetThreads(threads)
		for _, n := range []int{0, 1, 2, 7, 100} {
			ran := make([]atomic.Int32, n)
			busy := make([]atomic.Bool, threads)
			Parallel(n, func(task, worker int) {
				if !busy[worker].CompareAndSwap(false, true) {
					t.Errorf("%d threads: worker %d runs two tasks at once", threads, worker)
				}
				ran[task].Add(1)
				busy[worker].Store(false)
			})
			for task := range ran {
				if got := ran[task].Load(); got != 1 {
					t.Errorf("%d threads, %d tasks: task %d ran %d times", threads, n, task, got)
				}
			}
		}
	}
}

func TestSetThreads(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(0)
	if Threads() != 1 {
		t.Errorf("%d threads after asking for none, want 1", Threads())
	}
}
