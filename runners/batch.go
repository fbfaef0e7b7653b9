package runners

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"refreekv/model"
	"refreekv/pruners"
	"refreekv/runners/rows"
)

// DefaultBatch is how many tokens a decode step feeds, over all records in hand
// and all their variants. Reading the weights takes about as long as computing
// with them for so many: more would gain little.
const DefaultBatch = 48

// A batch is the records in hand: they are prefilled, short ones several at once,
// decode together, and each one's rows are stored when its last variant has ended,
// which makes room for the next. What is in a row does not depend on the other
// records.
type batch struct {
	r       *run
	decode  *model.Batch
	hands   []*hand
	jobs    []job   // not yet taken up
	ready   []*hand // prefilled beside another record, not yet decoding
	waiting []*hand // records whose rows are just being measured, for another record in hand
}

// A hand is a record that is in hand.
type hand struct {
	job
	blank   rows.Row
	all     []pair // of all variants
	pairs   []pair // of those, the ones that are run: their rows are missing
	needs   model.Needs
	bytes   int64      // that it takes beside the weights
	rows    []rows.Row // of the pairs
	decoded []int      // pairs that are decoded

	prefix   *model.Prefix
	variants []model.Variant // of the pairs that are decoded
	options  model.DecodeOptions
	texts    *model.Continuation
}

