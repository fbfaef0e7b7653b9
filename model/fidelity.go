package model

import (
	"context"
	"math"

	"refreekv/model/tensor"
)

// FidelityOptions say how variants are compared with the full cache.
type FidelityOptions struct {
	// MaxTokens bounds how much of the full cache's continuation is compared.
	MaxTokens int
	// Reference are the tokens of a reference answer, whose likelihood is measured
	// under every variant; none: it is not.
	Reference []int32
}

// Fidelity is how near a variant stays to the full cache when it is fed the full
// cache's own continuation (teacher forcing). The first token never differs,
// since pruning happens after prefill, and is not counted.
type Fidelity struct {
	// Tokens is how many predictions were compared: those of the continuation's
	// second token and on, its end included.
	Tokens int
	// KL is the mean over them of the divergence KL(full ‖ variant) of the
	// predictions, in nats; 0 where Tokens is 0.
	KL float64
	// Agreement is the share of them in which both prefer the same token; 1 where
	// Tokens is 0.
	Agreement float64
	// Divergence is the index of the first token in which the greedy texts differ,
	// where it lies among those compared; else -1.
	Divergence int
	// ReferenceTokens is the length of the reference answer, Reference the mean
	// log-likelihood of its tokens, in nats.
	ReferenceTokens int
	Reference       float64
}

// forcedTokens is how many tokens of given texts are fed at once.
const forcedTokens = 96

// likeness gathers a stream's comparison with the full cache.
type likeness struct {
	parted bool // the greedy text differs from the full cache's
	at     int  // the first differing token, then
	kl     float64
	agreed int
	tokens int
	// logLikelihood of the reference's tokens from the second on.
	logLikelihood float64
}

// A distribution is a prediction and what comparing others with it takes.
type distribution struct {
	logits   []float32 // [vocab]
	weights  []float32 // [vocab] proportional to the probabilities
	sum      float64   // of weights
	logTotal float64   // log of the sum of exp(logits)
	best     int32
}

func newDistribution(logits []float32) distribution {
	t := distribution{logits: append([]float32(nil), logits...), best: argmaxWithout(logits, nil)}
	t.weights, t.sum, t.logTotal = exponentials(logits)
	return t
}

// exponentials returns weights proportional to exp(logits), their sum, and the
// logarithm of the sum of the exponentials themselves.
func exponentials(logits []float32) (weights []float32, sum, logTotal float64) {
	weights = append([]float32(nil), logits...)
	tensor.Scale(weights, math.Log2E)
	highest := tensor.Max(weights, nil)
	sum = float64(tensor.Softmax(weights, nil))
	return weights, sum, (float64(highest) + math.Log2(sum)) * math.Ln2
}

// logTotal is the logarithm of the sum of exp(logits): that of exponentials, a
// stretch at a time, so that all passes over it find it in the cache.
func logTotal(logits []float32) float64 {
	const stretch = 1024 // whole vectors of lanes
	var part [stretch]float32
	var lanes [16]float32
	highest := tensor.Max(logits, nil) * math.Log2E
	for at := 0; at < len(logits); at += stretch {
		n := copy(part[:], logits[at:])
		tensor.Scale(part[:n], math.Log2E)
		tensor.Exp2(part[:n], highest, nil, &lanes)
	}
	return (float64(highest) + math.Log2(float64(tensor.SumLanes(&lanes)))) * math.Ln2
}

// divergence is KL(t ‖ other) in nats.
func (t distribution) divergence(other []float32) float64 {
	// Four sums do not wait for each other.
	var sums [4]float64
	weights, logits, whole := t.weights, t.logits[:len(t.weights)], len(t.weights)&^3
	other = other[:len(weights)]
	for i := 0; i < whole; i += 4 {
		w, a, b := weights[i:i+4:i+4], logits[i:i+4:i+4], other[i:i+4:i+4]
		sums[0] += float64(w[0]) * (float64(a[0]) - float64(b[0]))
		sums[1] += float64(w[1]) * (float64(a[1]) - float64(b[1]))
		sums[2] += float64(w[2]) * (float64(a[2]) - float64(b[2]))
		sums[3] += float64(w[3]) * (float64(a[3]) - float64(b[3]))
	}
	for i := whole; i < len(weights); i++ {
		sums[0] += float64(weights[i]) * (float64(logits[i]) - float64(other[i]))
	}
	shift := (sums[0] + sums[1]) + (sums[2] + sums[3])
	// Rounding may make what is 0 a little less.
	return max(shift/t.sum-(t.logTotal-logTotal(other)), 0)
}

// add counts one more prediction of a stream and tells whether it prefers the same
// token as the target.
func (l *likeness) add(target distribution, logits []float32) (agrees bool) {
	l.kl += target.divergence(logits)
	l.tokens++
	if agrees = argmaxWithout(logits, nil) == target.best; agrees {
		l.agreed++
	}
	return agrees
}

