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
	"slices"
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
	path     string   // what error messages call it
	limit    int      // records wanted; 0: all
	member   string   // the archive's file that is wanted; empty: the only set of records
	password string   // of an encrypted archive
	columns  []string // of CSV without a header
	skipped  *Skipped // where malformed records are counted; nil: they are errors

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

// each reads n parts, one after the other, until there are enough records.
func (in input) each(n int, read func(part input, k int) ([]raw, error)) ([]raw, error) {
	var out []raw
	for k := 0; k < n && !in.full(out); k++ {
		part := in
		if in.limit > 0 {
			part.limit = in.limit - len(out)
		}
		records, err := read(part, k)
		if err != nil {
			return nil, err
		}
		out = append(out, records...)
	}
	return out, nil
}

// file reads the file at the path, whatever its format.
func (in input) file() ([]raw, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file of records; name a file", in.path)
	}
	return in.read(f, info.Size())
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
	format := formatOf(head[:n])
	if in.member != "" && format != "zip" {
		return nil, in.damaged("zip", zip.ErrFormat)
	}
	switch format {
	case "Parquet":
		return in.parquet(f, size)
	case "zip":
		return in.zip(f, size)
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
	return in.unpacked(z)
}

// unpacked reads what came out of an archive: text, or Parquet by way of a
// temporary file, since it is not read from front to back.
func (in input) unpacked(content io.Reader) ([]raw, error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(content, head)
	content = io.MultiReader(bytes.NewReader(head[:n]), content)
	if err != nil || formatOf(head) != "Parquet" {
		return in.text(content)
	}
	f, err := os.CreateTemp("", "refreekv-*.parquet")
	if err != nil {
		return nil, fmt.Errorf("%s: unpacking: %w", in.path, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	size, err := io.Copy(f, in.rationed(content))
	if err != nil {
		return nil, fmt.Errorf("%s: the archive cannot be unpacked (%w); fetch or make it again", in.path, err)
	}
	return in.parquet(f, size)
}

// recordEndings are the names of files of records.
var recordEndings = []string{".jsonl", ".json", ".csv", ".parquet"}

func isRecordFile(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(recordEndings, filepath.Ext(strings.TrimSuffix(name, ".gz"))) && !strings.HasPrefix(name, "__macosx/")
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

// text tells JSON, JSON Lines and CSV apart by their first line; the file's name
// counts only where that is none of them.
func (in input) text(content io.Reader) ([]raw, error) {
	l := newLines(in.rationed(content), in.mostLine)
	first, err := l.peek()
	for errors.Is(err, errLongLine) && in.skipped != nil {
		in.skipped.refuse(in.broken(l, err))
		if err = l.discard(); err == nil {
			first, err = l.peek()
		}
	}
	if err != nil {
		return nil, in.skipped.refuse(in.broken(l, err))
	}
	if len(first) == 0 {
		return nil, in.skipped.refuse(fmt.Errorf("%s is empty; it should hold records", in.path))
	}
	if name := formatOf(first); name != "" {
		return nil, fmt.Errorf("%s: there is a %s file inside the archive; unpack it", in.path, name)
	}
	switch {
	case first[0] == '{':
		if data, whole := wholeObject(first); !whole || data && l.last() {
			return in.json(l)
		}
		return in.lines(l)
	case first[0] == '[':
		return in.json(l)
	case in.namedLines():
		return in.lines(l)
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

// rationed bounds what comes out of a file or archive.
func (in input) rationed(content io.Reader) *rationed {
	return &rationed{in: content, left: in.mostBytes, over: fmt.Errorf("there are more than %d MB in it; split it into several files", in.mostBytes>>20)}
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
		one := make([]byte, 1)
		n, err := io.ReadFull(r.in, one)
		if n == 0 {
			return 0, err
		}
		r.in = io.MultiReader(bytes.NewReader(one), r.in) // for whoever goes on without a ration
		return 0, r.over
	}
	n, err := r.in.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}