// runJobs runs jobs in about their order and stores each one's rows. What is
// wrong with the data or the config ends the run; what is wrong with one record is
// written into its rows.
func (r *run) runJobs(ctx context.Context, jobs []job) error {
	defer func() { r.base = nil }()
	b := &batch{r: r, decode: r.model.NewBatch(), jobs: jobs}
	var next *hand
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if next == nil {
			next = b.next()
		}
		switch {
		case next != nil && b.hasRoom(next):
			h := next
			next = nil
			if err := b.take(ctx, h); err != nil {
				return err
			}
		case len(b.hands) > 0:
			if err := b.step(ctx); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// next is the record to be decoded next; nil: none is left, or none that waits for
// no other.
func (b *batch) next() *hand {
	if len(b.ready) > 0 {
		h := b.ready[0]
		b.ready = b.ready[1:]
		return h
	}
	if h := b.through(); h != nil {
		return h
	}
	for len(b.jobs) > 0 {
		h := b.r.hand(b.jobs[0])
		b.jobs = b.jobs[1:]
		if !b.measures(h, nil) {
			return h
		}
		b.waiting = append(b.waiting, h)
	}
	return nil
}

// hand takes a record up: it finds out what is to be run of it.
func (r *run) hand(j job) *hand {
	h := &hand{job: j, blank: r.blank(j), all: r.pairs(j)}
	group := r.byUnit[r.key(j.unit)]
	for i, p := range h.all {
		if _, ok := r.stock.have[p.inputs]; !ok && group[i].Variant == "" {
			h.pairs = append(h.pairs, p)
			h.needs = h.needs.Union(p.Pruner.Needs())
		}
	}
	if len(h.pairs) > 0 {
		newTokens := r.plan.Tasks[j.unit.Task].Definition.MaxNewTokens
		h.bytes = r.model.Config.RecordBytes(len(j.prompt.Tokens), h.needs, len(h.pairs), newTokens)
	}
	return h
}

// measures tells whether a row that h needs is just being measured, for a record in
// hand or one of those that join it.
func (b *batch) measures(h *hand, joining []*hand) bool {
	for _, other := range slices.Concat(b.hands, b.ready, joining) {
		for _, theirs := range other.pairs {
			for _, mine := range h.pairs {
				if mine.inputs == theirs.inputs {
					return true
				}
			}
		}
	}
	return false
}

// hasRoom tells whether a record may join those in hand: a step is not to feed
// more tokens than it gains by, nor is more memory to be held than is allowed.
func (b *batch) hasRoom(h *hand) bool {
	if len(b.hands) == 0 || len(h.pairs) == 0 {
		return true
	}
	// Texts that end with their first token leave room for tokens at once, but what
	// is held for them goes only with the next step.
	if slices.ContainsFunc(b.hands, func(h *hand) bool { return h.texts.Ended() }) {
		return false
	}
	most := b.r.o.Batch
	if most <= 0 {
		most = DefaultBatch
	}
	if b.r.plan.Config.Isolated > 0 || b.decode.Rows()+len(h.pairs) > most {
		return false
	}
	return b.r.o.Memory == 0 || b.r.model.WeightBytes()+b.bytes()+h.bytes <= b.r.o.Memory
}

// makeRoom refuses a record that has no room even with nothing beside it.
func (b *batch) makeRoom(h *hand) error {
	if len(b.hands) > 0 {
		return nil // hasRoom has seen to it
	}
	return b.r.makeRoom(len(h.prompt.Tokens), h.bytes)
}

// bytes is what is held beside the weights.
func (b *batch) bytes() int64 {
	sum, base := int64(0), b.r.base
	for _, h := range slices.Concat(b.hands, b.ready) {
		sum += h.bytes
		if h.prefix == base {
			base = nil
		}
	}
	if base != nil {
		sum += base.KVBytes()
	}
	return sum
}

// take prefills a record and lets its variants join the others.
func (b *batch) take(ctx context.Context, h *hand) error {
	if len(h.pairs) == 0 {
		return b.r.storeRows(ctx, h)
	}
	if b.r.plan.Config.Isolated > 0 {
		h.rows = b.r.isolated(ctx, h.job, h.pairs, h.blank)
		return b.r.storeRows(ctx, h)
	}
	if h.prefix == nil {
		if err := b.makeRoom(h); err != nil {
			return b.fail(ctx, h, err)
		}
		if err := b.prefill(ctx, h); err != nil || h.prefix == nil {
			return err
		}
	}
	if len(h.decoded) == 0 {
		return b.r.storeRows(ctx, h)
	}
	var err error
	if h.texts, err = b.decode.Add(h.prefix, h.variants, h.options); err != nil {
		return b.apart(ctx, h)
	}
	b.hands = append(b.hands, h)
	return nil
}

// prefill prefills a record, and beside it as many of those behind it as are short
// and have room, which are then ready. What fails is stored, without a prefix.
func (b *batch) prefill(ctx context.Context, h *hand) error {
	group := b.gather(h)
	if err := b.r.prefill(ctx, group); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(group) == 1 {
			return b.fail(ctx, h, err)
		}
		// One of them failed: each by itself, so that no row depends on another's error.
		for _, one := range group {
			if err := b.r.prefill(ctx, []*hand{one}); err != nil {
				if err := b.fail(ctx, one, err); err != nil {
					return err
				}
			}
		}
	}
	for _, other := range group[1:] {
		if other.prefix != nil {
			b.ready = append(b.ready, other)
		}
	}
	return nil
}

// gather is a record and the next ones that are worth prefilling beside it: each by
// itself would leave threads waiting for the weights.
func (b *batch) gather(h *hand) []*hand {
	group, tokens, bytes := []*hand{h}, len(h.prompt.Tokens), b.bytes()+h.bytes
	most := b.r.model.Together()
	if b.r.o.Batch == 1 {
		most = 0 // one record at a time
	}
	for len(h.marks) == 0 && len(b.jobs) > 0 {
		j := b.jobs[0]
		if tokens+len(j.prompt.Tokens) > most || len(j.marks) > 0 {
			break
		}
		other := b.r.hand(j)
		if b.measures(other, group) {
			b.waiting, b.jobs = append(b.waiting, other), b.jobs[1:]
			continue
		}
		tokens, bytes = tokens+len(j.prompt.Tokens), bytes+other.bytes
		if len(other.pairs) == 0 || b.r.o.Memory > 0 && b.r.model.WeightBytes()+bytes > b.r.o.Memory {
			break
		}
		group, b.jobs = append(group, other), b.jobs[1:]
	}
	return group
}

// prefill prefills the prompts of some records together, each once, and lets every
// variant select from its own.
func (r *run) prefill(ctx context.Context, group []*hand) error {
	begin := time.Now()
	prefixes, err := r.prefixes(ctx, group)
	if err != nil {
		return err
	}
	for _, p := range prefixes {
		if !allFinite(p.Logits()) {
			return model.ErrNotFinite
		}
	}
	seconds, all := time.Since(begin).Seconds(), 0
	for _, p := range prefixes {
		all += p.Len() - p.Shared()
	}
	r.update.Tokens += all
	for i, h := range group {
		own := prefixes[i].Len() - prefixes[i].Shared()
		if err := r.selectFrom(h, prefixes[i], seconds*float64(own)/float64(all)); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) prefixes(ctx context.Context, group []*hand) ([]*model.Prefix, error) {
	base := r.base
	r.base = nil
	if len(group) > 1 {
		prompts := make([]model.Prompt, len(group))
		for i, h := range group {
			prompts[i] = model.Prompt{Tokens: h.prompt.Tokens, Needs: h.needs}
		}
		return r.model.PrefillTogether(ctx, base, prompts)
	}
	h := group[0]
	prefix, err := r.model.PrefillAfter(ctx, base, h.prompt.Tokens, h.needs, h.marks)
	if err != nil {
		return nil, err
	}
	if len(h.marks) > 0 {
		r.base = prefix
	}
	return []*model.Prefix{prefix}, nil
}

// selectFrom lets every variant of a record select from its prefix, whose prefill
// took so long.
func (r *run) selectFrom(h *hand, prefix *model.Prefix, seconds float64) (err error) {
	task := r.plan.Tasks[h.unit.Task]
	if h.options, err = decodeOptions(r.model, task.Definition); err != nil {
		return err
	}
	if h.options.Fidelity, err = r.fidelity(task.Definition, task.Records[h.unit.Record], h.prompt.Tokens); err != nil {
		return err
	}
	h.rows, h.decoded, h.variants = make([]rows.Row, len(h.pairs)), nil, nil
	for i, p := range h.pairs {
		begin := time.Now()
		variant, err := pruners.Apply(p.Pruner, prefix)
		if err != nil {
			h.rows[i] = p.failed(h.blank, err)
			continue
		}
		h.rows[i] = p.row(h.blank)
		h.rows[i].Timing = rows.Timing{Prefill: seconds, Shared: prefix.Shared(), Select: time.Since(begin).Seconds()}
		fillKept(&h.rows[i], variant, prefix)
		h.decoded, h.variants = append(h.decoded, i), append(h.variants, variant)
	}
	h.prefix = prefix
	return nil
}

// step decodes a token of every variant of every record in hand, and stores the
// rows of the records that are through.
func (b *batch) step(ctx context.Context) error {
	done, err := b.decode.Step(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		// One of them failed: each by itself, so that no row depends on another's error.
		hands := b.hands
		b.hands, b.decode = nil, b.r.model.NewBatch()
		for _, h := range hands {
			if err := b.apart(ctx, h); err != nil {
				return err
			}
		}
		return nil
	}
	for _, texts := range done {
		if err := b.finish(ctx, texts); err != nil {
			return err
		}
	}
	return nil
}

// finish stores the rows of a record whose texts are generated.
func (b *batch) finish(ctx context.Context, texts *model.Continuation) error {
	for i, h := range b.hands {
		if h.texts != texts {
			continue
		}
		b.hands = append(b.hands[:i:i], b.hands[i+1:]...)
		for k, g := range texts.Generations() {
			b.r.fill(h, k, g, nil)
		}
		return b.r.storeRows(ctx, h)
	}
	return nil
}

// apart decodes a record by itself, and where that fails each of its variants.
func (b *batch) apart(ctx context.Context, h *hand) error {
	all, err := b.r.model.DecodeVariants(ctx, h.prefix, h.variants, h.options)
	for k := range h.variants {
		if err == nil {
			b.r.fill(h, k, all[k], nil)
			continue
		}
		one, err := b.r.model.DecodeVariants(ctx, h.prefix, h.variants[k:k+1], h.options)
		if err != nil {
			one = make([]model.Generation, 1)
		}
		b.r.fill(h, k, one[0], err)
	}
	return b.r.storeRows(ctx, h)
}

// fill writes down what the k-th of a record's decoded variants generated.
func (r *run) fill(h *hand, k int, g model.Generation, err error) {
	i, task := h.decoded[k], r.plan.Tasks[h.unit.Task]
	r.update.Tokens += len(g.Tokens)
	if err == nil {
		err = r.fillText(&h.rows[i], g, task, task.Records[h.unit.Record])
	}
	if err != nil {
		h.rows[i] = h.pairs[i].failed(h.blank, err)
	}
}

// fail stores an error in all rows of a record.
func (b *batch) fail(ctx context.Context, h *hand, err error) error {
	h.rows = nil
	for _, p := range h.pairs {
		h.rows = append(h.rows, p.failed(h.blank, err))
	}
	return b.r.storeRows(ctx, h)
}

// through is a record that waits for nothing any more.
func (b *batch) through() *hand {
	for i, h := range b.waiting {
		if !b.measures(h, nil) {
			b.waiting = append(b.waiting[:i:i], b.waiting[i+1:]...)
			return b.r.hand(h.job)
		}
	}
	return nil
}

// storeRows stores a record's rows: those measured, and those measured under another
// context length.
func (r *run) storeRows(ctx context.Context, h *hand) error {
	if ctx.Err() != nil { // what was measured last may be an error that says no more
		return ctx.Err()
	}
	told := ""
	for _, row := range h.rows {
		if row.Error != told && row.Error != "" {
			told = row.Error
			slog.Warn("record failed", "task", row.Task, "record", row.Record, "variant", row.Variant, "error", row.Error)
		}
	}
	group, measured := r.byUnit[r.key(h.unit)], h.rows
	var fresh []rows.Row
	for i, p := range h.all {
		if group[i].Variant != "" {
			continue
		}
		var row rows.Row
		if len(measured) > 0 && measured[0].Variant == p.Label {
			row, measured = measured[0], measured[1:]
		} else {
			row = p.taken(h.blank, r.stock.have[p.inputs])
		}
		if row.Inputs != "" {
			r.stock.have[row.Inputs] = row
		}
		group[i], fresh = row, append(fresh, row)
	}
	if err := r.store.Append(fresh); err != nil {
		return err
	}
	r.update.Done++
	r.update.Task = h.blank.Task
	r.tell()
	return nil
}
