package datasets

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
)

// A raw record is one decoded record before it gets its id.
type raw struct {
	fields map[string]any
	source string
}

// An input is one file, or one member of an archive, and how much of it is read.
type input struct {
	path  string // what error messages call it
	limit int    // records wanted; 0: all

	// More than this is no data set but a mistake or an attack.
	mostLine    int   // bytes of a line, CSV row or JSON document
	mostBytes   int64 // bytes of the whole, unpacked
	mostRecords int
}

func newInput(path string, limit int) input {
	return input{path: path, limit: limit, mostLine: 128 << 20, mostBytes: 4 << 30, mostRecords: 4 << 20}
}

// full tells whether enough records are read.
func (in input) full(out []raw) bool { return in.limit > 0 && len(out) >= in.limit }

// add appends a record, up to what a file may hold.
func (in input) add(out []raw, r raw) ([]raw, error) {
	if len(out) == in.mostRecords {
		return nil, fmt.Errorf("%s holds more than %d records; split it, or read fewer", in.path, in.mostRecords)
	}
	return append(out, r), nil
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
		return nil, fmt.Errorf("%s is no file of records; name a file", path)
	}
	return newInput(path, limit).read(f, info.Size())
}

// read tells the formats apart by their first bytes.
func (in input) read(f io.ReaderAt, size int64) ([]raw, error) {
	stream := io.NewSectionReader(f, 0, size)
	head := make([]byte, 4)
	n, err := io.ReadFull(stream, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	if _, err := stream.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	switch formatOf(head[:n]) {
	case "Parquet":
		return in.parquet(f, size)
	case "zip":
		return in.zip(f, size, "")
	case "gzip":
		return in.gzip(stream)
	}
	return in.text(stream)
}

// formatOf names the binary format that begins like this; "" for text.
func formatOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")):
		return "Parquet"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return "zip"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip"
	}
	return ""
}

func (in input) gzip(f io.Reader) ([]raw, error) {
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, in.damaged("gzip", err)
	}
	return in.text(z)
}

// zip reads the member of that name, or the only one that holds records.
func (in input) zip(f io.ReaderAt, size int64, member string) ([]raw, error) {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, in.damaged("zip", err)
	}
	var found []*zip.File
	for _, m := range z.File {
		if m.Mode().IsRegular() && (member != "" && path.Base(m.Name) == member || member == "" && isRecordFile(m.Name)) {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 0 && member != "":
		return nil, fmt.Errorf("%s holds no file %s; fetch it again, or give a folder that holds %s", in.path, member, member)
	case len(found) == 0:
		return nil, fmt.Errorf("%s holds no .jsonl, .json or .csv file; unpack it and name the file with the records", in.path)
	case len(found) > 1:
		return nil, fmt.Errorf("%s holds %d files of records; unpack it and name one", in.path, len(found))
	}
	in.path += "/" + printable(found[0].Name)
	content, err := found[0].Open()
	if err != nil {
		return nil, in.damaged("zip", err)
	}
	defer content.Close()
	return in.text(content)
}

func isRecordFile(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json", ".jsonl", ".csv":
		return !strings.HasPrefix(name, "__MACOSX/")
	}
	return false
}

// printable is a text that a file holds, fit for a line of ours.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// text tells JSON, JSON Lines and CSV apart by their first line.
func (in input) text(content io.Reader) ([]raw, error) {
	l := newLines(&rationed{content, in.mostBytes, fmt.Errorf("there are more than %d MB in it; split it into several files", in.mostBytes>>20)}, in.mostLine)
	first, err := l.peek()
	if err != nil {
		return nil, in.broken(l, err)
	}
	if len(first) == 0 {
		return nil, fmt.Errorf("%s is empty; it should hold records", in.path)
	}
	if name := formatOf(first); name != "" {
		return nil, fmt.Errorf("%s: there is a %s file inside the archive; unpack it", in.path, name)
	}
	switch first[0] {
	case '{':
		if data, whole := wholeObject(first); !whole || data && l.last() {
			return in.json(l)
		}
		return in.lines(l)
	case '[':
		return in.json(l)
	}
	return in.csv(l)
}

// damaged is the error of a file whose format cannot be read. What the library
// says may hold pieces of the file, so it is made fit for a line.
func (in input) damaged(format string, err error) error {
	return fmt.Errorf("%s: damaged %s file (%.300s); fetch or make it again", in.path, format, printable(err.Error()))
}

// broken is the error of a file that cannot be read to its end.
func (in input) broken(l *lines, err error) error {
	return fmt.Errorf("%s:%d: the file cannot be read on (%w); fetch or make it again", in.path, max(l.number, 1), err)
}

// rationed gives no more than left bytes, then an error.
type rationed struct {
	in   io.Reader
	left int64
	over error
}

func (r *rationed) Read(p []byte) (int, error) {
	if r.left <= 0 && len(p) > 0 {
		// The ration may have been exactly enough.
		n, err := io.ReadFull(r.in, make([]byte, 1))
		if n == 0 {
			return 0, err
		}
		return 0, r.over
	}
	n, err := r.in.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}
