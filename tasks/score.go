package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"refreekv/datasets"
	"refreekv/metrics"
)

// References are what a record's text is compared with. Errors name the file,
// the record and the field.
func (d *Definition) References(rec datasets.Record) (metrics.Refs, error) {
	answers, err := d.list(rec, d.answers, d.answersAs)
	if err != nil {
		return metrics.Refs{}, err
	}
	refs := metrics.Refs{Answers: answers}
	if d.classes == "" {
		return refs, nil
	}
	refs.Classes, err = d.list(rec, d.classes, "")
	return refs, err
}

// list reads a field that holds one text or several, as answers_as says.
func (d *Definition) list(rec datasets.Record, name, as string) ([]string, error) {
	value, ok := rec.Fields[name]
	if !ok || value == nil {
		return nil, fmt.Errorf("%s: field %q is missing; task %s scores against it (name another under answers: or classes:)", rec.Source, name, d.Task)
	}
	switch as {
	case asPython:
		text, err := python(value)
		if err != nil {
			return nil, fmt.Errorf("%s: field %q holds %w; want texts, numbers, true, false or lists of them", rec.Source, name, err)
		}
		return []string{text}, nil
	case asSemicolons:
		return d.semicolons(rec, name)
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

// semicolons splits a text of several references as TruthfulQA's evaluation does:
// each trimmed and closed with a full stop.
func (d *Definition) semicolons(rec datasets.Record, name string) ([]string, error) {
	text, ok := rec.Fields[name].(string)
	if !ok {
		return nil, fmt.Errorf("%s: field %q holds %s; want a text with semicolons between references", rec.Source, name, kind(rec.Fields[name]))
	}
	var out []string
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, strings.TrimSuffix(part, ".")+".")
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: field %q holds no reference; task %s scores against it", rec.Source, name, d.Task)
	}
	return out, nil
}

// Check refuses a record that lacks what the task's templates and references
// need.
func (d *Definition) Check(rec datasets.Record) error {
	if _, _, err := d.texts(rec); err != nil {
		return err
	}
	_, err := d.References(rec)
	return err
}

// Score scores a text that was generated for a record, 0 to 1.
func (d *Definition) Score(text string, rec datasets.Record) (float64, error) {
	refs, err := d.References(rec)
	if err != nil {
		return 0, err
	}
	return d.ScoreAgainst(text, refs), nil
}

// ScoreAgainst scores a generated text against references, 0 to 1.
func (d *Definition) ScoreAgainst(text string, refs metrics.Refs) float64 {
	if d.FirstLine {
		text, _, _ = strings.Cut(strings.TrimLeft(text, "\n"), "\n")
	}
	return d.score(text, refs)
}

// Stored is what a run may keep of a generated text and its tokens: both, or, of
// a protected task, a hash that tells different texts apart.
func (d *Definition) Stored(text string, tokens []int32) (string, []int32) {
	if !d.Protected {
		return text, tokens
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:8]), nil
}
