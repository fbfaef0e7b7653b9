package tasks

import (
	"fmt"
	"strings"

	"refreekv/datasets"
	"refreekv/metrics"
)

// References are what a record's text is compared with. Errors name the file,
// the record and the field.
func (d *Definition) References(rec datasets.Record) (metrics.Refs, error) {
	answers, err := d.list(rec, d.answers, d.answersAs == "python")
	if err != nil {
		return metrics.Refs{}, err
	}
	refs := metrics.Refs{Answers: answers}
	if d.classes == "" {
		return refs, nil
	}
	refs.Classes, err = d.list(rec, d.classes, false)
	return refs, err
}

// list reads a field that holds one text or several.
func (d *Definition) list(rec datasets.Record, name string, asPython bool) ([]string, error) {
	value, ok := rec.Fields[name]
	if !ok || value == nil {
		return nil, fmt.Errorf("%s: field %q is missing; task %s scores against it (name another under answers: or classes:)", rec.Source, name, d.Task)
	}
	if asPython {
		text, err := python(value)
		if err != nil {
			return nil, fmt.Errorf("%s: field %q holds %w; want texts, numbers, true, false or lists of them", rec.Source, name, err)
		}
		return []string{text}, nil
	}
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("%s: field %q holds no reference; task %s scores against it", rec.Source, name, d.Task)
	}
	var out []string
	for _, item := range items {
		switch item.(type) {
		case nil, []any, map[string]any:
			return nil, fmt.Errorf("%s: field %q holds %s; want texts", rec.Source, name, kind(item))
		}
		text, err := python(item)
		if err != nil {
			return nil, fmt.Errorf("%s: field %q holds %w; want texts", rec.Source, name, err)
		}
		out = append(out, text)
	}
	return out, nil
}

// Score scores a generated text, 0 to 1.
func (d *Definition) Score(text string, rec datasets.Record) (float64, error) {
	refs, err := d.References(rec)
	if err != nil {
		return 0, err
	}
	if d.FirstLine {
		text, _, _ = strings.Cut(strings.TrimLeft(text, "\n"), "\n")
	}
	return d.score(text, refs), nil
}
