//go:build unix

package tokenizer

import (
	"syscall"
	"time"
)

// cpuTime is what this process has computed so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// boundMemory lets the system refuse memory to this process that the watch over
// it is too slow to see. Where the system does not, the watch remains.
func boundMemory() {
	const most = 2 * sandboxMemory * shadowMemory
	_ = syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: most, Max: most})
}
