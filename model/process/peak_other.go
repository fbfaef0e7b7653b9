//go:build !linux

package process

import "errors"

// ResetPeak needs a system that tells the most memory that a process held.
func ResetPeak() error { return errors.New("only Linux tells a process its peak memory") }

// Peak needs one too.
func Peak() (int64, error) { return 0, ResetPeak() }
