//go:build !linux

package runners

// resetPeakMemory and peakMemory need a system that tells the most memory that a
// process held.
func resetPeakMemory() {}

func peakMemory() int64 { return 0 }
