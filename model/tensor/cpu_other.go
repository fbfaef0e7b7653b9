//go:build !linux

package tensor

import "runtime"

// Processor is the processor's architecture.
func Processor() string { return runtime.GOARCH }
