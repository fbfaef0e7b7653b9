package runners

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"refreekv/datasets"
	"refreekv/model/hub"
	"refreekv/runners/rows"
	"refreekv/tasks"
)

// Scoring says which program and task definitions the scores of a run are from,
// where it was scored again.
type Scoring struct {
	Version string            `yaml:"version"`
	Tasks   map[string]string `yaml:"task_sha256"`
}

// A Rescored tells what scoring a task's texts again changed.
type Rescored struct {
	Task          string
	Rows, Changed int
	Before, After float64 // mean score over the rows, 0..1
	Redefined     bool    // the task's definition is not that of the run
	Kept          string  // why the scores stay as they are; empty: they were computed again
}

// Rescore scores the stored texts of the run in dir again, with the tasks as they
// are now, without the model. The rows are replaced all at once; run.yaml keeps
// what it says about the run and adds a Scoring. Records are read as the run read
// them, from data where it is not empty. Rows with an error stay as they are, and
// so do protected tasks, whose texts no run stores.
func Rescore(ctx context.Context, dir, data string, progress hub.Progress) ([]Rescored, []rows.Row, *Provenance, error) {
	all, p, err := ReadRuns([]string{dir})
	if err != nil {
		return nil, nil, nil, err
	}
	switch {
	case len(all) == 0:
		return nil, nil, nil, fmt.Errorf("%s holds no finished record; there is nothing to score", dir)
	case p.NoTexts:
		return nil, nil, nil, fmt.Errorf("%s holds rows whose texts were left out; score the run that it was made of", dir)
	}
	config := p.Config
	if data != "" {
		config.Data = data
	}
	byTask := map[string][]*rows.Row{}
	for i := range all {
		byTask[all[i].Task] = append(byTask[all[i].Task], &all[i])
	}
	p.Scoring = &Scoring{Version: Version(), Tasks: map[string]string{}}
	var out []Rescored
	for _, name := range config.Tasks {
		task, err := tasks.Load(name)
		if err != nil {
			return nil, nil, nil, err
		}
		if len(byTask[task.Name]) == 0 {
			continue
		}
		done, err := rescoreTask(ctx, task, &config, byTask[task.Name], p, progress)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("task %s: %w", task.Name, err)
		}
		out = append(out, done)
		delete(byTask, task.Name)
	}
	for name := range byTask {
		return nil, nil, nil, fmt.Errorf("%s holds rows of task %s, which its %s does not name; it was changed by hand", dir, name, provenanceFile)
	}
	return out, all, p, WriteRun(dir, all, p)
}

func rescoreTask(ctx context.Context, task *tasks.Task, c *Config, scored []*rows.Row, p *Provenance, progress hub.Progress) (Rescored, error) {
	out := Rescored{Task: task.Name, Rows: len(scored)}
	definition, err := c.define(task)
	if err != nil {
		return out, err
	}
	out.Redefined = p.Tasks[task.Name] != "" && p.Tasks[task.Name] != definition.Hash()
	if definition.Protected {
		out.Kept = "its texts are not stored"
		return out, nil
	}
	planned := PlannedTask{Definition: definition}
	if err := planned.open(ctx, task.Dataset, c, progress); err != nil {
		return out, err
	}
	records := map[int]datasets.Record{}
	for _, record := range planned.Records {
		records[record.Index] = record
	}
	for _, row := range scored {
		out.Before += row.Score / float64(len(scored))
		if row.Error == "" {
			if record, ok := records[row.Index]; !ok || record.ID != row.Record {
				return out, fmt.Errorf("record %d of the run (%q) is not in the data set as it is now; give the run's data with --data", row.Index, row.Record)
			}
			score, err := definition.Score(row.Text, records[row.Index])
			if err != nil {
				return out, err
			}
			if score != row.Score {
				row.Score = score
				out.Changed++
			}
		}
		out.After += row.Score / float64(len(scored))
	}
	p.Scoring.Tasks[task.Name] = definition.Hash()
	return out, nil
}

// scoredBy are the definitions that the scores are from.
func (p *Provenance) scoredBy() map[string]string {
	out := map[string]string{}
	maps.Copy(out, p.Tasks)
	if p.Scoring != nil {
		maps.Copy(out, p.Scoring.Tasks)
	}
	return out
}

// joinScoring is the Scoring of two runs that stand in one table.
func joinScoring(a, b *Provenance) (*Scoring, error) {
	if a.Scoring == nil && b.Scoring == nil {
		return nil, nil
	}
	both, err := joinTasks(a.scoredBy(), b.scoredBy())
	if err != nil {
		return nil, fmt.Errorf("one was scored again under another %w; score the other again too", err)
	}
	return &Scoring{Version: cmp.Or(a.Scoring, b.Scoring).Version, Tasks: both}, nil
}
