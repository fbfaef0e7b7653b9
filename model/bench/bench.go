// Package bench measures what a machine can do at most, fused multiply-adds and
// reads, and what share of it the engine reaches: in its matrix products, its
// attention, prefill and decoding.
//
// What is compared is measured in turn, round by round, and a figure is the
// median of the rounds' ratios: another program that slows the machine for a
// while slows both sides.
package bench

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"

	"refreekv/model"
	"refreekv/model/tensor"
)

// Sections are the parts of a report, in the order in which they are measured.
var Sections = []string{"memory", "peak", "products", "attention", "prefill", "recording", "decode", "lockstep"}

// Options say what is measured.
type Options struct {
	Lengths []int    // prompt lengths in tokens; nil: 512, 2,048 and 8,192
	Only    []string // of Sections; nil: all
	Quick   bool     // shorter prompts and fewer rounds
}

// A Report is what was measured. Sections that were not asked for are empty.
type Report struct {
	Version   string      `json:"version"` // of the program
	Machine   Machine     `json:"machine"`
	Model     Model       `json:"model"`
	Rounds    Rounds      `json:"rounds"`
	Memory    *Memory     `json:"memory,omitempty"`
	Peak      []Peak      `json:"peak,omitempty"`
	Bandwidth []Bandwidth `json:"bandwidth,omitempty"`
	Products  []Product   `json:"products,omitempty"`
	Attention []Attention `json:"attention,omitempty"`
	Prefill   []Prefill   `json:"prefill,omitempty"`
	Recording []Recording `json:"recording,omitempty"`
	Decode    []Decode    `json:"decode,omitempty"`
	Lockstep  []Lockstep  `json:"lockstep,omitempty"`
}

// Rounds are how often everything was measured.
type Rounds struct {
	Kernels int `json:"kernels"` // peaks, products and attention
	Model   int `json:"model"`   // prefill and decoding
}

// Model says what was run.
type Model struct {
	Name         string `json:"name"`
	DType        string `json:"dtype"`          // format of the weights
	WeightBytes  int64  `json:"weight_bytes"`   // of the matrices that the kernels read
	KVTokenBytes int64  `json:"kv_token_bytes"` // keys and values of one token
}

// Default prompt lengths.
var (
	defaultLengths = []int{512, 2048, 8192}
	quickLengths   = []int{512, 2048}
)

// A bencher measures one model.
type bencher struct {
	m       *model.Model
	lengths []int // ascending, those that the model has positions for
	rounds  Rounds
	long    float64 // seconds that a short trial is repeated for
	report  *Report
}

// Run measures what the options ask for.
func Run(ctx context.Context, m *model.Model, opt Options) (*Report, error) {
	b, err := newBencher(m, opt)
	if err != nil {
		return nil, err
	}
	measures := map[string]func(context.Context) error{
		"memory": b.memory, "peak": b.peak, "products": b.products, "attention": b.attention,
		"prefill": b.prefill, "recording": b.recording, "decode": b.decode, "lockstep": b.lockstep,
	}
	for _, section := range Sections {
		if len(opt.Only) > 0 && !slices.Contains(opt.Only, section) {
			continue
		}
		slog.Info("measuring", "section", section)
		// What the section before left behind must not be collected during this one.
		runtime.GC()
		if err := measures[section](ctx); err != nil {
			return nil, fmt.Errorf("measuring %s: %w", section, err)
		}
	}
	return b.report, nil
}

func newBencher(m *model.Model, opt Options) (*bencher, error) {
	b := &bencher{m: m, rounds: Rounds{Kernels: 7, Model: 3}, long: 0.02}
	lengths := defaultLengths
	if opt.Quick {
		lengths, b.rounds, b.long = quickLengths, Rounds{Kernels: 3, Model: 2}, 0.01
	}
	most := m.Config.MaxPositions
	if len(opt.Lengths) > 0 {
		lengths = opt.Lengths
		for _, n := range lengths {
			if n < 1 || n > most {
				return nil, fmt.Errorf("a prompt of %d tokens: %s has positions for 1 to %d", n, m.Name, most)
			}
		}
	}
	for _, n := range lengths {
		if n <= most {
			b.lengths = append(b.lengths, n)
		}
	}
	if len(b.lengths) == 0 {
		b.lengths = []int{most}
	}
	slices.Sort(b.lengths)
	b.lengths = slices.Compact(b.lengths)
	b.report = &Report{
		Machine: thisMachine(),
		Model:   Model{Name: m.Name, DType: string(m.DType), WeightBytes: m.WeightBytes(), KVTokenBytes: m.Config.KVBytesPerToken()},
		Rounds:  b.rounds,
	}
	return b, nil
}

// longest is the longest prompt.
func (b *bencher) longest() int { return b.lengths[len(b.lengths)-1] }

// tokens are a prompt of random tokens: rates do not depend on which.
func (b *bencher) tokens(n int) []int32 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(rng.IntN(b.m.Config.Vocab))
	}
	return tokens
}

// threads are the thread counts that limits are measured for: one and all.
func threads() []int {
	if all := tensor.Threads(); all > 1 {
		return []int{1, all}
	}
	return []int{1}
}
