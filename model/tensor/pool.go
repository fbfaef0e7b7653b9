package tensor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
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
	j := &job{n: int64(n), workers: workers, run: f}
	if !shared.busy.TryLock() {
		// A call within a call, or beside one: it has helpers of its own.
		for w := 1; w < workers; w++ {
			go j.work(w)
		}
		j.work(0)
		j.wait()
		return
	}
	defer shared.busy.Unlock()
	shared.publish(j)
	j.work(0)
	j.wait()
	// The pool remembers its latest job, which must not keep a prompt's cache
	// alive. No helper reads run any more: all tasks were started.
	j.run = nil
}

// A job is the tasks of one call of Parallel.
type job struct {
	n          int64
	workers    int
	run        func(task, worker int)
	next, done atomic.Int64
}

// work runs tasks until none is left to start.
func (j *job) work(worker int) {
	for i := j.next.Add(1) - 1; i < j.n; i = j.next.Add(1) - 1 {
		j.run(int(i), worker)
		j.done.Add(1)
	}
}

// wait returns when all tasks are done. A helper that has not woken up yet is not
// waited for: it will find nothing to do.
func (j *job) wait() {
	for spins := 1; j.done.Load() < j.n; spins++ {
		pause()
		if spins%yieldAfter == 0 {
			runtime.Gosched()
		}
	}
}

// Waking a parked goroutine takes longer than many a task, a decode step has
// hundreds of calls: helpers spin for a while after their last task before they
// park.
const (
	spinFor    = time.Millisecond
	yieldAfter = 2000 // pauses after which a spinning thread lets others run
)

// pool is the helpers of Parallel, started on first use.
type pool struct {
	busy    sync.Mutex // held while a job runs
	job     atomic.Pointer[job]
	helpers []*helper
}

var shared pool

type helper struct {
	worker int
	parked atomic.Bool
	wake   chan struct{}
}

// publish hands a job to the helpers.
func (p *pool) publish(j *job) {
	for len(p.helpers) < j.workers-1 {
		h := &helper{worker: len(p.helpers) + 1, wake: make(chan struct{}, 1)}
		p.helpers = append(p.helpers, h)
		go h.loop(p)
	}
	p.job.Store(j)
	for _, h := range p.helpers[:j.workers-1] {
		if h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

func (h *helper) loop(p *pool) {
	var last *job
	for {
		if j := p.job.Load(); j != last {
			last = j
			if h.worker < j.workers {
				j.work(h.worker)
			}
			continue
		}
		if h.spin(p, last) {
			continue
		}
		h.parked.Store(true)
		// A job that came in between has either seen the mark, and wakes this
		// helper, or is seen here.
		if p.job.Load() != last && h.parked.CompareAndSwap(true, false) {
			continue
		}
		<-h.wake
	}
}

// spin waits for a job other than last, for a while.
func (h *helper) spin(p *pool, last *job) bool {
	begin := time.Now()
	for spins := 1; ; spins++ {
		if p.job.Load() != last {
			return true
		}
		pause()
		if spins%64 == 0 && time.Since(begin) > spinFor {
			return false
		}
		if spins%yieldAfter == 0 {
			runtime.Gosched()
		}
	}
}
