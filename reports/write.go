package reports

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"refreekv/runners/rows"
)

// WriteAll writes summary.md, .tex, .csv and .json and the figures of a run into
// its folder. Each file appears whole or not at all.
func WriteAll(dir string, all []rows.Row, title string) error {
	s, err := Summarize(all)
	if err != nil {
		return err
	}
	sheet, err := csvTable(s)
	if err != nil {
		return err
	}
	object, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the summary: %w", err)
	}
	files := map[string][]byte{
		"summary.md":   []byte(markdown(s, title)),
		"summary.tex":  []byte(latex(s, title)),
		"summary.csv":  sheet,
		"summary.json": append(object, '\n'),
	}
	drawings, err := figures(s)
	if err != nil {
		return err
	}
	for name, content := range drawings {
		files[filepath.Join("figures", name)] = content
	}
	if err := os.MkdirAll(filepath.Join(dir, "figures"), 0o755); err != nil {
		return fmt.Errorf("making the folder of the figures: %w", err)
	}
	for name, content := range files {
		if err := renameio.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}
