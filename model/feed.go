package model

import (
	"math"

	"refreekv/model/tensor"
)

// A query is one token that is fed to a stream.
type query struct {
	s     *stream
	entry int // its place among the stream's tokens; the first new one is 0
	token int32
}

// step feeds every active stream its newest token, lets those that evict drop
// entries, and leaves the logits in d.logits: [active][vocab].
func (d *decoder) step(active []*stream) error {
	queries := make([]query, len(active))
	for i, s := range active {
		at := len(s.generation.Tokens) - 1
		queries[i] = query{s, at, s.generation.Tokens[at]}
	}
	if err := d.feed(queries); err != nil {
		return err
	}
	return d.evict(active)
}

// feed runs tokens through all layers and leaves the logits after each in
// d.logits: [queries][vocab]. Several tokens of one stream stand in their order.
func (d *decoder) feed(queries []query) error {
	c, rows, longest := d.m.Config, len(queries), 0
	for _, q := range queries {
		if q.s.own == nil {
			longest = max(longest, q.s.p.Len()+q.s.in.room)
		}
	}
	d.makeRoom(rows, longest)
	for i, q := range queries {
		if err := d.m.embedToken(d.x[i*c.Hidden:(i+1)*c.Hidden], q.token); err != nil {
			return err
		}
		q.s.tailLen = q.entry + 1
		if q.s.own == nil {
			q.s.growTail()
			q.s.cache.turn()
		}
	}
	groups := d.groups(queries)
	turns := make([][]turn, len(d.m.ropes))
	for i := range turns {
		turns[i] = d.turns(&d.m.ropes[i], queries)
	}
	for l := range d.m.layers {
		layer := &d.m.layers[l]
		if l == 0 {
			eachRowRange(rows, func(from, to int) { d.normRows(from, to, layer.attnNorm) })
		}
		mulPanels(layer.qkv, d.qkv, layer.qkv.Input(&d.in, d.norm, c.Hidden, rows))
		eachRowRange(rows, func(from, to int) {
			for i := from; i < to; i++ {
				var at turn
				if layer.Rope >= 0 {
					at = turns[layer.Rope][i]
				}
				d.storeQuery(l, i, queries[i], at)
			}
		})
		if queries[0].s.own != nil {
			queries[0].s.own.attend(d, l)
		} else {
			d.attend(l, queries, groups)
		}
		mulPanels(layer.out, d.norm, layer.out.Input(&d.in, d.attn, layer.out.K, rows))
		eachRowRange(rows, func(from, to int) {
			d.m.addToResidual(d.x[from*c.Hidden:to*c.Hidden], d.norm[from*c.Hidden:], layer.outBias, layer.attnPost)
			d.normRows(from, to, layer.ffnNorm)
		})
		in := layer.gateUp.Input(&d.in, d.norm, c.Hidden, rows)
		eachPanelRange(layer.gateUp.Panels()/2, func(from, to int) {
			for pair := from; pair < to; pair++ {
				// A pair of panels has a part of wide for itself.
				wide := d.wide[pair*rows*2*tensor.Panel:]
				layer.gateUp.MulPanels(wide, 2*tensor.Panel, in, 2*pair, 2*pair+2)
				c.gate(d.ffn[pair*tensor.Panel:], layer.gateUp.N/2, wide, rows)
			}
		})
		mulPanels(layer.down, d.norm, layer.down.Input(&d.in, d.ffn, layer.gateUp.N/2, rows))
		next := d.m.norm
		if l+1 < len(d.m.layers) {
			next = d.m.layers[l+1].attnNorm
		}
		eachRowRange(rows, func(from, to int) {
			d.m.addToResidual(d.x[from*c.Hidden:to*c.Hidden], d.norm[from*c.Hidden:], nil, layer.ffnPost)
			d.normRows(from, to, next)
		})
	}
	mulPanels(d.m.head, d.logits, d.m.head.Input(&d.in, d.norm, c.Hidden, rows))
	tensor.SoftCap(d.logits[:rows*c.Vocab], float32(c.LogitCap))
	return nil
}

// turn is the rotation of one position.
type turn struct{ cos, sin []float32 }

// turns are the rotations of the queries' positions.
func (d *decoder) turns(table *ropeTable, queries []query) []turn {
	known, out := map[int]turn{}, make([]turn, len(queries))
	for i, q := range queries {
		pos := q.s.p.Len() + q.entry
		t, ok := known[pos]
		if !ok {
			t.cos, t.sin = table.next(pos + 1)
			known[pos] = t
		}
		out[i] = t
	}
	return out
}

// storeQuery rotates the i-th query and stores its key and value.
func (d *decoder) storeQuery(l, i int, q query, at turn) {
	width := d.m.layers[l].qkv.N
	qkv := d.qkv[i*width : (i+1)*width]
	d.m.biasAndNorm(l, qkv)
	keys, values := d.m.rotate(qkv, at.cos, at.sin)
	if q.s.own != nil {
		q.s.own.store(l, q.s.p.Len()+q.entry, keys, values)
	} else {
		q.s.tail.store(l, q.entry, keys, values)
	}
}

