package runners

import (
	"context"
	"fmt"

	"refreekv/datasets"
	"refreekv/model/hub"
	"refreekv/pruners"
	"refreekv/tasks"
)

// A Plan is an experiment worked out: what will be run, in which order.
type Plan struct {
	Config   *Config
	Tasks    []PlannedTask
	Variants []PlannedVariant
	Units    []Unit
}

// A PlannedTask is a task under the experiment's protocol with its records.
type PlannedTask struct {
	Name       string
	Definition *tasks.Definition
	Records    []datasets.Record
	Skipped    datasets.Skipped // malformed records that were left out, where the config says so
}

// A PlannedVariant is a pruner with its settings.
type PlannedVariant struct {
	Label  string // canonical: "snapkv budget=0.5"
	Spec   pruners.Spec
	Pruner pruners.Pruner
}

// A Unit is the work between two stored states: one record under one model and
// context length, for all variants.
type Unit struct {
	Model         string // as the config names it
	ContextLength int
	Task          int // index into Plan.Tasks
	Record        int // index into the task's Records
}

// NewPlan opens the data of every task and lays out the units: models outside,
// so that each is opened once, then tasks and records; a record's context
// lengths follow each other, since most prompts fit several of them and are
// then computed once.
func NewPlan(ctx context.Context, c *Config, shard Shard, progress hub.Progress) (*Plan, error) {
	p := &Plan{Config: c}
	for _, spec := range c.Variants {
		pruner, err := pruners.New(spec)
		if err != nil {
			return nil, err
		}
		p.Variants = append(p.Variants, PlannedVariant{Label: spec.String(), Spec: spec, Pruner: pruner})
	}
	for _, name := range c.Tasks {
		task, err := planTask(ctx, c, name, progress)
		if err != nil {
			return nil, err
		}
		p.Tasks = append(p.Tasks, task)
	}
	for _, model := range c.Models {
		for t, task := range p.Tasks {
			for r := range task.Records {
				for _, length := range c.ContextLengths {
					p.Units = append(p.Units, Unit{Model: model, ContextLength: length, Task: t, Record: r})
				}
			}
		}
	}
	return p, p.take(shard)
}

// labels are the variants in canonical form, in the order of their rows.
func (p *Plan) labels() []string {
	out := make([]string, len(p.Variants))
	for i, v := range p.Variants {
		out[i] = v.Label
	}
	return out
}

// define is a task as the config runs it.
func (c *Config) define(task *tasks.Task) (*tasks.Definition, error) {
	d, err := task.Protocol(c.Protocol)
	if err != nil || c.NewTokens == 0 {
		return d, err
	}
	return d.Generating(c.NewTokens), nil
}

func planTask(ctx context.Context, c *Config, name string, progress hub.Progress) (PlannedTask, error) {
	task, err := tasks.Load(name)
	if err != nil {
		return PlannedTask{}, err
	}
	definition, err := c.define(task)
	if err != nil {
		return PlannedTask{}, fmt.Errorf("task %s: %w", task.Name, err)
	}
	planned := PlannedTask{Name: task.Name, Definition: definition}
	if err := planned.open(ctx, task.Dataset, c, progress); err != nil {
		return PlannedTask{}, fmt.Errorf("task %s: %w", task.Name, err)
	}
	if len(planned.Records) == 0 {
		return PlannedTask{}, fmt.Errorf("task %s: data set %s holds no record", task.Name, task.Dataset)
	}
	return planned, nil
}

// open reads a task's records: so many as the config and the task ask for, each
// with what the task needs.
func (p *PlannedTask) open(ctx context.Context, dataset string, c *Config, progress hub.Progress) (err error) {
	o := datasets.Options{Dir: c.Data, Limit: c.Records, Progress: progress, Check: p.Definition.Check}
	if most := p.Definition.Records; most > 0 && (o.Limit == 0 || most < o.Limit) {
		o.Limit = most
	}
	if c.SkipBad {
		o.Skip = &p.Skipped
	}
	p.Records, err = datasets.Open(ctx, dataset, o)
	return err
}
