package tasks

import (
	"fmt"
	"regexp"
	"strings"

	"refreekv/datasets"
)

var placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// fill puts a record's fields into a template, in one pass: braces inside the
// record's texts stay as they are.
func (d *Definition) fill(template string, rec datasets.Record) (string, error) {
	var b strings.Builder
	end := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(template, -1) {
		name := template[at[2]:at[3]]
		if field, ok := d.fields[name]; ok {
			name = field
		}
		text, err := textField(rec, name)
		if err != nil {
			return "", err
		}
		b.WriteString(template[end:at[0]])
		b.WriteString(text)
		end = at[1]
	}
	b.WriteString(template[end:])
	return b.String(), nil
}

// textField is a field that fills a template: text, or a number as Python prints
// it.
func textField(rec datasets.Record, name string) (string, error) {
	value, ok := rec.Fields[name]
	if !ok {
		return "", fmt.Errorf("%s: field %q is missing; the task's template wants it (map other names under fields:)", rec.Source, name)
	}
	switch value.(type) {
	case nil:
		return "", nil
	case []any, map[string]any:
		return "", fmt.Errorf("%s: field %q is %s; the task's template wants text", rec.Source, name, kind(value))
	}
	return python(value)
}
