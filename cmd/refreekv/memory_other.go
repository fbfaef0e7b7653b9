//go:build !linux

package main

// totalMemory is the machine's memory in bytes, 0 where it cannot be told.
func totalMemory() int64 { return 0 }
