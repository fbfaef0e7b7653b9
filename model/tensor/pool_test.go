package tensor

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// A call within a call, and calls beside each other, must run all their tasks.
func TestParallelNested(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(3)
	var ran atomic.Int32
	Parallel(5, func(int, int) {
		Parallel(7, func(int, int) { ran.Add(1) })
	})
	if got := ran.Load(); got != 35 {
		t.Errorf("%d of 35 nested tasks ran", got)
	}
	ran.Store(0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				Parallel(3, func(int, int) { ran.Add(1) })
			}
		})
	}
	wg.Wait()
	if got := ran.Load(); got != 4*200*3 {
		t.Errorf("%d of %d tasks beside each other ran", got, 4*200*3)
	}
}

// Helpers park between jobs and must wake up again; numbers of threads change
// under way.
func TestParallelAfterRest(t *testing.T) {
	defer SetThreads(Threads())
	for i := range 30 {
		SetThreads(1 + i%4)
		sum := atomic.Int64{}
		Parallel(50, func(task, _ int) { sum.Add(int64(task)) })
		if got := sum.Load(); got != 49*50/2 {
			t.Fatalf("call %d: tasks add up to %d", i, got)
		}
		time.Sleep(time.Duration(i%3) * spinFor)
	}
}

// What a call costs beside its tasks.
func BenchmarkParallel(b *testing.B) {
	for b.Loop() {
		Parallel(2*Threads(), func(int, int) {})
	}
}