// eachRowRange runs f on ranges of rows, side by side where there are enough to
// make up for it.
func eachRowRange(rows int, f func(from, to int)) {
	const few = 16
	tasks := min(rows/few, 2*tensor.Threads())
	if tasks < 2 {
		f(0, rows)
		return
	}
	tensor.Parallel(tasks, func(task, _ int) { f(task*rows/tasks, (task+1)*rows/tasks) })
}

func (d *decoder) normRows(from, to int, weight []float32) {
	h := d.m.Config.Hidden
	for i := from; i < to; i++ {
		tensor.RMSNorm(d.norm[i*h:(i+1)*h], d.x[i*h:(i+1)*h], weight, d.m.Config.RMSEps)
	}
}

// attend computes every query's attention over its stream's kept entries and
// tail, up to itself, into d.attn: [queries][heads·headDim].
func (d *decoder) attend(l int, queries []query, groups []int) {
	kvHeads, last := d.m.Config.KVHeads, len(groups)-2
	tensor.Parallel((last+1)*kvHeads, func(task, worker int) {
		// Of a prefix, denser streams stand last and take longest: they start first.
		group, kv := last-task/kvHeads, task%kvHeads
		from, to := groups[group], groups[group+1]
		d.attendTask(l, kv, from, queries[from:to], worker)
	})
}

// groups are the queries that share a task: neighbours that continue one prefix.
// Group i is [groups[i], groups[i+1]).
func (d *decoder) groups(queries []query) []int {
	per, begins := d.perTask(), []int{0}
	for i := 1; i < len(queries); i++ {
		if begin := begins[len(begins)-1]; i-begin == per || queries[i].s.p != queries[begin].s.p {
			begins = append(begins, i)
		}
	}
	return append(begins, len(queries))
}

func (d *decoder) attendTask(l, kv, at int, queries []query, worker int) {
	p, s := queries[0].s.p, &d.workers[worker]
	shape, n := p.shape, p.Len()
	g, dim, width := shape.Group(), shape.HeadDim, d.m.layers[l].qkv.N
	wanted := d.wanted[worker]
	clear(wanted)
	earliest := queries[0].entry
	for i, q := range queries {
		copy(s.q[i*g*dim:(i+1)*g*dim], d.qkv[(at+i)*width+kv*g*dim:])
		for w, bits := range q.s.panels[l][kv] {
			wanted[w] |= bits
		}
		earliest = min(earliest, q.entry)
	}
	// A window hides what stands before lo; score rows begin at base, the start of
	// a panel, so that lanes of sums belong to positions.
	window := d.m.layers[l].Window
	_, base := visible(window, n+earliest)
	rows := len(queries) * g
	keys, values := p.cache.keys[l][kv], p.cache.values[l][kv]
	eachRun(wanted, keys.Panels(), func(from, to int) {
		if from = max(from, base/tensor.Panel); from >= to {
			return
		}
		keys.Mul(s.scores, d.stride, s.q, dim, rows, from, to, false)
	})
	for i, q := range queries {
		tail, end := q.s.tail.keys[l][kv], n+q.entry+1
		lo, _ := visible(window, end-1)
		tail.Mul(s.scores[i*g*d.stride+n:], d.stride, s.q[i*g*dim:], dim, g, 0, q.entry/tensor.Panel+1, false)
		for h := range g {
			row := i*g + h
			scores := s.scores[row*d.stride:][:end]
			q.s.cache.rescore(l, kv*g+h, s.q[row*dim:(row+1)*dim], scores)
			tensor.SoftCap(scores[lo:], float32(d.m.Config.ScoreCap*math.Log2E))
			s.sums[row] = softmaxFrom(scores, q.s.kept[l][kv*g+h], lo, base)
			q.s.cache.record(l, kv*g+h, scores, lo, 1/s.sums[row])
		}
	}
	first := true
	eachRun(wanted, keys.Panels(), func(from, to int) {
		last := min(to*tensor.Panel, n)
		for k := max(from*tensor.Panel, base); k < last; k += keyTile {
			tensor.MulRows(s.out, dim, s.scores[k:], d.stride, rows, values[k*dim:], dim, min(keyTile, last-k), dim, !first)
			first = false
		}
	})
	for i, q := range queries {
		end := n + q.entry + 1
		lo, _ := visible(window, end-1)
		begin := max(lo, n)
		tensor.MulRows(s.out[i*g*dim:], dim, s.scores[i*g*d.stride+begin:], d.stride, g, q.s.tail.values[l][kv][(begin-n)*dim:], dim, end-begin, dim, !first)
		for h := range g {
			o := s.out[(i*g+h)*dim : (i*g+h+1)*dim]
			tensor.Scale(o, 1/s.sums[i*g+h])
			copy(d.attn[(at+i)*shape.Heads*dim+(kv*g+h)*dim:], o)
		}
	}
}
