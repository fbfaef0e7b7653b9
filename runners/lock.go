package runners

import (
	"fmt"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lock makes sure that one run at a time writes to a folder. The lock goes with
// the process, so a crash leaves nothing behind.
func lock(dir string) (unlock func(), err error) {
	l := flock.New(filepath.Join(dir, ".lock"))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the run's folder: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("another run is writing to %s; wait for it or choose another folder with --out", dir)
	}
	return func() { l.Unlock() }, nil
}
