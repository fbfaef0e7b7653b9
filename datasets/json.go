package datasets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// wholeObject tells whether a line is a JSON object by itself, and whether that
// has a list of objects under "data", as a JSON document has.
func wholeObject(line []byte) (data, whole bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(line, &object) != nil {
		return false, false
	}
	var list []map[string]json.RawMessage
	return json.Unmarshal(object["data"], &list) == nil && list != nil, true
}

// lines reads JSON Lines.
func (in input) lines(l *lines) ([]raw, error) {
	var out []raw
	for !in.full(out) {
		line, done, err := l.next()
		switch {
		case errors.Is(err, errLongLine):
			if err := in.skipped.refuse(in.broken(l, err)); err != nil {
				return nil, err
			}
			if err := l.discard(); err != nil {
				return out, in.skipped.refuse(in.broken(l, err))
			}
			continue
		case err != nil: // what was read before is good
			return out, in.skipped.refuse(in.broken(l, err))
		case done:
			return out, nil
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		r, err := in.line(line, l.number)
		if err != nil {
			if err := in.skipped.refuse(err); err != nil {
				return nil, err
			}
			continue
		}
		if out, err = in.add(out, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// line decodes a line of JSON Lines.
func (in input) line(line []byte, number int) (raw, error) {
	source := fmt.Sprintf("%s:%d", in.path, number)
	if !utf8.Valid(line) {
		return raw{}, fmt.Errorf("%s: the line is no valid UTF-8; convert the file", source)
	}
	value, err := decodeJSON(line)
	if err != nil {
		return raw{}, fmt.Errorf("%s: no valid JSON (%w); mend the line", source, err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return raw{}, fmt.Errorf("%s: the line is no JSON object; a record must be one", source)
	}
	return raw{fields, source}, nil
}

// json reads one JSON document: an array of records, or an object with the
// records under "data". What is no document may still be JSON Lines with a
// malformed first one: if the file's name says so, or, where such are skipped,
// it begins like an object.
func (in input) json(l *lines) ([]raw, error) {
	before := l.number - 1
	ration := &rationed{l.rest(), int64(in.mostLine), fmt.Errorf("it is longer than %d MB; use JSON Lines", in.mostLine>>20)}
	text, err := io.ReadAll(ration)
	if err == nil {
		var out []raw
		if out, err = in.document(text, before); err == nil {
			return out, nil
		}
	} else {
		err = fmt.Errorf("%s: the document cannot be read (%w)", in.path, err)
	}
	lines := newLines(io.MultiReader(bytes.NewReader(text), ration.in), in.mostLine)
	lines.number = before
	if in.namedLines() {
		return in.lines(lines)
	}
	if in.skipped == nil || !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return nil, err
	}
	whole := in.skipped
	in.skipped = &Skipped{}
	out, linesErr := in.lines(lines)
	if linesErr != nil || len(out) == 0 {
		return nil, err
	}
	whole.merge(in.skipped)
	return out, nil
}

// namedLines tells whether the file's name is that of JSON Lines.
func (in input) namedLines() bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(in.path, ".gz")), ".jsonl")
}

// document decodes a JSON document; before is how many lines stand above it.
func (in input) document(text []byte, before int) ([]raw, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%s is no valid UTF-8; convert the file", in.path)
	}
	value, err := decodeJSON(text)
	if err != nil {
		line := 1 + before + bytes.Count(text[:errorOffset(err, len(text))], []byte("\n"))
		return nil, fmt.Errorf("%s:%d: no valid JSON (%w); mend it or fetch it again", in.path, line, err)
	}
	if object, ok := value.(map[string]any); ok {
		value = object["data"]
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: neither a list of records nor an object with the records under \"data\", nor JSON Lines with a record a line", in.path)
	}
	var out []raw
	for i, item := range list {
		if in.full(out) {
			break
		}
		source := fmt.Sprintf("%s#%d", in.path, i)
		fields, ok := item.(map[string]any)
		if !ok {
			if err := in.skipped.refuse(fmt.Errorf("%s: the item is no JSON object; a record must be one", source)); err != nil {
				return nil, err
			}
			continue
		}
		if out, err = in.add(out, raw{fields, source}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// errorOffset is where in the text a JSON error stands.
func errorOffset(err error, size int) int {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return min(max(int(syntax.Offset)-1, 0), size)
	}
	return 0
}

// decodeJSON decodes a text that is one value; numbers written as integers
// become int64, others float64, and what neither can hold stays a json.Number.
func decodeJSON(text []byte) (any, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if !strings.ContainsAny(v.String(), ".eE") {
			return v
		}
		x, err := v.Float64()
		if err != nil {
			return v
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
