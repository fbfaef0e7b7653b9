//go:build !unix

package tokenizer

import "time"

var started = time.Now()

// cpuTime is how long this process has run: the system does not tell more.
func cpuTime() time.Duration { return time.Since(started) }

func boundMemory() {}
