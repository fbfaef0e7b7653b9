package rows

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// A Store appends rows to a JSON Lines file, a record's rows at a time, each
// time down to the disk.
type Store struct {
	file *os.File
	path string
}

// Open opens or makes the store at path and returns the rows in it. Rows come
// in groups, one row for each of variants in that order; a group or line that a
// killed run left unfinished is cut off.
func Open(path string, variants []string) (*Store, []Row, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the stored rows: %w", err)
	}
	rows, end, err := readGroups(f, path, variants)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	err = f.Truncate(end)
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: cutting off an unfinished record: %w", path, err), f.Close())
	}
	return &Store{file: f, path: path}, rows, nil
}

// Append stores the rows of one record: one write, then a sync.
func (s *Store) Append(group []Row) error {
	var lines bytes.Buffer
	if err := encode(&lines, group); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if _, err := s.file.Write(lines.Bytes()); err != nil {
		return fmt.Errorf("storing rows: %w", err)
	}
	if err := syncData(s.file); err != nil {
		return fmt.Errorf("storing rows: %s: %w", s.path, err)
	}
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

// Read returns the rows of a store whose groups hold these variants, without an
// unfinished group at the end. It changes nothing, so a run may be writing.
func Read(path string, variants []string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the stored rows: %w", err)
	}
	defer f.Close()
	rows, _, err := readGroups(f, path, variants)
	return rows, err
}

// Rewrite replaces the store at path by the given rows, all or nothing.
func Rewrite(path string, rows []Row) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("storing rows: %w", err)
	}
	var lines bytes.Buffer
	if err := encode(&lines, rows); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, lines.Bytes()) {
		return nil
	}
	if err := renameio.WriteFile(path, lines.Bytes(), 0o644); err != nil {
		return fmt.Errorf("storing rows: %w", err)
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

// readGroups reads the whole groups of a store and where the last one ends.
func readGroups(f io.Reader, path string, variants []string) (rows []Row, end int64, err error) {
	if len(variants) == 0 {
		return nil, 0, fmt.Errorf("%s: a store of no variants holds no rows", path)
	}
	rows, ends, err := scan(f, path)
	if err != nil {
		return nil, 0, err
	}
	whole := len(rows) / len(variants) * len(variants)
	if err := checkGroups(path, rows[:whole], variants); err != nil {
		return nil, 0, err
	}
	if whole > 0 {
		end = ends[whole-1]
	}
	return rows[:whole], end, nil
}

// scan reads rows and where each line ends. A last line without newline is
// left out; any other line that is no row is an error.
func scan(f io.Reader, path string) (rows []Row, ends []int64, err error) {
	in := bufio.NewReaderSize(f, 1<<20)
	end := int64(0)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return rows, ends, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading the stored rows: %w", err)
		}
		end += int64(len(line))
		var row Row
		err = json.Unmarshal(line, &row)
		if err == nil && (row.Model == "" || row.Task == "" || row.Variant == "") {
			err = errors.New("model, task or variant is missing")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s:%d is no row (%w); delete all rows of that record, or the whole file, and run again", path, number, err)
		}
		rows, ends = append(rows, row), append(ends, end)
	}
}

// checkGroups makes sure that every group holds the rows of one record, a row
// for each variant, and that no record stands twice.
func checkGroups(path string, rows []Row, variants []string) error {
	type record struct {
		model, task          string
		contextLength, index int
	}
	const remedy = "the file was changed by hand, delete it and run again"
	first := map[record]int{}
	for i, row := range rows {
		at := i % len(variants)
		head := rows[i-at]
		if row.Model != head.Model || row.ContextLength != head.ContextLength || row.Task != head.Task || row.Index != head.Index {
			return fmt.Errorf("%s:%d: rows of task %s, record %d stand where those of %s, record %d should end; %s", path, i+1, row.Task, row.Index, head.Task, head.Index, remedy)
		}
		if row.Variant != variants[at] {
			return fmt.Errorf("%s:%d: variant %q stands where %q should; %s", path, i+1, row.Variant, variants[at], remedy)
		}
		if at > 0 {
			continue
		}
		r := record{row.Model, row.Task, row.ContextLength, row.Index}
		if before, twice := first[r]; twice {
			return fmt.Errorf("%s:%d: task %s, record %d stands already in line %d; %s", path, i+1, row.Task, row.Index, before, remedy)
		}
		first[r] = i + 1
	}
	return nil
}
