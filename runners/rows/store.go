package rows

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// A Store appends rows to a JSON Lines file, a record's rows at a time, each
// time down to the disk.
type Store struct {
	file *os.File
	path string
	end  int64 // of what is stored
}

// Open opens or makes the store at path and returns the rows in it. A last line
// that a killed run left unfinished is cut off.
func Open(path string) (*Store, []Row, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, WriteError("opening", path, err)
	}
	rows, end, err := scanOnce(f, path)
	if err == nil {
		if cut := f.Truncate(end); cut != nil {
			err = WriteError("cutting off an unfinished row of", path, cut)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return &Store{file: f, path: path, end: end}, rows, nil
}

// Append stores rows: one write, then a sync. Where it fails, none of them is
// stored.
func (s *Store) Append(group []Row) error {
	var lines bytes.Buffer
	if err := encode(&lines, group); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	_, err := s.file.Write(lines.Bytes())
	if err == nil {
		err = syncData(s.file)
	}
	if err != nil {
		s.file.Truncate(s.end) // where this fails too, the next Open cuts off what is no whole row
		return WriteError("storing rows in", s.path, err)
	}
	s.end += int64(lines.Len())
	return nil
}

// Close closes the file; closing twice is no error.
func (s *Store) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// Read returns the rows of a store without an unfinished one at the end. It
// changes nothing, so a run may be writing.
func Read(path string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the stored rows: %w", err)
	}
	defer f.Close()
	rows, _, err := scanOnce(f, path)
	return rows, err
}

// ReadEarlier is Read of a file in which the same place may hold rows of several
// settings. Without a file there are none.
func ReadEarlier(path string) ([]Row, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading earlier rows: %w", err)
	}
	defer f.Close()
	rows, _, err := scan(f, path)
	return rows, err
}

// Rewrite replaces the store at path by the given rows, all or nothing.
func Rewrite(path string, rows []Row) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return WriteError("storing rows in", path, err)
	}
	var lines bytes.Buffer
	if err := encode(&lines, rows); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, lines.Bytes()) {
		return nil
	}
	if err := renameio.WriteFile(path, lines.Bytes(), 0o644); err != nil {
		return WriteError("storing rows in", path, err)
	}
	return nil
}

// encode writes rows as JSON Lines. Bytes of a text that are no UTF-8 become
// replacement characters, absent lists empty ones.
func encode(w io.Writer, rows []Row) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, row := range rows {
		if row.Kept == nil {
			row.Kept = []float64{}
		}
		if row.Tokens == nil {
			row.Tokens = []int32{}
		}
		if err := enc.Encode(row); err != nil {
			return fmt.Errorf("row of task %s, record %s: %w", row.Task, row.Record, err)
		}
	}
	return nil
}

// scanOnce is scan of a store in which no place may be taken twice.
func scanOnce(f io.Reader, path string) (rows []Row, end int64, err error) {
	if rows, end, err = scan(f, path); err != nil {
		return nil, 0, err
	}
	type place struct {
		model, task, variant string
		contextLength, index int
	}
	first := map[place]int{}
	for i, row := range rows {
		at := place{row.Model, row.Task, row.Variant, row.ContextLength, row.Index}
		if before, twice := first[at]; twice {
			return nil, 0, fmt.Errorf("%s:%d: %s on task %s, record %d stands already in line %d; delete one of the lines, or the whole file, and run again", path, i+1, row.Variant, row.Task, row.Index, before)
		}
		first[at] = i + 1
	}
	return rows, end, nil
}

// scan reads rows and where the last one ends. A last line without newline is
// left out; any other line that is no row is an error.
func scan(f io.Reader, path string) (rows []Row, end int64, err error) {
	in := bufio.NewReaderSize(f, 1<<20)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return rows, end, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("reading the stored rows: %w", err)
		}
		var row Row
		err = json.Unmarshal(line, &row)
		if err == nil && (row.Model == "" || row.Task == "" || row.Variant == "") {
			err = errors.New("model, task or variant is missing")
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s:%d is no row (%w); delete that line, or the whole file, and run again", path, number, err)
		}
		rows, end = append(rows, row), end+int64(len(line))
	}
}
