package runners

import (
	"fmt"
	"path/filepath"
	"slices"

	"refreekv/runners/rows"
)

// ReadRuns reads the rows of one run, or of several that can stand in one table
// (shards of an experiment, or runs with other models or tasks), and the first
// one's name. Runs of different protocol or variants, or that hold different
// weights under one model name, or the same record twice, are refused.
func ReadRuns(dirs []string) ([]rows.Row, string, error) {
	var all []rows.Row
	var first *Provenance
	from := map[key]string{}
	for _, dir := range dirs {
		p, err := ReadProvenance(dir)
		if err != nil {
			return nil, "", err
		}
		if first == nil {
			first = p
		}
		if err := comparable(first, p); err != nil {
			return nil, "", fmt.Errorf("%s and %s cannot stand in one table: %w", dirs[0], dir, err)
		}
		part, err := rows.Read(filepath.Join(dir, "rows.jsonl"))
		if err != nil {
			return nil, "", err
		}
		for _, row := range part {
			before, ok := from[keyOf(row)]
			if ok && before != dir {
				return nil, "", fmt.Errorf("%s and %s both hold task %s, record %d of model %s", before, dir, row.Task, row.Index, row.Model)
			}
			from[keyOf(row)] = dir
		}
		all = append(all, part...)
	}
	return all, first.Config.Name, nil
}

func comparable(a, b *Provenance) error {
	if a.Config.Protocol != b.Config.Protocol {
		return fmt.Errorf("protocols %s and %s", a.Config.Protocol, b.Config.Protocol)
	}
	if !slices.Equal(a.Variants, b.Variants) {
		return fmt.Errorf("their variants differ")
	}
	for name, facts := range b.Models {
		if before, ok := a.Models[name]; ok && (before.Weights != facts.Weights || before.Tokenizer != facts.Tokenizer) {
			return fmt.Errorf("model %s has other weights or another tokenizer", name)
		}
	}
	return nil
}
