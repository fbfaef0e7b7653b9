package datasets

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// csv reads CSV with a header line, or of the columns that are known; every
// value is a string.
func (in input) csv(l *lines) ([]raw, error) {
	before := l.number - 1 // blank lines above the header
	ration := &rationed{l.rest(), int64(in.mostLine), fmt.Errorf("a row is longer than %d MB; is a quote missing?", in.mostLine>>20)}
	r := csv.NewReader(ration)
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: neither JSON, Parquet nor CSV with a header (%w)", in.path, plainCSV(err))
	}
	var out []raw
	if len(in.columns) == len(header) && !slices.Contains(header, in.columns[0]) {
		first := header // this file has no header
		header = in.columns
		if out, err = in.row(out, header, first, before+1); err != nil {
			return nil, err
		}
	}
	if err := in.checkHeader(header, before+1); err != nil {
		return nil, err
	}
	for !in.full(out) {
		ration.left = int64(in.mostLine)
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if err := in.skipped.refuse(in.badRow(err, before, len(header))); err != nil {
				return nil, err
			}
			if parse := new(csv.ParseError); !errors.As(err, &parse) {
				break // where the next row would begin is not known
			}
			continue
		}
		line, _ := r.FieldPos(0)
		if out, err = in.row(out, header, row, before+line); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (in input) checkHeader(header []string, line int) error {
	if len(header) < 2 {
		return fmt.Errorf("%s: neither JSON, Parquet nor CSV with several columns", in.path)
	}
	seen := make(map[string]bool, len(header))
	for _, name := range header {
		if !utf8.ValidString(name) {
			return fmt.Errorf("%s:%d: the header is no valid UTF-8; convert the file", in.path, line)
		}
		if seen[name] {
			return fmt.Errorf("%s:%d: column %.60q stands in the header twice; rename one", in.path, line, name)
		}
		seen[name] = true
	}
	return nil
}

// row appends the record of a row.
func (in input) row(out []raw, header, row []string, line int) ([]raw, error) {
	source := fmt.Sprintf("%s:%d", in.path, line)
	fields := make(map[string]any, len(header))
	for i, name := range header {
		if !utf8.ValidString(row[i]) {
			return out, in.skipped.refuse(fmt.Errorf("%s: column %.60q is no valid UTF-8; convert the file", source, name))
		}
		fields[name] = row[i]
	}
	return in.add(out, raw{fields, source})
}

// badRow is the error of a row that cannot be read.
func (in input) badRow(err error, before, columns int) error {
	var parse *csv.ParseError
	switch {
	case !errors.As(err, &parse):
		return fmt.Errorf("%s: the file cannot be read on (%w); fetch or make it again", in.path, err)
	case errors.Is(err, csv.ErrFieldCount):
		return fmt.Errorf("%s:%d: the row has not as many values as the header (%d); mend the row", in.path, before+parse.StartLine, columns)
	}
	return fmt.Errorf("%s:%d: no valid CSV (%w); mend the row that starts at line %d", in.path, before+parse.Line, parse.Err, before+parse.StartLine)
}

// plainCSV takes the line numbers off an error, since they count from the header.
func plainCSV(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return parse.Err
	}
	return err
}
