package model

import "slices"

// A mark is what was recorded when the first tokens of a prompt had passed, so
// that a prompt which goes on differently can take over from there.
type mark struct {
	at     int           // tokens
	layers []prefixLayer // sums and moments of those tokens
}

// usable returns the marks, ascending, that a later prompt can take over from
// without a difference in any bit: whole segments of the attention, and not
// among the last rows, which are recorded for this prompt only.
func (p *Prefix) usable(marks []int) []int {
	segment := segmentTokens(p.shape)
	var out []int
	for _, at := range marks {
		if at = at / segment * segment; at > 0 && at < p.tokens {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Shared is how many of the prompt's tokens were taken over from another prefix.
func (p *Prefix) Shared() int { return p.shared }

// mark notes what is recorded of the first tokens.
func (p *Prefix) mark(at int) {
	m := mark{at: at, layers: make([]prefixLayer, len(p.layers))}
	for l := range p.layers {
		m.layers[l] = p.layers[l].recorded()
	}
	p.marks = append(p.marks, m)
}

// recorded is a copy of sums and moments.
func (l *prefixLayer) recorded() prefixLayer {
	out := prefixLayer{hidden: l.hidden.clone()}
	for _, sums := range l.sums {
		out.sums = append(out.sums, slices.Clone(sums))
	}
	for i := range l.moments {
		out.moments = append(out.moments, l.moments[i].clone())
	}
	return out
}

func (m moments) clone() moments {
	return moments{m.count, slices.Clone(m.mean), slices.Clone(m.spread)}
}

// takeOver copies what the prompt shares with base, up to a mark of base.
func (p *Prefix) takeOver(base *Prefix) {
	if base == nil || base.model != p.model || !base.needs.covers(p.needs) || p.model.ropesGrow() {
		return
	}
	// A query whose row is asked for must be run, the last one for its logits.
	most := min(Common(base.prompt, p.prompt), p.tokens-max(p.needs.LastRows, 1))
	for _, m := range base.marks {
		if m.at <= most {
			p.shared = m.at
			p.marks = append(p.marks, m)
		}
	}
	if p.shared == 0 {
		return
	}
	from := p.marks[len(p.marks)-1]
	for l := range p.layers {
		layer := &p.layers[l]
		recorded := from.layers[l].recorded()
		if p.needs.QueryMoments {
			layer.moments = recorded.moments
		}
		if p.needs.HiddenMoments {
			layer.hidden = recorded.hidden
		}
		for h := range layer.sums {
			copy(layer.sums[h], recorded.sums[h][:p.shared])
		}
		copy(layer.queries, base.layers[l].queries[:min(len(layer.queries), p.shared*p.shape.Heads*p.shape.HeadDim)])
		for kv := range p.cache.keys[l] {
			p.cache.keys[l][kv].CopyRows(base.cache.keys[l][kv], p.shared)
			copy(p.cache.values[l][kv], base.cache.values[l][kv][:p.shared*p.shape.HeadDim])
		}
	}
}

// covers tells whether what was recorded for a holds what b asks for, rows
// aside.
func (a Needs) covers(b Needs) bool {
	return (a.ColumnSums || !b.ColumnSums) && (a.Queries || !b.Queries) &&
		(a.QueryMoments || !b.QueryMoments) && (a.HiddenMoments || !b.HiddenMoments)
}

// ropesGrow tells whether keys depend on the length of the whole prompt.
func (m *Model) ropesGrow() bool {
	return slices.ContainsFunc(m.ropes, func(t ropeTable) bool { return t.rope.grows() })
}

// Common is the number of elements, tokens or bytes, with which both a and b
// begin.
func Common[E comparable](a, b []E) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
