//go:build !amd64

package tensor

import "runtime"

// pause lets a spinning thread rest.
func pause() { runtime.Gosched() }
