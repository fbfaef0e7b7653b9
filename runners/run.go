package runners

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"refreekv/datasets"
	"refreekv/model"
	"refreekv/model/hub"
	"refreekv/pruners"
	"refreekv/runners/rows"
	"refreekv/tasks"
)

// Options say how an experiment is run, not what.
type Options struct {
	Dir      string       // the run's folder
	Shard    Shard        // which part of the work
	Memory   int64        // bytes that weights and the records in hand may take; 0: no bound
	Batch    int          // tokens that a decode step feeds at most, more only for one record; 0: DefaultBatch
	Fetch    hub.Progress // told about downloads; may be nil
	Progress func(Update) // told after every record; may be nil
	Notice   func(string) // told in a line what a person should know; may be nil
}

// An Update tells how far a run is.
type Update struct {
	Done, Total int     // records (units of work), those of earlier runs included
	Resumed     int     // of Done, those found already stored
	Tokens      int     // prompt and generated tokens computed by this run
	Seconds     float64 // since this run began to compute
	Task        string  // of the record just done; empty at the start
}

// A Result is a completed run.
type Result struct {
	Dir     string
	Rows    []rows.Row // all rows, in the plan's order
	Resumed int        // records found stored
	Errors  int        // rows that hold an error
}

// Run runs what is missing of an experiment and returns all its rows. It can be
// killed at any moment: rows of finished records are on disk, and the next Run
// on the same folder goes on after them. Settings may have changed in between:
// then those variants of those records run whose rows are not there (Inputs), and
// rows that are not asked for any more are set aside. Where Run fails before the
// first record is stored, it leaves no folder behind that was not there.
func Run(ctx context.Context, c *Config, o Options) (*Result, error) {
	plan, err := NewPlan(ctx, c, o.Shard, o.Fetch)
	if err != nil {
		return nil, err
	}
	return plan.run(ctx, o)
}

