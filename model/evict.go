package model

import (
	"slices"

	"refreekv/model/tensor"
)

// A Step is a token that was fed while decoding, as an evictor sees it: its
// attention over the cache, from which entries may now be dropped.
type Step struct {
	cache evictable
	n     int // positions so far
}

// An evictable cache is one that a step can drop entries from.
type evictable interface {
	row(layer, head int) []float32
	layers() int
	listsOf(layer int) int
	held(layer, list int) int
	holds(layer, list, pos int) bool
	drop(layer, list, pos int)
}

// Len is the number of positions so far, evicted ones included; the newest token
// stands at Len()-1.
func (s *Step) Len() int { return s.n }

// Attention is the attention row of the newest token in a layer and query head:
// [Len()] softmax weights, zero at evicted entries. It holds until the next
// step.
func (s *Step) Attention(layer, head int) []float32 { return s.cache.row(layer, head)[:s.n] }

// Layers is the number of layers.
func (s *Step) Layers() int { return s.cache.layers() }

// Lists is how many lists of entries a layer has: that of the Keep it began
// with.
func (s *Step) Lists(layer int) int { return s.cache.listsOf(layer) }

// Held is the number of entries that a list holds.
func (s *Step) Held(layer, list int) int { return s.cache.held(layer, list) }

// Holds tells whether a list holds a position.
func (s *Step) Holds(layer, list, pos int) bool { return s.cache.holds(layer, list, pos) }

// Drop evicts a position from a list for good. A position that is not held is
// left alone.
func (s *Step) Drop(layer, list, pos int) { s.cache.drop(layer, list, pos) }

func (c *livingCache) row(layer, head int) []float32 { return c.rows[layer][head] }
func (c *livingCache) layers() int                   { return len(c.lists) }
func (c *livingCache) listsOf(layer int) int         { return len(c.lists[layer]) }

// held: every token that is fed enters every list.
func (c *livingCache) held(layer, list int) int { return c.lists[layer][list].held + c.s.tailLen }

func (c *livingCache) holds(layer, list, pos int) bool { return c.lists[layer][list].mask.has(pos) }

func (c *livingCache) drop(layer, list, pos int) {
	entry := &c.lists[layer][list]
	if !entry.mask.has(pos) {
		return
	}
	entry.mask[pos/16] &^= 1 << (pos % 16)
	entry.held--
	entry.moved = true
	if pos < c.p.tokens {
		c.dropPanel(layer, pos/tensor.Panel)
	}
}

// dropPanel takes a panel of prefix keys of which no head holds anything off
// the list of those that are read.
func (c *livingCache) dropPanel(layer, panel int) {
	group := c.p.shape.Group()
	for kv, words := range c.s.panels[layer] {
		read := false
		for _, mask := range c.s.kept[layer][kv*group : (kv+1)*group] {
			for pos := panel * tensor.Panel; pos < min((panel+1)*tensor.Panel, c.p.tokens); pos++ {
				read = read || mask.has(pos)
			}
		}
		if !read {
			words[panel/64] &^= 1 << (panel % 64)
		}
	}
}

// A livingCache is what a variant has beyond its masks if entries leave while it
// decodes or positions are counted inside the cache. A nil one does nothing.
type livingCache struct {
	p      *Prefix
	s      *stream
	evict  func(*Step) error
	turns  []keyTurn     // [layers] of a variant with positions of its own, else nil
	lists  [][]liveList  // [layers][lists of the Keep]
	listOf [][]int       // [layers][heads]
	rows   [][][]float32 // [layers][heads][tokens + new tokens], where an evictor reads them
}

// liveList is one list of held entries.
type liveList struct {
	mask  headMask
	held  int  // entries, less one for every token fed since the start
	moved bool // an entry was dropped since keys were last turned
	// Entries that stand elsewhere than where their keys were rotated for, and
	// those keys turned to where they stand, per KV head that reads the list.
	at     []int32
	turned map[int]*tensor.Packed
}

func newLivingCache(v Variant, s *stream, p *Prefix, room int) *livingCache {
	c := &livingCache{
		p: p, s: s,
		lists: make([][]liveList, len(v.Keep)), listOf: make([][]int, len(v.Keep)),
	}
	if v.Rebase {
		c.turns = p.model.keyTurns(p.tokens)
	}
	for l, layer := range v.Keep {
		c.lists[l] = make([]liveList, len(layer))
		c.listOf[l] = make([]int, p.shape.Heads)
		for h := range c.listOf[l] {
			i := layer.listOf(h, p.shape)
			c.listOf[l][h] = i
			c.lists[l][i] = liveList{mask: s.kept[l][h], held: len(layer[i]), moved: true}
		}
	}
	if v.Evict == nil {
		return c
	}
	c.evict = v.Evict()
	c.rows = make([][][]float32, len(v.Keep))
	for l := range c.rows {
		c.rows[l] = make([][]float32, p.shape.Heads)
		for h := range c.rows[l] {
			c.rows[l][h] = make([]float32, p.tokens+room)
		}
	}
	return c
}