// compare compares what the active streams just predicted with the full caches'
// predictions, as far as their texts are the same: they were fed the very tokens
// that teacher forcing would feed.
func (d *decoder) compare(active []*stream) {
	for _, s := range active {
		s.in.comparing = false
	}
	for _, s := range active {
		if c := s.in; s == c.full {
			c.comparing = len(c.target) <= c.opt.Fidelity.MaxTokens
		}
	}
	tensor.Parallel(len(active), func(i, _ int) {
		if c := active[i].in; c.comparing && active[i] == c.full {
			c.target = append(c.target, newDistribution(d.row(i)))
		}
	})
	tensor.Parallel(len(active), func(i, _ int) {
		s := active[i]
		if !s.in.comparing || s == s.in.full || s.likeness.parted {
			return
		}
		at := len(s.in.target) - 1
		if !s.likeness.add(s.in.target[at], d.row(i)) {
			s.likeness.parted, s.likeness.at = true, at
		}
	})
}

// fidelity completes the comparison: streams whose text left the full cache's
// are fed its continuation, and all are fed the reference answer.
func (d *decoder) fidelity(ctx context.Context, done []*Continuation) error {
	var behind, answers []text
	for _, c := range done {
		if c.full == nil {
			continue
		}
		last := len(c.target) - 1 // index of the last prediction that is compared
		reference := c.opt.Fidelity.Reference
		for _, s := range c.streams {
			if s.likeness.parted && s.likeness.at < last {
				behind = append(behind, text{s, c.full.generation.Tokens[:last], s.likeness.at})
			}
			if len(reference) > 1 {
				answers = append(answers, text{s, reference[:len(reference)-1], 0})
			}
		}
	}
	err := d.force(ctx, behind, func(s *stream, at int, logits []float32) {
		s.likeness.add(s.in.target[at], logits)
	})
	if err != nil {
		return err
	}
	err = d.force(ctx, answers, func(s *stream, at int, logits []float32) {
		s.likeness.logLikelihood += float64(logits[s.in.opt.Fidelity.Reference[at]]) - logTotal(logits)
	})
	if err != nil {
		return err
	}
	for _, c := range done {
		if c.full == nil {
			continue
		}
		for _, s := range c.streams {
			s.generation.Fidelity = s.summary()
		}
	}
	return nil
}

func (s *stream) summary() *Fidelity {
	l, c, reference := s.likeness, s.in, s.in.opt.Fidelity.Reference
	f := &Fidelity{Tokens: len(c.target) - 1, Agreement: 1, Divergence: -1, ReferenceTokens: len(reference)}
	if f.Tokens > 0 && s != c.full {
		f.KL, f.Agreement = l.kl/float64(l.tokens), float64(l.agreed)/float64(l.tokens)
	}
	if l.parted {
		f.Divergence = l.at
	}
	if len(reference) > 0 {
		f.Reference = (float64(c.p.logits[reference[0]]) - logTotal(c.p.logits) + l.logLikelihood) / float64(len(reference))
	}
	return f
}

// A text is given tokens that a stream is fed, from an index on; what stands
// before it the stream was fed already.
type text struct {
	s      *stream
	tokens []int32
	from   int
}

// force feeds texts and calls each with the index and the logits of every token
// predicted after from. Streams that evict are fed from their beginning, a token
// at a time; all others many tokens at once.
func (d *decoder) force(ctx context.Context, texts []text, each func(s *stream, at int, logits []float32)) error {
	var queries []query
	var evicting []text
	for _, t := range texts {
		if t.s.variant.Evict != nil {
			evicting = append(evicting, t)
			continue
		}
		for entry := t.from; entry < len(t.tokens); entry++ {
			queries = append(queries, query{t.s, entry, t.tokens[entry]})
		}
	}
	for len(queries) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := queries[:min(len(queries), forcedTokens)]
		queries = queries[len(batch):]
		if err := d.feed(batch); err != nil {
			return err
		}
		d.visit(batch, each)
	}
	return d.forceEvicting(ctx, evicting, each)
}

// visit calls each with what was predicted after the queries fed last. A
// stream's predictions are visited in order by one thread.
func (d *decoder) visit(queries []query, each func(s *stream, at int, logits []float32)) {
	var starts []int
	for i, q := range queries {
		if i == 0 || queries[i-1].s != q.s {
			starts = append(starts, i)
		}
	}
	tensor.Parallel(len(starts), func(task, _ int) {
		for i := starts[task]; i < len(queries) && queries[i].s == queries[starts[task]].s; i++ {
			each(queries[i].s, queries[i].entry+1, d.row(i))
		}
	})
}

func (d *decoder) forceEvicting(ctx context.Context, texts []text, each func(s *stream, at int, logits []float32)) error {
	if len(texts) == 0 {
		return nil
	}
	fresh, longest := make([]*stream, len(texts)), 0
	for i, t := range texts {
		fresh[i] = t.s.in.newStream(t.s.variant)
		longest = max(longest, len(t.tokens))
	}
	for entry := range longest {
		if err := ctx.Err(); err != nil {
			return err
		}
		var queries []query
		var fed []*stream
		var of []text
		for i, t := range texts {
			if entry < len(t.tokens) {
				queries = append(queries, query{fresh[i], entry, t.tokens[entry]})
				fed, of = append(fed, fresh[i]), append(of, t)
			}
		}
		if err := d.feed(queries); err != nil {
			return err
		}
		for i, t := range of {
			if entry >= t.from {
				each(t.s, entry+1, d.row(i))
			}
		}
		if err := d.evict(fed); err != nil {
			return err
		}
	}
	return nil
}
