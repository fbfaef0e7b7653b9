package runners

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gofrs/flock"

	"refreekv/runners/rows"
)

// A folder is a run's folder while one run writes to it. The lock goes with the
// process, so a crash leaves nothing behind that hinders the next run.
type folder struct {
	dir    string
	made   []string // folders that were not there before, innermost first
	absent []string // files that were not there before, in the order in which they may go
	kept   bool
	lock   *flock.Flock
}

const lockFile = ".lock"

// openFolder makes the folder if it is not there and locks it.
func openFolder(dir string) (*folder, error) {
	f := &folder{dir: dir}
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		f.made = append(f.made, at)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.removeMade()
		return nil, rows.WriteError("making", dir, err)
	}
	// The lock goes last: until then no other run begins.
	for _, name := range []string{provenanceFile, rowsFile, lockFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			f.absent = append(f.absent, filepath.Join(dir, name))
		}
	}
	f.lock = flock.New(filepath.Join(dir, lockFile))
	ok, err := f.lock.TryLock()
	if err != nil {
		f.removeMade()
		return nil, rows.WriteError("locking the run's folder", dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("another run is writing to %s; wait for it or choose another folder with --out", dir)
	}
	f.removeTemporary()
	return f, nil
}

// temporary are the names under which a run's files are written before they get
// their own.
var temporary = regexp.MustCompile(`^\.(` + strings.ReplaceAll(strings.Join([]string{provenanceFile, rowsFile, parquetFile, earlierFile}, "|"), ".", `\.`) + `)\d+$`)

// removeTemporary removes what a run that was killed was just writing.
func (f *folder) removeTemporary() {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return // the next to read it will say so
	}
	for _, e := range entries {
		if temporary.MatchString(e.Name()) {
			os.Remove(filepath.Join(f.dir, e.Name()))
		}
	}
}

// keep says that the folder now holds something worth keeping.
func (f *folder) keep() { f.kept = true }

// close unlocks the folder. Unless it is to be kept, what was made in it goes:
// the files that a run writes before its first record, where they were not there
// before.
func (f *folder) close() {
	if !f.kept {
		for _, path := range f.absent {
			os.Remove(path)
		}
	}
	f.lock.Unlock()
	if !f.kept {
		f.removeMade()
	}
}

// removeMade removes the folders that were made, as far as they are empty.
func (f *folder) removeMade() {
	for _, dir := range f.made {
		if os.Remove(dir) != nil {
			return
		}
	}
}