func (plan *Plan) run(ctx context.Context, o Options) (*Result, error) {
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	defer f.close()
	r := &run{plan: plan, o: o, byUnit: map[key][]rows.Row{}, found: map[string]hub.Found{}, identities: map[string]*identity{}}
	for _, t := range plan.Tasks {
		if t.Skipped.Records > 0 {
			r.notice("task %s: %s", t.Name, t.Skipped.String())
		}
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer func() { r.store.Close() }()
	err = r.units(ctx)
	if err == nil || r.update.Done > 0 || r.before != nil {
		f.keep()
	}
	if err != nil {
		return nil, err
	}
	return r.finish()
}

// A run is the state of an experiment while it runs.
type run struct {
	plan       *Plan
	o          Options
	provenance *Provenance // written when the first model is known to fit
	before     *Provenance // of the run that the folder holds already; nil: none
	store      *rows.Store
	stock      stock
	byUnit     map[key][]rows.Row // a row for every variant, blank where it is missing
	found      map[string]hub.Found
	identities map[string]*identity // of models, by their names in the config
	model      *model.Model         // the one that is open
	opened     string               // its name in the config
	base       *model.Prefix        // of the latest record, where the next one takes over from it
	update     Update
	begin      time.Time
}

// key names a unit in the rows.
type key struct {
	model         string
	contextLength int
	task          string
	index         int
}

func (r *run) key(u Unit) key {
	task := r.plan.Tasks[u.Task]
	return key{u.Model, u.ContextLength, task.Name, task.Records[u.Record].Index}
}

func keyOf(row rows.Row) key { return key{row.Model, row.ContextLength, row.Task, row.Index} }

// units computes every unit that is not stored yet.
func (r *run) units(ctx context.Context) error {
	missing, err := r.takeStock(ctx)
	if err != nil {
		return err
	}
	// A model that cannot be had must not end the run hours later.
	for i, u := range missing {
		if i > 0 && missing[i-1].Model == u.Model {
			continue
		}
		if _, err := r.resolve(ctx, u.Model); err != nil {
			return err
		}
	}
	defer func() {
		if r.model != nil {
			r.model.Close()
		}
	}()
	for len(missing) > 0 {
		group := sameTask(missing)
		missing = missing[len(group):]
		if err := r.use(ctx, group[0].Model); err != nil {
			return err
		}
		jobs, err := r.jobs(group)
		if err != nil {
			return err
		}
		if err := r.settleRows(); err != nil {
			return err
		}
		if r.provenance.computedBy(thisProgram()) {
			r.notice("earlier rows of this folder were computed by another build or on another machine: %s names all", provenanceFile)
		}
		if err := r.settle(); err != nil {
			return err
		}
		if r.begin.IsZero() {
			r.begin = time.Now()
			r.tell()
		}
		if err := r.runJobs(ctx, jobs); err != nil {
			return err
		}
	}
	return nil
}

// sameTask is the units at the front that are of one model and task.
func sameTask(units []Unit) []Unit {
	n := 1
	for n < len(units) && units[n].Model == units[0].Model && units[n].Task == units[0].Task {
		n++
	}
	return units[:n]
}

func (r *run) notice(format string, args ...any) {
	if r.o.Notice != nil {
		r.o.Notice(fmt.Sprintf(format, args...))
	}
}

func (r *run) tell() {
	if r.o.Progress == nil {
		return
	}
	r.update.Seconds = time.Since(r.begin).Seconds()
	r.o.Progress(r.update)
}

// use opens a model unless it is open already.
func (r *run) use(ctx context.Context, name string) error {
	if r.model != nil && r.opened == name {
		return nil
	}
	if r.model != nil {
		r.model.Close()
		r.model = nil
	}
	found, err := r.resolve(ctx, name)
	if err != nil {
		return err
	}
	m, err := model.OpenAs(found.Path, r.plan.Config.dtype())
	if err != nil {
		return err
	}
	m.Name, m.Source = found.Name, found.Source
	r.model, r.opened = m, name
	if _, known := r.identities[name]; !known {
		id, err := newIdentity(m, m.Parameters(), m.Hash)
		if err != nil {
			return err
		}
		r.know(name, id)
	}
	r.notice("model %s from %s", name, m.Source)
	return nil
}

// blank is what all rows of a job say before anything is measured.
func (r *run) blank(j job) rows.Row {
	task := r.plan.Tasks[j.unit.Task]
	record := task.Records[j.unit.Record]
	return rows.Row{
		Model: j.unit.Model, ContextLength: j.unit.ContextLength, Task: task.Name, Protocol: r.plan.Config.Protocol,
		Record: record.ID, Index: record.Index,
		PromptTokens: len(j.prompt.Tokens), PromptHash: j.prompt.Hash(), Truncated: j.prompt.Truncated,
		Parameters: r.identities[j.unit.Model].facts.Parameters, DType: string(r.plan.Config.dtype()), Labels: record.Labels,
	}
}

// fidelity says what variants are compared on: the full cache's continuation and
// the first reference answer.
func (r *run) fidelity(d *tasks.Definition, record datasets.Record, prompt []int32) (*model.FidelityOptions, error) {
	most := r.plan.Config.fidelity()
	if most == 0 {
		return nil, nil
	}
	refs, err := d.References(record)
	if err != nil {
		return nil, err
	}
	answer := refs.Answers[0]
	// An answer behind "Answer:" begins with a blank, behind a line break it does not.
	end := r.model.Tokenizer.Decode(prompt[len(prompt)-1:], false)
	if last, _ := utf8.DecodeLastRuneInString(end); !unicode.IsSpace(last) {
		answer = " " + answer
	}
	reference, err := r.model.Tokenizer.Encode(answer, false)
	if err != nil {
		return nil, err
	}
	room := r.model.Config.MaxPositions - len(prompt)
	return &model.FidelityOptions{MaxTokens: most, Reference: reference[:min(len(reference), most, room)]}, nil
}

// fillText writes down what a variant generated, what it scores and how near it
// stays to the full cache.
func (r *run) fillText(row *rows.Row, g model.Generation, task PlannedTask, record datasets.Record) (err error) {
	row.Tokens, row.Stop, row.Timing.Decode = g.Tokens, g.Stop, g.Seconds
	row.Text = r.model.Tokenizer.Decode(g.Tokens, true)
	if row.Score, err = task.Definition.Score(row.Text, record); err != nil {
		return err
	}
	row.Text, row.Tokens = task.Definition.Stored(row.Text, row.Tokens)
	f := g.Fidelity
	if f == nil {
		return nil
	}
	if !isFinite(f.KL) || !isFinite(f.Reference) {
		return model.ErrNotFinite
	}
	row.Fidelity = &rows.Fidelity{
		Tokens: f.Tokens, KL: f.KL, Agreement: f.Agreement, Divergence: f.Divergence,
		ReferenceTokens: f.ReferenceTokens, Reference: f.Reference,
	}
	return nil
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func allFinite(all []float32) bool {
	return !slices.ContainsFunc(all, func(x float32) bool { return !isFinite(float64(x)) })
}

// fillKept writes down what a variant keeps and what that takes.
func fillKept(row *rows.Row, v model.Variant, prefix *model.Prefix) {
	row.Kept = make([]float64, len(v.Keep))
	for l, layer := range v.Keep {
		row.Kept[l] = layer.Kept()
	}
	row.Density = rows.NewDensity(v.Keep, prefix.Len())
	row.Budget = v.Keep.Budget(prefix.Len())
	row.KVBytesLayers = prefix.HeldBytes(v, false)
	row.KVBytes = sumBytes(row.KVBytesLayers)
	row.ReleasedKVBytes = sumBytes(prefix.HeldBytes(v, pruners.Repeats(row.Pruner)))
	row.FullKVBytes = sumBytes(prefix.HeldBytes(model.Variant{Keep: model.All(prefix.Shape().Layers, prefix.Len())}, false))
}

func sumBytes(all []int64) (total int64) {
	for _, x := range all {
		total += x
	}
	return total
}

// decodeOptions translates a task's stop rules into token ids.
func decodeOptions(m *model.Model, d *tasks.Definition) (model.DecodeOptions, error) {
	if d.NeverStops {
		return model.DecodeOptions{MaxNewTokens: d.MaxNewTokens}, nil
	}
	stop := slices.Clone(m.Tokenizer.EOS())
	if d.TokenizerEOSOnly && len(stop) > 1 {
		stop = stop[:1]
	}
	o := model.DecodeOptions{MaxNewTokens: d.MaxNewTokens, Stop: stop}
	if d.StopAtNewline {
		ids, err := m.Tokenizer.Encode("\n", false)
		if err != nil {
			return o, err
		}
		if len(ids) > 0 {
			o.Stop = append(o.Stop, ids[len(ids)-1])
		}
	}
	if d.FirstTokenNotEOS {
		o.NotFirst = slices.Clone(o.Stop)
	}
	return o, nil
}

// finish puts the rows into the plan's order and writes the Parquet file.
func (r *run) finish() (*Result, error) {
	if err := r.settle(); err != nil {
		return nil, err
	}
	if err := r.store.Close(); err != nil {
		return nil, rows.WriteError("closing", filepath.Join(r.o.Dir, rowsFile), err)
	}
	result := &Result{Dir: r.o.Dir, Resumed: r.update.Resumed, Rows: r.inOrder()}
	for _, row := range result.Rows {
		if row.Error != "" {
			result.Errors++
		}
	}
	return result, writeRows(r.o.Dir, result.Rows)
}

// writeRows writes a run's rows in both forms, all or nothing each.
func writeRows(dir string, all []rows.Row) error {
	if err := rows.Rewrite(filepath.Join(dir, rowsFile), all); err != nil {
		return err
	}
	meta, err := os.ReadFile(filepath.Join(dir, provenanceFile))
	if err != nil {
		return fmt.Errorf("reading the run's provenance: %w", err)
	}
	return rows.WriteParquet(filepath.Join(dir, parquetFile), all, map[string]string{provenanceFile: string(meta)})
}
