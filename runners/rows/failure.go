package rows

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// WriteError says that a run's file could not be written, and what a person can
// do about it. doing goes before the file's path: "writing".
func WriteError(doing, path string, err error) error {
	// These name the file themselves, or a temporary one that means nothing.
	var onPath *fs.PathError
	var onLink *os.LinkError
	switch {
	case errors.As(err, &onPath):
		err = onPath.Err
	case errors.As(err, &onLink):
		err = onLink.Err
	}
	remedy := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "; make room there and give the same command again, finished records are kept"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		remedy = "; make the folder writable or choose another with --out"
	}
	return fmt.Errorf("%s %s: %w%s", doing, path, err, remedy)
}