// record keeps a head's attention row, of which a window hides what stands
// before lo.
func (c *livingCache) record(layer, head int, weights []float32, lo int, scale float32) {
	if c == nil || c.rows == nil {
		return
	}
	row := c.rows[layer][head][:len(weights)]
	clear(row[:lo])
	copy(row[lo:], weights[lo:])
	tensor.Scale(row[lo:], scale)
}

// rescore replaces the scores of entries that stand elsewhere than where their
// keys were rotated for.
func (c *livingCache) rescore(layer, head int, query, scores []float32) {
	if c == nil || c.turns == nil {
		return
	}
	list := &c.lists[layer][c.listOf[layer][head]]
	if len(list.at) == 0 {
		return
	}
	keys := list.turned[head/c.p.shape.Group()]
	fresh := make([]float32, len(list.at))
	keys.Mul(fresh, len(fresh), query, len(query), 1, 0, keys.Panels(), false)
	for i, pos := range list.at {
		scores[pos] = fresh[i]
	}
}

// turn brings the keys of a variant with positions of its own up to date after
// entries were dropped.
func (c *livingCache) turn() {
	if c == nil || c.turns == nil {
		return
	}
	for l := range c.lists {
		if c.turns[l].frequencies == nil {
			continue // without rotary embedding keys know no position
		}
		for i := range c.lists[l] {
			if list := &c.lists[l][i]; list.moved {
				c.turnList(list, l, i)
				list.moved = false
			}
		}
	}
}

func (c *livingCache) turnList(list *liveList, layer, index int) {
	shifts := list.shifts(c.p.tokens + c.s.tailLen)
	list.turned = map[int]*tensor.Packed{}
	list.at = list.at[:0]
	for _, shift := range shifts {
		list.at = append(list.at, shift.pos)
	}
	key := make([]float32, c.p.shape.HeadDim)
	for kv := range c.p.shape.KVHeads {
		group := c.p.shape.Group()
		if !slices.Contains(c.listOf[layer][kv*group:(kv+1)*group], index) {
			continue
		}
		keys := tensor.NewPacked(len(shifts), c.p.shape.HeadDim)
		for i, shift := range shifts {
			if pos := int(shift.pos); pos < c.p.tokens {
				c.p.cache.keys[layer][kv].Row(pos, key)
			} else {
				c.s.tail.keys[layer][kv].Row(pos-c.p.tokens, key)
			}
			c.turns[layer].on(key, shift.by)
			keys.SetRow(i, key)
		}
		list.turned[kv] = keys
	}
}

// A keyTurn turns stored keys of a layer on, to stand at later positions.
type keyTurn struct {
	rope        Rope
	frequencies []float32 // [dim/2]; nil in a layer without rotary embedding
	cos, sin    []float32 // of the latest turn, by so many positions
	by          int
}

// keyTurns are the layers' turns after a prompt of n tokens.
func (m *Model) keyTurns(n int) []keyTurn {
	out := make([]keyTurn, len(m.layers))
	for l := range out {
		if index := m.layers[l].Rope; index >= 0 {
			out[l].rope = m.ropes[index].rope
			out[l].rope.Scale = 1 // the stored keys are scaled already
			out[l].frequencies = out[l].rope.frequencies(n)
		}
	}
	return out
}

// on turns a key on by some positions.
func (t *keyTurn) on(key []float32, by int) {
	if t.frequencies == nil || by == 0 {
		return
	}
	if by != t.by {
		t.cos, t.sin = t.rope.angles(t.cos[:0], t.sin[:0], t.frequencies, by)
		t.by = by
	}
	rotate(key, t.cos, t.sin)
}

// shift is an entry that stands further on than its position says.
type shift struct {
	pos int32
	by  int
}

// shifts lists the held entries before the last evicted of n positions, each
// with the number of evicted positions behind it.
func (l *liveList) shifts(n int) []shift {
	if l.mask == nil {
		return nil
	}
	var out []shift
	gone := 0
	for pos := n - 1; pos >= 0; pos-- {
		switch {
		case !l.mask.has(pos):
			gone++
		case gone > 0:
			out = append(out, shift{int32(pos), gone})
		}
	}
	return out
}

// has tells whether a position is attended to.
func (m headMask) has(pos int) bool { return m == nil || m[pos/16]>>(pos%16)&1 == 1 }

// evict lets the active variants that evict drop entries.
func (d *decoder) evict(active []*stream) error {
	errs := make([]error, len(active))
	tensor.Parallel(len(active), func(i, _ int) {
		s := active[i]
		step := Step{n: s.p.Len() + s.tailLen}
		switch {
		case s.own != nil && s.own.evict != nil:
			step.cache = s.own
			errs[i] = s.own.evict(&step)
		case s.cache != nil && s.cache.evict != nil:
			step.cache = s.cache
			errs[i] = s.cache.evict(&step)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
