package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"refreekv/runners/rows"
)

// Formats are the forms of a summary that Render knows.
var Formats = []string{"md", "tex", "csv", "json"}

// IsFormat reports whether Render knows a format.
func IsFormat(format string) bool { return slices.Contains(Formats, format) }

// Render renders the tables of rows in one format.
func Render(all []rows.Row, o Options, format string) ([]byte, error) {
	s, err := Summarize(all, o)
	if err != nil {
		return nil, err
	}
	return s.render(o.Title, format)
}

func (s Summary) render(title, format string) ([]byte, error) {
	switch format {
	case "md":
		return []byte(markdown(s, title)), nil
	case "tex":
		return []byte(latex(s, title)), nil
	case "csv":
		return csvTable(s)
	case "json":
		return encodeJSON(s)
	}
	return nil, fmt.Errorf("format %q is none of %s", format, strings.Join(Formats, ", "))
}

func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	out := json.NewEncoder(&buf)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the report: %w", err)
	}
	return buf.Bytes(), nil
}

// WriteAll writes summary.md, .tex, .csv and .json and the figures of a run into
// its folder, and removes figures that it no longer has. Each file appears whole
// or not at all. It returns what it summarized.
func WriteAll(dir string, all []rows.Row, o Options) (Summary, error) {
	s, err := Summarize(all, o)
	if err != nil {
		return Summary{}, err
	}
	return s, s.write(dir, o.Title, all)
}

func (s Summary) write(dir, title string, all []rows.Row) error {
	files, err := figureFiles(s, all)
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, "figures")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return rows.WriteError("making", folder, err)
	}
	for name, content := range files {
		if err := writeFile(filepath.Join(folder, name), content); err != nil {
			return err
		}
	}
	if err := removeOld(folder, files); err != nil {
		return err
	}
	for _, format := range Formats {
		content, err := s.render(title, format)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, "summary."+format), content); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, content []byte) error {
	if err := renameio.WriteFile(path, content, 0o644); err != nil {
		return rows.WriteError("writing", path, err)
	}
	return nil
}

// removeOld removes the figures of an earlier report whose models or tasks were
// others: their names differ, and beside the new ones they would mislead.
func removeOld(folder string, now map[string][]byte) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	for _, e := range entries {
		_, stays := now[e.Name()]
		if stays || !isFigureFile(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
			return fmt.Errorf("removing a figure of an earlier report: %w", err)
		}
	}
	return nil
}
