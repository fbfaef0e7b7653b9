package tasks

import (
	"context"
	"fmt"
	"os"

	"refreekv/datasets"
	"refreekv/metrics"
)

// A Prediction is a text that any tool generated for a record, as LongBench
// stores it: a line with pred, answers, all_classes and length.
type Prediction struct {
	Text   string
	Refs   metrics.Refs
	Length int64 // of the record in words; 0: not told
}

// Predictions reads a file of predictions. A line without answers takes its
// references from the data set in dir: from the record with the line's _id or id,
// or, where it has none, from the record at the line's place. Errors name the file
// and the line.
func (t *Task) Predictions(ctx context.Context, d *Definition, path, dir string) ([]Prediction, error) {
	// The names of data sets are no predictions.
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("reading predictions: %w", err)
	}
	lines, err := datasets.Open(ctx, path, datasets.Options{})
	if err != nil {
		return nil, err
	}
	find := t.finder(ctx, dir)
	out := make([]Prediction, len(lines))
	for i, line := range lines {
		text, ok := line.Fields["pred"].(string)
		if !ok {
			return nil, fmt.Errorf("%s: field \"pred\" is missing or no text; a line of predictions holds the generated text there", line.Source)
		}
		refs, err := d.predictionRefs(line, find)
		if err != nil {
			return nil, err
		}
		length, _ := line.Fields["length"].(int64)
		out[i] = Prediction{Text: text, Refs: refs, Length: length}
	}
	return out, nil
}

// predictionRefs are the references of a line of predictions.
func (d *Definition) predictionRefs(line datasets.Record, find func(datasets.Record) (datasets.Record, error)) (metrics.Refs, error) {
	if line.Fields["answers"] == nil {
		record, err := find(line)
		if err != nil {
			return metrics.Refs{}, err
		}
		return d.References(record)
	}
	// Whatever the data set's own fields are called, here they have LongBench's
	// names, and every answer stands by itself.
	answers, ok := line.Fields["answers"].([]any)
	if !ok {
		answers = []any{line.Fields["answers"]}
	}
	refs := metrics.Refs{}
	for _, answer := range answers {
		text, err := python(answer)
		if err != nil {
			return refs, fmt.Errorf("%s: field \"answers\" holds %w; want a list of texts", line.Source, err)
		}
		refs.Answers = append(refs.Answers, text)
	}
	if len(refs.Answers) == 0 {
		return refs, fmt.Errorf("%s: field \"answers\" holds no reference", line.Source)
	}
	if d.classes == "" {
		return refs, nil
	}
	var err error
	refs.Classes, err = d.list(line, "all_classes", "")
	return refs, err
}

// finder finds the record that a line belongs to; the data set is opened when the
// first is asked for.
func (t *Task) finder(ctx context.Context, dir string) func(datasets.Record) (datasets.Record, error) {
	var records []datasets.Record
	byID := map[string]datasets.Record{}
	return func(line datasets.Record) (datasets.Record, error) {
		if records == nil {
			var err error
			if records, err = datasets.Open(ctx, t.Dataset, datasets.Options{Dir: dir}); err != nil {
				return datasets.Record{}, fmt.Errorf("%s has no field \"answers\", and the data set cannot be had: %w", line.Source, err)
			}
			for _, r := range records {
				byID[r.ID] = r
			}
		}
		if line.Fields["_id"] != nil || line.Fields["id"] != nil {
			record, ok := byID[line.ID]
			if !ok {
				return record, fmt.Errorf("%s: data set %s holds no record %q", line.Source, t.Dataset, line.ID)
			}
			return record, nil
		}
		if line.Index >= len(records) {
			return datasets.Record{}, fmt.Errorf("%s: data set %s holds only %d records; lines without _id stand in their order", line.Source, t.Dataset, len(records))
		}
		return records[line.Index], nil
	}
}
