package model

import (
	"context"
	"fmt"

	"refreekv/model/tensor"
)

// A Prompt is what [Model.PrefillTogether] takes: tokens and what is to be recorded
// of them.
type Prompt struct {
	Tokens []int32
	Needs  Needs
}

// Together is how many tokens of short prompts are worth prefilling together: enough
// for every thread to be busy while the weights pass by.
func (m *Model) Together() int {
	if m.ropesGrow() {
		return 0 // keys depend on the length of their own prompt
	}
	return rowsPerThread * tensor.Threads()
}

// PrefillTogether runs several short prompts through the model at once, so that the
// weights are read once for all of them. Every prefix is that of [Model.PrefillAfter]
// with this base, which may be nil, in every bit. A prompt that cannot be run fails
// them all.
func (m *Model) PrefillTogether(ctx context.Context, base *Prefix, prompts []Prompt) ([]*Prefix, error) {
	if len(prompts) < 2 || m.ropesGrow() {
		return m.oneByOne(ctx, base, prompts)
	}
	out, spans, rows := make([]*Prefix, len(prompts)), make([]span, len(prompts)), 0
	for i, prompt := range prompts {
		p, err := m.begin(base, prompt.Tokens, prompt.Needs)
		if err != nil {
			return nil, err
		}
		out[i], spans[i] = p, span{p: p, start: p.shared, row: rows, n: p.Len() - p.shared}
		rows += spans[i].n
	}
	run := newPass(m, out, rows)
	if err := run.chunk(ctx, spans); err != nil {
		return nil, fmt.Errorf("prefill of %d prompts: %w", len(prompts), err)
	}
	run.predict()
	return out, nil
}

func (m *Model) oneByOne(ctx context.Context, base *Prefix, prompts []Prompt) ([]*Prefix, error) {
	out := make([]*Prefix, len(prompts))
	for i, prompt := range prompts {
		var err error
		if out[i], err = m.PrefillAfter(ctx, base, prompt.Tokens, prompt.Needs, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}
