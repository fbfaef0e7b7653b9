//go:build !linux

package bench

import "errors"

func caches() (l2, l3 int64) { return 0, 0 }

func resetPeak() error { return errors.New("only Linux tells a process its peak memory") }

func peakResident() (int64, error) { return 0, resetPeak() }
