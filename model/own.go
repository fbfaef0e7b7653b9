package model

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"refreekv/model/tensor"
)

// An Alone is a prompt's cache in the hands of a single variant: keys and values
// of what it keeps, copied together, and nothing else.
type Alone struct {
	p     *Prefix // without its cache
	cache *ownCache
}

// Compact copies what a variant keeps of a prefix into a cache of its own. The
// prefix is not needed any more.
func (m *Model) Compact(p *Prefix, v Variant) (*Alone, error) {
	if err := v.Keep.Check(p.shape, p.Len()); err != nil {
		return nil, err
	}
	bare := &Prefix{shape: p.shape, tokens: p.tokens, logits: p.logits, model: p.model}
	return &Alone{bare, newOwnCache(m, p, v)}, nil
}

// KVBytes is what the keys and values of the cache occupy now.
func (a *Alone) KVBytes() int64 {
	entries := 0
	for _, layer := range a.cache.units {
		for _, u := range layer {
			entries += len(u.at)
		}
	}
	return int64(entries) * int64(a.p.shape.HeadDim) * 2 * 4
}

// DecodeAlone continues a prompt greedily over its compacted cache, which it
// changes: once only. The tokens are those of [Model.DecodeVariants] for the same
// variant; nothing is shared with another.
func (m *Model) DecodeAlone(ctx context.Context, a *Alone, opt DecodeOptions) (Generation, error) {
	if err := m.checkRoom(a.p, opt); err != nil {
		return Generation{}, err
	}
	begin := time.Now()
	opt.Fidelity = nil
	d := &decoder{m: m}
	s := &stream{p: a.p, in: &Continuation{p: a.p, opt: opt}, own: a.cache}
	token, err := choose(a.p.logits, opt.NotFirst)
	if err != nil {
		return Generation{}, err
	}
	for s.accept(token); !s.done; s.accept(token) {
		if err := ctx.Err(); err != nil {
			return Generation{}, fmt.Errorf("decoding: %w", err)
		}
		if err := d.step([]*stream{s}); err != nil {
			return Generation{}, fmt.Errorf("decoding: %w", err)
		}
		if token, err = choose(d.row(0), nil); err != nil {
			return Generation{}, err
		}
	}
	s.generation.Seconds = time.Since(begin).Seconds()
	return s.generation, nil
}

// An ownCache is a cache that holds what one variant keeps, entry after entry. A
// list that is kept for one query head alone holds that head's copy of keys and
// values, as the codes do that choose per query head.
type ownCache struct {
	m     *Model
	shape Shape
	turns []keyTurn // [layers] of a variant with positions of its own, else nil
	evict func(*Step) error
	units [][]unit      // [layers][units]
	rows  [][][]float32 // [layers][heads][positions], where an evictor reads them
	count []int         // [layers] lists of the Keep
}

// A unit is the entries of one list and KV head.
type unit struct {
	list, kv int
	from, to int            // query heads that read it
	at       []int32        // [entries] positions, in any order
	where    []int32        // [positions] entry + 1, 0: not held
	keys     *tensor.Packed // [entries][headDim]
	values   []float32      // [entries][headDim]
	scores   []float32      // [heads][stride] scratch
}

func newOwnCache(m *Model, p *Prefix, v Variant) *ownCache {
	s := p.shape
	c := &ownCache{m: m, shape: s, units: make([][]unit, s.Layers), count: make([]int, s.Layers)}
	if v.Rebase {
		c.turns = m.keyTurns(p.tokens)
	}
	if v.Evict != nil {
		c.evict = v.Evict()
		c.rows = make([][][]float32, s.Layers)
	}
	key := make([]float32, s.HeadDim)
	for l, layer := range v.Keep {
		c.count[l] = len(layer)
		// The query heads of a list and KV head are neighbours.
		for from := 0; from < s.Heads; {
			u := unit{list: layer.listOf(from, s), kv: from / s.Group(), from: from}
			for u.to = from; u.to < s.Heads && layer.listOf(u.to, s) == u.list && u.to/s.Group() == u.kv; u.to++ {
			}
			from = u.to
			u.at = slices.Clone(reachable(layer[u.list], p.reach(v, l)))
			u.where = make([]int32, p.tokens)
			u.keys = tensor.NewPacked(len(u.at), s.HeadDim)
			u.values = make([]float32, 0, len(u.at)*s.HeadDim)
			for i, pos := range u.at {
				u.where[pos] = int32(i) + 1
				p.Key(l, u.kv, int(pos), key)
				if c.turns != nil {
					// Every evicted position behind it brings it nearer.
					c.turns[l].on(key, p.tokens-int(pos)-(len(u.at)-i))
				}
				u.keys.SetRow(i, key)
				at := int(pos) * s.HeadDim
				u.values = append(u.values, p.cache.values[l][u.kv][at:at+s.HeadDim]...)
			}
			c.units[l] = append(c.units[l], u)
		}
		if c.rows != nil {
			c.rows[l] = make([][]float32, s.Heads)
		}
	}
	return c
}

