package rows

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData brings a file's contents to the disk; its times may wait.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
