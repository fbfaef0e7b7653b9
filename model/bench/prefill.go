package bench

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"

	"refreekv/model"
	"refreekv/model/process"
	"refreekv/model/tensor"
)

// Prefill is a prompt's way through the model, nothing recorded.
type Prefill struct {
	Tokens          int     `json:"tokens"`
	Seconds         float64 `json:"seconds"`
	TokensPerSecond float64 `json:"tokens_s"`
	GFLOPs          float64 `json:"gflop_s"`
	ShareOfPeak     float64 `json:"share_of_peak"` // of the float32 peak, which int8 products may exceed
}

func (b *bencher) prefill(ctx context.Context) error {
	peak := peakTrial(longPeak, tensor.Threads(), tensor.FMALoop)
	trials := []*trial{peak}
	for _, n := range b.lengths {
		trials = append(trials, b.prefillTrial(ctx, n, model.Needs{}))
	}
	if err := b.warm(ctx); err != nil {
		return err
	}
	if err := inTurn(ctx, b.rounds.Model, trials...); err != nil {
		return err
	}
	for i, n := range b.lengths {
		t, work := trials[1+i], b.m.PrefillFLOP(n)/float64(n)
		b.report.Prefill = append(b.report.Prefill, Prefill{
			Tokens: n, Seconds: float64(n) / t.rate(), TokensPerSecond: t.rate(),
			GFLOPs: t.rate() * work / 1e9, ShareOfPeak: t.over(peak) * work,
		})
	}
	return nil
}

// warm runs a short prompt, so that the first trial meets what the later ones do.
func (b *bencher) warm(ctx context.Context) error {
	_, err := b.m.Prefill(ctx, b.tokens(min(64, b.longest())), model.Needs{})
	return err
}

// prefillTrial is the prefill of n tokens; its work is tokens. What earlier ones
// left behind is collected first, outside the time.
func (b *bencher) prefillTrial(ctx context.Context, n int, needs model.Needs) *trial {
	tokens := b.tokens(n)
	return &trial{prepare: runtime.GC, run: func() (float64, error) {
		_, err := b.m.Prefill(ctx, tokens, needs)
		return float64(n), err
	}}
}

// Recording is what it costs prefill to record something for the pruners.
type Recording struct {
	Tokens   int     `json:"tokens"`
	What     string  `json:"what"` // last_rows=64 or column_sums
	Seconds  float64 `json:"seconds"`
	Slowdown float64 `json:"slowdown"` // times the plain prefill's time, in the same round
}

// recordedRows are the last rows that are recorded: SnapKV's window is 64.
const recordedRows = 64

func (b *bencher) recording(ctx context.Context) error {
	n := b.longest()
	plain := b.prefillTrial(ctx, n, model.Needs{})
	rows := b.prefillTrial(ctx, n, model.Needs{LastRows: recordedRows})
	sums := b.prefillTrial(ctx, n, model.Needs{ColumnSums: true})
	if err := b.warm(ctx); err != nil {
		return err
	}
	if err := inTurn(ctx, b.rounds.Model, plain, rows, sums); err != nil {
		return err
	}
	for _, r := range []struct {
		what string
		t    *trial
	}{{"last_rows=64", rows}, {"column_sums", sums}} {
		b.report.Recording = append(b.report.Recording, Recording{
			Tokens: n, What: r.what, Seconds: float64(n) / r.t.rate(), Slowdown: plain.over(r.t),
		})
	}
	return nil
}

// Memory is the most memory that the process had at once during a prefill.
type Memory struct {
	Tokens      int     `json:"tokens"`
	PeakBytes   int64   `json:"peak_bytes"` // resident, the program and pages of mapped files included
	WeightBytes int64   `json:"weight_bytes"`
	KVBytes     int64   `json:"kv_bytes"`
	Over        float64 `json:"over_weights_and_kv"` // peak over the sum of both
}

// memory is measured first, before anything else has taken memory.
func (b *bencher) memory(ctx context.Context) error {
	n := b.longest()
	debug.FreeOSMemory()
	if err := process.ResetPeak(); err != nil {
		slog.Warn("peak memory is not measured", "reason", err)
		return nil
	}
	p, err := b.m.Prefill(ctx, b.tokens(n), model.Needs{})
	if err != nil {
		return err
	}
	peak, err := process.Peak()
	if err != nil {
		return err
	}
	weights := b.report.Model.WeightBytes
	b.report.Memory = &Memory{n, peak, weights, p.KVBytes(), float64(peak) / float64(weights+p.KVBytes())}
	return nil
}
