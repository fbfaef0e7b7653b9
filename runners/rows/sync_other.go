//go:build !linux

package rows

import "os"

func syncData(f *os.File) error { return f.Sync() }