// store appends a token's keys and values, [kvHeads·headDim] each, to every unit
// of a layer.
func (c *ownCache) store(layer, pos int, keys, values []float32) {
	d := c.shape.HeadDim
	for i := range c.units[layer] {
		u := &c.units[layer][i]
		u.at = append(u.at, int32(pos))
		u.where = append(u.where, int32(len(u.at)))
		u.keys.Resize(len(u.at))
		u.keys.SetRow(len(u.at)-1, keys[u.kv*d:(u.kv+1)*d])
		u.values = append(u.values, values[u.kv*d:(u.kv+1)*d]...)
	}
}

// attend computes the newest token's attention into d.attn.
func (c *ownCache) attend(d *decoder, layer int) {
	units := c.units[layer]
	tensor.Parallel(len(units), func(i, _ int) {
		u := &units[i]
		dim, heads, n := c.shape.HeadDim, u.to-u.from, len(u.at)
		stride := u.keys.Panels() * tensor.Panel
		if len(u.scores) < heads*stride {
			u.scores = make([]float32, heads*(stride+8*tensor.Panel))
		}
		u.keys.Mul(u.scores, stride, d.qkv[u.from*dim:], dim, heads, 0, u.keys.Panels(), false)
		hide := c.outside(u, layer)
		sums := make([]float32, heads)
		for h := range heads {
			scores := u.scores[h*stride:][:n]
			tensor.SoftCap(scores, float32(c.m.Config.ScoreCap*math.Log2E))
			for _, entry := range hide {
				scores[entry] = hidden
			}
			sums[h] = tensor.Softmax(scores, nil)
			c.record(u, layer, u.from+h, scores, 1/sums[h])
		}
		out := d.attn[u.from*dim:]
		tensor.MulRows(out, dim, u.scores, stride, heads, u.values, dim, n, dim, false)
		for h := range heads {
			tensor.Scale(out[h*dim:(h+1)*dim], 1/sums[h])
		}
	})
}

// outside lists the entries that a layer's window hides from the newest token.
func (c *ownCache) outside(u *unit, layer int) []int {
	lo, _ := visible(c.m.layers[layer].Window, u.newest())
	var out []int
	for i, pos := range u.at {
		if int(pos) < lo {
			out = append(out, i)
		}
	}
	return out
}

func (c *ownCache) record(u *unit, layer, head int, weights []float32, scale float32) {
	if c.rows == nil {
		return
	}
	row := slices.Grow(c.rows[layer][head][:0], len(u.where))[:len(u.where)]
	clear(row)
	for i, pos := range u.at {
		row[pos] = weights[i] * scale
	}
	c.rows[layer][head] = row
}

func (c *ownCache) row(layer, head int) []float32 { return c.rows[layer][head] }
func (c *ownCache) layers() int                   { return len(c.units) }
func (c *ownCache) listsOf(layer int) int         { return c.count[layer] }

func (c *ownCache) held(layer, list int) int {
	for _, u := range c.units[layer] {
		if u.list == list {
			return len(u.at)
		}
	}
	return 0
}

func (c *ownCache) holds(layer, list, pos int) bool {
	for i := range c.units[layer] {
		if u := &c.units[layer][i]; u.list == list {
			return u.where[pos] > 0
		}
	}
	return false
}

// newest is the position of the newest token.
func (u *unit) newest() int { return len(u.where) - 1 }

// drop puts the last entry in the place of the one that leaves. With positions
// inside the cache, what stands before it comes one nearer.
func (c *ownCache) drop(layer, list, pos int) {
	d := c.shape.HeadDim
	key := make([]float32, d)
	for i := range c.units[layer] {
		u := &c.units[layer][i]
		if u.list != list || u.where[pos] == 0 {
			continue
		}
		if c.turns != nil {
			for entry, other := range u.at {
				if int(other) < pos {
					u.keys.Row(entry, key)
					c.turns[layer].on(key, 1)
					u.keys.SetRow(entry, key)
				}
			}
		}
		gap, last := int(u.where[pos]-1), len(u.at)-1
		u.keys.Row(last, key)
		u.keys.SetRow(gap, key)
		copy(u.values[gap*d:(gap+1)*d], u.values[last*d:])
		u.at[gap] = u.at[last]
		u.where[u.at[last]] = int32(gap) + 1
		u.where[pos] = 0
		u.at = u.at[:last]
		u.keys.Resize(last)
		u.values = u.values[:last*d]
	}
}
