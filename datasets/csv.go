package datasets

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// readCSV reads CSV with a header line; every value is a string.
func readCSV(in io.Reader, path string, limit int) ([]raw, error) {
	r := csv.NewReader(in)
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: neither JSON, Parquet nor CSV with a header: %w", path, err)
	}
	if len(header) < 2 {
		return nil, fmt.Errorf("%s: neither JSON, Parquet nor CSV with several columns", path)
	}
	for i, name := range header {
		if slices.Contains(header[:i], name) {
			return nil, fmt.Errorf("%s: column %q stands in the header twice", path, name)
		}
	}
	var out []raw
	for limit == 0 || len(out) < limit {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		line, _ := r.FieldPos(0)
		source := fmt.Sprintf("%s:%d", path, line)
		fields := make(map[string]any, len(header))
		for i, name := range header {
			if !utf8.ValidString(row[i]) {
				return nil, fmt.Errorf("%s: column %q is no valid UTF-8; convert the file", source, name)
			}
			fields[name] = row[i]
		}
		out = append(out, raw{fields, source})
	}
	return out, nil
}
