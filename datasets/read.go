package datasets

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// mostBytes bounds what is read of one file, unpacked: more is no data set but
// a mistake or an attack.
const mostBytes = 4 << 30

// A raw record is one decoded record before it gets its id.
type raw struct {
	fields map[string]any
	source string
}

// readFile reads up to limit records (0: all) of a file, whatever its format.
func readFile(path string, limit int) ([]raw, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file of records", path)
	}
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	if n == 0 {
		return nil, fmt.Errorf("%s is empty; it should hold records", path)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	switch {
	case bytes.Equal(head, []byte("PAR1")):
		return readParquet(f, info.Size(), path, limit)
	case bytes.Equal(head, []byte("PK\x03\x04")):
		return readZip(f, info.Size(), path, "", limit)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return readGzip(f, path, limit)
	}
	return readText(f, path, limit)
}

func readGzip(f io.Reader, path string, limit int) ([]raw, error) {
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return readText(io.LimitReader(z, mostBytes), path, limit)
}

// readZip reads the member of that name, or the only one that holds records.
func readZip(f io.ReaderAt, size int64, path, member string, limit int) ([]raw, error) {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var found []*zip.File
	for _, m := range z.File {
		if member != "" && filepath.Base(m.Name) == member || member == "" && isRecordFile(m.Name) {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s holds %d files of records; unpack it and name one", path, len(found))
	}
	in, err := found[0].Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", path, found[0].Name, err)
	}
	defer in.Close()
	return readText(io.LimitReader(in, mostBytes), path+"/"+found[0].Name, limit)
}

func isRecordFile(name string) bool {
	switch filepath.Ext(name) {
	case ".json", ".jsonl", ".csv":
		return !strings.HasPrefix(name, "__MACOSX/")
	}
	return false
}

// readText tells JSON, JSON Lines and CSV apart by their first bytes.
func readText(in io.Reader, path string, limit int) ([]raw, error) {
	lines := newLines(in)
	first, err := lines.peek()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case len(first) == 0:
		return nil, fmt.Errorf("%s is empty; it should hold records", path)
	case first[0] == '[':
		return readJSON(lines.rest(), path, limit)
	case first[0] == '{' && wholeObject(first):
		return readLines(lines, path, limit)
	case first[0] == '{':
		return readJSON(lines.rest(), path, limit)
	}
	return readCSV(lines.rest(), path, limit)
}
