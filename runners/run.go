package runners

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
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
	Memory   int64        // bytes that weights and the record at hand may take; 0: no bound
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
// on the same folder goes on after them. Where it fails before the first record
// is stored, it leaves no folder behind that was not there.
func Run(ctx context.Context, c *Config, o Options) (*Result, error) {
	plan, err := NewPlan(ctx, c, o.Shard, o.Fetch)
	if err != nil {
		return nil, err
	}
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	defer f.close()
	r := &run{plan: plan, o: o, byUnit: map[key][]rows.Row{}}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.store.Close()
	err = r.units(ctx)
	if err == nil || r.update.Done > 0 || len(r.stored) > 0 {
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
	store      *rows.Store
	stored     []rows.Row         // found at the start
	byUnit     map[key][]rows.Row // rows of every finished record
	model      *model.Model       // the one that is open
	opened     string             // its name in the config
	base       *model.Prefix      // of the latest record, where the next one takes over from it
	last       *measured          // the latest record, for the next context length
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

// open takes up what an earlier run of the same experiment left.
func (r *run) open() error {
	var err error
	if r.provenance, err = startProvenance(r.o.Dir, r.plan); err != nil {
		return err
	}
	r.store, r.stored, err = rows.Open(filepath.Join(r.o.Dir, rowsFile), r.plan.labels())
	if err != nil {
		return err
	}
	for _, row := range r.stored {
		r.byUnit[keyOf(row)] = append(r.byUnit[keyOf(row)], row)
	}
	return nil
}

// units computes every unit that is not stored yet.
func (r *run) units(ctx context.Context) error {
	missing, err := r.missing()
	if err != nil {
		return err
	}
	// A model that cannot be had must not end the run hours later.
	for i, u := range missing {
		if i > 0 && missing[i-1].Model == u.Model {
			continue
		}
		if _, err := hub.Resolve(ctx, u.Model, r.o.Fetch); err != nil {
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

// runJobs runs jobs in their order and stores each one's rows.
func (r *run) runJobs(ctx context.Context, jobs []job) error {
	defer func() { r.base = nil }()
	for _, j := range jobs {
		if err := ctx.Err(); err != nil {
			return err
		}
		group, err := r.unit(ctx, j)
		if err != nil {
			return err
		}
		if err := r.store.Append(group); err != nil {
			return err
		}
		r.byUnit[r.key(j.unit)] = group
		r.update.Done++
		r.update.Task = r.plan.Tasks[j.unit.Task].Name
		r.tell()
	}
	return nil
}

// missing lists the units that are not stored yet.
func (r *run) missing() ([]Unit, error) {
	var out []Unit
	for _, u := range r.plan.Units {
		stored := r.byUnit[r.key(u)]
		if len(stored) == 0 {
			out = append(out, u)
			continue
		}
		task := r.plan.Tasks[u.Task]
		if id := task.Records[u.Record].ID; stored[0].Record != id {
			return nil, fmt.Errorf("%s holds rows of another data set for task %s: its record %d was %q and is now %q; delete that folder or choose another with --out", r.o.Dir, task.Name, stored[0].Index, stored[0].Record, id)
		}
	}
	r.update.Total = len(r.plan.Units)
	r.update.Resumed = len(r.plan.Units) - len(out)
	r.update.Done = r.update.Resumed
	if r.update.Resumed > 0 {
		r.notice("resuming: %d of %d records are stored", r.update.Resumed, r.update.Total)
	}
	return out, nil
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
		r.model, r.last = nil, nil
	}
	m, err := model.Find(ctx, name, r.o.Fetch)
	if err != nil {
		return err
	}
	r.model, r.opened = m, name
	if err := r.provenance.add(r.o.Dir, name, m); err != nil {
		return err
	}
	r.notice("model %s from %s", name, m.Source)
	return nil
}

// measured is what one prompt gave, before it is written down per context
// length.
type measured struct {
	tokens []int32
	task   int
	index  int
	rows   []rows.Row
}

// unit runs one record. What is wrong with the data or the config ends the run;
// what is wrong with this one record is written into its rows.
func (r *run) unit(ctx context.Context, j job) ([]rows.Row, error) {
	u, prompt := j.unit, j.prompt
	task := r.plan.Tasks[u.Task]
	record := task.Records[u.Record]
	blank := rows.Row{
		Model: u.Model, ContextLength: u.ContextLength, Task: task.Name, Protocol: r.plan.Config.Protocol,
		Record: record.ID, Index: record.Index,
		PromptTokens: len(prompt.Tokens), PromptHash: promptHash(prompt.Tokens), Truncated: prompt.Truncated,
	}
	if r.last != nil && r.last.task == u.Task && r.last.index == record.Index && slices.Equal(r.last.tokens, prompt.Tokens) {
		return r.again(blank), nil
	}
	group, err := r.measure(ctx, task, record, j, blank)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		slog.Warn("record failed", "task", task.Name, "record", record.ID, "error", err)
		return r.failed(blank, err), nil
	}
	r.last = &measured{tokens: prompt.Tokens, task: u.Task, index: record.Index, rows: group}
	return group, nil
}

// again repeats the latest rows for another context length under which the
// prompt is the same.
func (r *run) again(blank rows.Row) []rows.Row {
	out := slices.Clone(r.last.rows)
	for i := range out {
		out[i].ContextLength, out[i].Truncated = blank.ContextLength, blank.Truncated
	}
	return out
}

func (r *run) failed(blank rows.Row, err error) []rows.Row {
	out := make([]rows.Row, len(r.plan.Variants))
	for i, v := range r.plan.Variants {
		out[i] = v.row(blank)
		out[i].Error = err.Error()
	}
	return out
}

// measure prefills a prompt once, lets every variant select from it, decodes
// them together and scores them.
func (r *run) measure(ctx context.Context, task PlannedTask, record datasets.Record, j job, blank rows.Row) ([]rows.Row, error) {
	tokens := j.prompt.Tokens
	if r.plan.Config.Isolated > 0 {
		return r.isolated(ctx, task, record, tokens, blank)
	}
	var needs model.Needs
	for _, v := range r.plan.Variants {
		needs = needs.Union(v.Pruner.Needs())
	}
	if err := r.makeRoom(tokens, needs, task.Definition.MaxNewTokens); err != nil {
		return nil, err
	}
	begin := time.Now()
	prefix, err := r.model.PrefillAfter(ctx, r.base, tokens, needs, j.marks)
	if err != nil {
		return nil, err
	}
	r.base = nil
	if len(j.marks) > 0 {
		r.base = prefix
	}
	prefillSeconds := time.Since(begin).Seconds()
	out := make([]rows.Row, len(r.plan.Variants))
	variants := make([]model.Variant, len(out))
	for i, v := range r.plan.Variants {
		begin := time.Now()
		if variants[i], err = pruners.Apply(v.Pruner, prefix); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Label, err)
		}
		out[i] = v.row(blank)
		out[i].Timing = rows.Timing{Prefill: prefillSeconds, Shared: prefix.Shared(), Select: time.Since(begin).Seconds()}
		fillKept(&out[i], variants[i].Keep, prefix)
	}
	options := decodeOptions(r.model, task.Definition)
	if options.Fidelity, err = r.fidelity(task.Definition, record, tokens); err != nil {
		return nil, err
	}
	generations, err := r.model.DecodeVariants(ctx, prefix, variants, options)
	if err != nil {
		return nil, err
	}
	r.update.Tokens += len(tokens) - prefix.Shared()
	for i, g := range generations {
		r.update.Tokens += len(g.Tokens)
		if err := r.fillText(&out[i], g, task, record); err != nil {
			return nil, err
		}
		if f := g.Fidelity; f != nil {
			out[i].Fidelity = &rows.Fidelity{
				Tokens: f.Tokens, KL: f.KL, Agreement: f.Agreement, Divergence: f.Divergence,
				ReferenceTokens: f.ReferenceTokens, Reference: f.Reference,
			}
		}
	}
	return out, nil
}

// makeRoom holds a record to the memory that the run may take: it gives up what
// the record before left to be taken over, and refuses the record if that is not
// enough.
func (r *run) makeRoom(tokens []int32, needs model.Needs, newTokens int) error {
	if r.o.Memory == 0 {
		return nil
	}
	weights := r.model.WeightBytes()
	record := r.model.Config.RecordBytes(len(tokens), needs, len(r.plan.Variants), newTokens)
	if r.base != nil && weights+record+r.base.KVBytes() > r.o.Memory {
		r.base = nil
	}
	if weights+record <= r.o.Memory {
		return nil
	}
	const mb = 1e6
	return fmt.Errorf("a prompt of %d tokens needs %.0f MB beside the model's %.0f MB, more than the %.0f MB allowed (--memory); allow more, use a smaller context length or fewer variants",
		len(tokens), float64(record)/mb, float64(weights)/mb, float64(r.o.Memory)/mb)
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
	reference := r.model.Tokenizer.Encode(answer, false)
	room := r.model.Config.MaxPositions - len(prompt)
	return &model.FidelityOptions{MaxTokens: most, Reference: reference[:min(len(reference), most, room)]}, nil
}

// row is what a variant's row says of the record before it is measured.
func (v PlannedVariant) row(blank rows.Row) rows.Row {
	blank.Variant, blank.Pruner = v.Label, v.Spec.Name
	return blank
}

// fillText writes down what a variant generated and what it scores.
func (r *run) fillText(row *rows.Row, g model.Generation, task PlannedTask, record datasets.Record) (err error) {
	row.Tokens, row.Stop, row.Timing.Decode = g.Tokens, g.Stop, g.Seconds
	row.Text = r.model.Tokenizer.Decode(g.Tokens, true)
	row.Score, err = task.Definition.Score(row.Text, record)
	return err
}

// fillKept writes down what a variant keeps.
func fillKept(row *rows.Row, keep model.Keep, prefix *model.Prefix) {
	row.Kept = make([]float64, len(keep))
	for l, layer := range keep {
		row.Kept[l] = layer.Kept()
	}
	row.Budget = keep.Budget(prefix.Len())
	row.KVBytes = int64(keep.Entries(prefix.Shape())) * int64(prefix.Shape().HeadDim) * 2 * 4
	row.FullKVBytes = prefix.KVBytes()
}

// decodeOptions translates a task's stop rules into token ids.
func decodeOptions(m *model.Model, d *tasks.Definition) model.DecodeOptions {
	stop := slices.Clone(m.Tokenizer.EOS())
	if d.TokenizerEOSOnly && len(stop) > 1 {
		stop = stop[:1]
	}
	o := model.DecodeOptions{MaxNewTokens: d.MaxNewTokens, Stop: stop}
	if d.StopAtNewline {
		if ids := m.Tokenizer.Encode("\n", false); len(ids) > 0 {
			o.Stop = append(o.Stop, ids[len(ids)-1])
		}
	}
	if d.FirstTokenNotEOS {
		o.NotFirst = slices.Clone(o.Stop)
	}
	return o
}

// finish puts the rows into the plan's order and writes the Parquet file.
func (r *run) finish() (*Result, error) {
	result := &Result{Dir: r.o.Dir, Resumed: r.update.Resumed}
	planned := map[key]bool{}
	for _, u := range r.plan.Units {
		planned[r.key(u)] = true
		result.Rows = append(result.Rows, r.byUnit[r.key(u)]...)
	}
	for _, row := range r.stored {
		if !planned[keyOf(row)] {
			result.Rows = append(result.Rows, row)
		}
	}
	for _, row := range result.Rows {
		if row.Error != "" {
			result.Errors++
		}
	}
	if err := r.store.Close(); err != nil {
		return nil, err
	}
	if err := r.provenance.write(r.o.Dir); err != nil {
		return nil, err
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

// promptHash is the first 16 hex digits of the SHA-256 of the token ids as
// little-endian 32-bit integers.
func promptHash(tokens []int32) string {
	buf := make([]byte, 0, 4*len(tokens))
	for _, t := range tokens {
		buf = append(buf, byte(t), byte(t>>8), byte(t>>16), byte(t>>24))
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:8])
}
