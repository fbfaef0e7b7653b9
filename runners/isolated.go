package runners

import (
	"context"
	"runtime/debug"
	"slices"
	"time"

	"refreekv/model"
	"refreekv/model/process"
	"refreekv/pruners"
	"refreekv/runners/rows"
)

// isolated measures every variant by itself: its own prefill, its own compacted
// cache, nothing shared. Times and memory are medians over the config's repeats.
func (r *run) isolated(ctx context.Context, j job, pairs []pair, blank rows.Row) []rows.Row {
	out := make([]rows.Row, len(pairs))
	for i, p := range pairs {
		var err error
		if out[i], err = r.repeated(ctx, j, p, blank); err != nil {
			out[i] = p.failed(blank, err)
		}
	}
	return out
}

// repeated runs a variant as often as the config says.
func (r *run) repeated(ctx context.Context, j job, p pair, blank rows.Row) (row rows.Row, err error) {
	task := r.plan.Tasks[j.unit.Task]
	n := len(j.prompt.Tokens)
	if err := r.makeRoom(n, r.model.Config.RecordBytes(n, p.Pruner.Needs(), 1, task.Definition.MaxNewTokens)); err != nil {
		return row, err
	}
	var times []rows.Timing
	for range r.plan.Config.Isolated {
		row = p.row(blank)
		if err := r.alone(ctx, p.PlannedVariant, task, j, &row); err != nil {
			return row, err
		}
		times = append(times, row.Timing)
		r.update.Tokens += len(j.prompt.Tokens) + len(row.Tokens)
	}
	row.Timing = medians(times)
	return row, nil
}

// alone runs a variant once and fills in its row.
func (r *run) alone(ctx context.Context, v PlannedVariant, task PlannedTask, j job, row *rows.Row) error {
	debug.FreeOSMemory() // what earlier variants left behind is not this one's
	// Where the system does not reset it, the peak stays that of the whole run, and 0
	// where it does not tell it.
	_ = process.ResetPeak()
	cache, err := r.compacted(ctx, v, j.prompt.Tokens, row)
	if err != nil {
		return err
	}
	options, err := decodeOptions(r.model, task.Definition)
	if err != nil {
		return err
	}
	g, err := r.model.DecodeAlone(ctx, cache, options)
	if err != nil {
		return err
	}
	row.Timing.Peak, _ = process.Peak()
	return r.fillText(row, g, task, task.Records[j.unit.Record])
}

// compacted prefills a prompt for a variant and returns what it keeps. The full
// cache is free to go before decoding begins.
func (r *run) compacted(ctx context.Context, v PlannedVariant, tokens []int32, row *rows.Row) (*model.Alone, error) {
	begin := time.Now()
	prefix, err := r.model.Prefill(ctx, tokens, v.Pruner.Needs())
	if err != nil {
		return nil, err
	}
	if !allFinite(prefix.Logits()) {
		return nil, model.ErrNotFinite
	}
	row.Timing.Prefill = time.Since(begin).Seconds()
	begin = time.Now()
	variant, err := pruners.Apply(v.Pruner, prefix)
	if err != nil {
		return nil, err
	}
	cache, err := r.model.Compact(prefix, variant)
	if err != nil {
		return nil, err
	}
	row.Timing.Select = time.Since(begin).Seconds()
	fillKept(row, variant, prefix)
	return cache, nil
}

// medians takes the middle of each figure; of an even number, the lower of the
// two in the middle.
func medians(all []rows.Timing) rows.Timing {
	return rows.Timing{
		Prefill: median(all, func(t rows.Timing) float64 { return t.Prefill }),
		Select:  median(all, func(t rows.Timing) float64 { return t.Select }),
		Decode:  median(all, func(t rows.Timing) float64 { return t.Decode }),
		Peak:    int64(median(all, func(t rows.Timing) float64 { return float64(t.Peak) })),
	}
}

func median(all []rows.Timing, figure func(rows.Timing) float64) float64 {
	values := make([]float64, len(all))
	for i, t := range all {
		values[i] = figure(t)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
