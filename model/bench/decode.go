package bench

import (
	"context"
	"fmt"
	"math/rand/v2"

	"refreekv/model"
	"refreekv/model/tensor"
)

// Decode is one stream over the full cache of a prompt.
type Decode struct {
	Context         int     `json:"context"`
	TokensPerSecond float64 `json:"tokens_s"`
	// What a token reads: all weights, and the keys and values before it.
	BytesPerToken    int64   `json:"bytes_per_token"`
	From             string  `json:"from"` // where the weights lie: memory or a cache
	GBs              float64 `json:"gb_s"`
	ShareOfBandwidth float64 `json:"share_of_bandwidth"`
}

const (
	shortContext = 128
	longContext  = 2048
	decodeSteps  = 32
	// keptShare of the prompt's entries, chosen at random for every KV head, is what
	// the variants of a lockstep keep.
	keptShare = 0.5
)

// contexts are prompt lengths that leave room for the steps.
func (b *bencher) contexts() ([]int, error) {
	most := b.m.Config.MaxPositions - decodeSteps - 1
	if most < 1 {
		return nil, fmt.Errorf("%s has %d positions; want more than %d", b.m.Name, b.m.Config.MaxPositions, decodeSteps+1)
	}
	short, long := min(shortContext, most), min(longContext, most)
	if short == long {
		return []int{long}, nil
	}
	return []int{short, long}, nil
}

func (b *bencher) decode(ctx context.Context) error {
	contexts, err := b.contexts()
	if err != nil {
		return err
	}
	holder := b.holder()
	read := holder.trial(b.long, tensor.Threads())
	trials := []*trial{read}
	for _, n := range contexts {
		p, err := b.m.Prefill(ctx, b.tokens(n), model.Needs{})
		if err != nil {
			return err
		}
		trials = append(trials, b.stepsTrial(ctx, p, []model.Keep{model.All(p.Shape().Layers, n)}))
	}
	if err := inTurn(ctx, 2*b.rounds.Model-1, trials...); err != nil {
		return err
	}
	for i, n := range contexts {
		t := trials[1+i]
		bytes := b.report.Model.WeightBytes + int64(n+decodeSteps/2)*b.report.Model.KVTokenBytes
		b.report.Decode = append(b.report.Decode, Decode{
			Context: n, TokensPerSecond: t.rate(), BytesPerToken: bytes, From: holder.name,
			GBs: t.rate() * float64(bytes) / 1e9, ShareOfBandwidth: t.over(read) * float64(bytes),
		})
	}
	return nil
}

// stepsTrial decodes some steps of variants of a prompt; its work is tokens.
func (b *bencher) stepsTrial(ctx context.Context, p *model.Prefix, keeps []model.Keep) *trial {
	variants := make([]model.Variant, len(keeps))
	for i := range variants {
		variants[i].Keep = keeps[i]
	}
	var batch *model.Batch
	var failed error
	return &trial{
		prepare: func() {
			batch = b.m.NewBatch()
			if _, failed = batch.Add(p, variants, model.DecodeOptions{MaxNewTokens: decodeSteps + 1}); failed == nil {
				_, failed = batch.Step(ctx) // makes room
			}
		},
		run: func() (float64, error) {
			for range decodeSteps - 1 {
				if failed != nil {
					return 0, failed
				}
				_, failed = batch.Step(ctx)
			}
			return float64(len(keeps) * (decodeSteps - 1)), failed
		},
	}
}

// Lockstep is the decoding of several different variants of one prompt together.
type Lockstep struct {
	Context         int     `json:"context"`
	Kept            float64 `json:"kept"` // share of the prompt that every variant keeps
	Variants        int     `json:"variants"`
	TokensPerSecond float64 `json:"tokens_s"` // of all variants
	Speedup         float64 `json:"speedup"`  // over one variant's, in the same round
}

var lockstepVariants = []int{1, 2, 4, 8, 16}

func (b *bencher) lockstep(ctx context.Context) error {
	contexts, err := b.contexts()
	if err != nil {
		return err
	}
	n := contexts[len(contexts)-1]
	p, err := b.m.Prefill(ctx, b.tokens(n), model.Needs{})
	if err != nil {
		return err
	}
	keeps := randomKeeps(p, lockstepVariants[len(lockstepVariants)-1])
	var trials []*trial
	for _, count := range lockstepVariants {
		trials = append(trials, b.stepsTrial(ctx, p, keeps[:count]))
	}
	if err := inTurn(ctx, 2*b.rounds.Model-1, trials...); err != nil {
		return err
	}
	for i, count := range lockstepVariants {
		b.report.Lockstep = append(b.report.Lockstep, Lockstep{
			Context: n, Kept: keptShare, Variants: count,
			TokensPerSecond: trials[i].rate(), Speedup: trials[i].over(trials[0]),
		})
	}
	return nil
}

// randomKeeps keep another random half of the prompt in every layer and KV head;
// the first and the last entry stay.
func randomKeeps(p *model.Prefix, count int) []model.Keep {
	rng, s := rand.New(rand.NewPCG(2, uint64(count))), p.Shape()
	keeps := make([]model.Keep, count)
	for i := range keeps {
		keeps[i] = make(model.Keep, s.Layers)
		for l := range keeps[i] {
			keeps[i][l] = make(model.LayerKeep, s.KVHeads)
			for h := range keeps[i][l] {
				for pos := range int32(p.Len()) {
					if pos == 0 || int(pos) == p.Len()-1 || rng.Float64() < keptShare {
						keeps[i][l][h] = append(keeps[i][l][h], pos)
					}
				}
			}
		}
	}
	return keeps
}
