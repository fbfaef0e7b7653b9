package tasks

import (
	"fmt"
	"strconv"
	"strings"

	"refreekv/datasets"
	"refreekv/metrics"
)

// References are what a record's text is compared with. Errors name the file,
// the record and the field.
func (d *Definition) References(rec datasets.Record) (metrics.Refs, error) {
	answers, err := d.list(rec, d.answers, d.python)
	if err != nil {
		return metrics.Refs{}, err
	}
	if len(answers) == 0 {
		return metrics.Refs{}, fmt.Errorf("%s: field %q holds no reference to score against", rec.Source, d.answers)
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
		return nil, fmt.Errorf("%s: field %q is missing; task %s scores against it", rec.Source, name, d.Task)
	}
	if asPython {
		return []string{python(value)}, nil
	}
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	var out []string
	for _, item := range items {
		switch v := item.(type) {
		case string:
			out = append(out, v)
		case bool, int64, float64:
			out = append(out, python(v))
		default:
			return nil, fmt.Errorf("%s: field %q holds a %T; want texts", rec.Source, name, item)
		}
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

// python prints a value as Python's str does: True, 3, 0.5, [1, 2].
func python(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return metrics.PythonFloat(v)
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = python(item)
			if s, ok := item.(string); ok {
				parts[i] = "'" + s + "'"
			}
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(value)
}
