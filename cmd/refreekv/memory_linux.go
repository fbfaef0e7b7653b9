package main

import "golang.org/x/sys/unix"

// totalMemory is the machine's memory in bytes, 0 where it cannot be told.
func totalMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit))
}
