package datasets

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// mostLine bounds one line or JSON value.
const mostLine = 128 << 20

// lines reads a text line by line, after a byte-order mark, and can hand on
// the rest of it unread.
type lines struct {
	in     *bufio.Reader
	number int
	begun  []byte // a line read ahead
	peeked bool
	end    bool
}

func newLines(in io.Reader) *lines {
	b := bufio.NewReaderSize(in, 1<<20)
	if mark, _ := b.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		b.Discard(3)
	}
	return &lines{in: b}
}

// peek returns the first line that is not blank, without consuming it.
func (l *lines) peek() ([]byte, error) {
	for {
		line, err := l.read()
		if err != nil {
			return nil, err
		}
		if l.end && len(line) == 0 || len(bytes.TrimSpace(line)) > 0 {
			l.begun, l.peeked = line, true
			return bytes.TrimSpace(line), nil
		}
	}
}

// rest is everything from the peeked line on.
func (l *lines) rest() io.Reader { return io.MultiReader(bytes.NewReader(l.begun), l.in) }

// next returns the next line; done when there is none.
func (l *lines) next() (line []byte, done bool, err error) {
	if l.peeked {
		l.peeked = false
		return l.begun, false, nil
	}
	if l.end {
		return nil, true, nil
	}
	line, err = l.read()
	return line, l.end && len(line) == 0, err
}

// read reads one line, newline included.
func (l *lines) read() ([]byte, error) {
	l.number++
	var line []byte
	for {
		part, err := l.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF):
			l.end = true
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > mostLine:
			return nil, fmt.Errorf("line %d is longer than %d MB; a record should be a line of its own", l.number, mostLine>>20)
		}
	}
}

// wholeObject reports whether a line is a JSON object by itself.
func wholeObject(line []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(line, &object) == nil
}

// readLines reads JSON Lines.
func readLines(l *lines, path string, limit int) ([]raw, error) {
	var out []raw
	for limit == 0 || len(out) < limit {
		line, done, err := l.next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if done {
			break
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		source := fmt.Sprintf("%s:%d", path, l.number)
		if !utf8.Valid(line) {
			return nil, fmt.Errorf("%s: the line is no valid UTF-8; convert the file", source)
		}
		value, err := decodeJSON(json.NewDecoder(bytes.NewReader(line)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		fields, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: a record must be a JSON object", source)
		}
		out = append(out, raw{fields, source})
	}
	return out, nil
}

// readJSON reads one JSON document: an array of records, or an object with the
// records under "data".
func readJSON(in io.Reader, path string, limit int) ([]raw, error) {
	text, err := io.ReadAll(io.LimitReader(in, mostLine+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) > mostLine {
		return nil, fmt.Errorf("%s is longer than %d MB; use JSON Lines", path, mostLine>>20)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%s is no valid UTF-8; convert the file", path)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	value, err := decodeJSON(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if object, ok := value.(map[string]any); ok {
		value = object["data"]
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: neither a list of records nor an object with the records under \"data\"", path)
	}
	var out []raw
	for i, item := range list {
		if limit > 0 && i == limit {
			break
		}
		fields, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: record %d is no JSON object", path, i)
		}
		out = append(out, raw{fields, fmt.Sprintf("%s#%d", path, i)})
	}
	return out, nil
}

// decodeJSON decodes one value; numbers written as integers become int64,
// others float64.
func decodeJSON(d *json.Decoder) (any, error) {
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("no valid JSON: %w", err)
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		x, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return x
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
