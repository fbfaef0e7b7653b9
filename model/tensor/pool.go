package tensor

import (
	"runtime"
	"sync"
	"sync/atomic"
)

var threads atomic.Int32

func init() { threads.Store(int32(runtime.GOMAXPROCS(0))) }

// Threads is how many threads Parallel uses.
func Threads() int { return int(threads.Load()) }

// SetThreads changes how many threads Parallel uses; at least 1.
func SetThreads(n int) { threads.Store(int32(max(n, 1))) }

// Parallel runs f(task, worker) for every task in [0, n), in ascending order of
// their start, on up to Threads threads; worker is below Threads and belongs to
// one thread at a time. It returns when all are done.
func Parallel(n int, f func(task, worker int)) {
	workers := min(Threads(), n)
	if workers <= 1 {
		for i := range n {
			f(i, 0)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i, w)
			}
		}()
	}
	for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
		f(i, 0)
	}
	wg.Wait()
}
