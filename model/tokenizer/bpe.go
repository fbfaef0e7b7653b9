package tokenizer

import (
	"fmt"
	"sync"
	"unicode/utf8"
)

// Words up to this many bytes are remembered with their ids; longer ones are
// rare and would only fill the memory.
const (
	maxCachedWord  = 64
	maxCachedWords = 1 << 16
)

// bpe is the byte-pair encoding model: a vocabulary and an ordered list of
// merges.
type bpe struct {
	vocab        map[string]int32
	merges       map[uint64]merge
	unk          int32 // stands for a character that the vocabulary lacks; -1: it is dropped
	fuseUnk      bool  // neighbouring unknown characters become one unk
	byteFallback bool  // an unknown character becomes the tokens <0x00>…<0xFF> of its bytes
	ignoreMerges bool  // a word that is in the vocabulary is not built from its parts

	lock  sync.RWMutex
	cache map[string][]int32
}

// merge says what a pair of neighbouring tokens becomes; the lowest rank goes
// first.
type merge struct{ rank, id int32 }

func pair(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// addMerge makes a and b, when neighbours, one token. A later entry for the same
// pair wins.
func (m *bpe) addMerge(rank int, a, b string) error {
	left, ok := m.vocab[a]
	if !ok {
		return fmt.Errorf("merge %d: the vocabulary lacks %q", rank, a)
	}
	right, ok := m.vocab[b]
	if !ok {
		return fmt.Errorf("merge %d: the vocabulary lacks %q", rank, b)
	}
	id, ok := m.vocab[a+b]
	if !ok {
		return fmt.Errorf("merge %d: the vocabulary lacks %q", rank, a+b)
	}
	m.merges[pair(left, right)] = merge{int32(rank), id}
	return nil
}

// encode appends the ids of one pre-token.
func (m *bpe) encode(out []int32, word string) []int32 {
	if word == "" {
		return out
	}
	if m.ignoreMerges {
		if id, ok := m.vocab[word]; ok {
			return append(out, id)
		}
	}
	if len(word) > maxCachedWord {
		return m.mergeAll(out, m.symbols(word))
	}
	m.lock.RLock()
	ids, ok := m.cache[word]
	m.lock.RUnlock()
	if ok {
		return append(out, ids...)
	}
	ids = m.mergeAll(nil, m.symbols(word))
	m.lock.Lock()
	if m.cache == nil || len(m.cache) >= maxCachedWords {
		m.cache = make(map[string][]int32)
	}
	// A word cut from a text would keep the whole text in memory.
	m.cache[string([]byte(word))] = ids
	m.lock.Unlock()
	return append(out, ids...)
}

// A symbol is a token of a word under construction, in a doubly linked list.
type symbol struct {
	id         int32 // -1: merged into its left neighbour
	prev, next int32 // -1: none
}

// symbols returns the tokens of the word's single characters.
func (m *bpe) symbols(word string) []symbol {
	s := make([]symbol, 0, len(word))
	add := func(id int32) {
		s = append(s, symbol{id, int32(len(s)) - 1, int32(len(s)) + 1})
	}
	pending := false // an unk that may still take in its neighbours
	flush := func() {
		if pending {
			add(m.unk)
			pending = false
		}
	}
	for i, r := range word {
		char := word[i : i+utf8.RuneLen(r)]
		if id, ok := m.vocab[char]; ok {
			flush()
			add(id)
			continue
		}
		// The bytes go before a pending unk: this is what the reference does.
		if m.byteFallback && m.addBytes(char, add) {
			continue
		}
		if m.unk < 0 {
			continue
		}
		if !m.fuseUnk {
			flush()
		}
		pending = true
	}
	flush()
	if len(s) > 0 {
		s[len(s)-1].next = -1
	}
	return s
}

// addBytes adds the byte tokens of a character, if the vocabulary has them all.
func (m *bpe) addBytes(char string, add func(int32)) bool {
	var ids [4]int32
	for i := range len(char) {
		id, ok := m.vocab[fmt.Sprintf("<0x%02X>", char[i])]
		if !ok {
			return false
		}
		ids[i] = id
	}
	for _, id := range ids[:len(char)] {
		add(id)
	}
	return true
}

// A candidate is a merge that could be done at a place when it was queued.
type candidate struct {
	rank, at, id int32
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

// mergeAll does the merges, lowest rank first and leftmost first among equals,
// and appends the ids that remain. A heap over a linked list keeps it at
// n·log(n) for a word of n characters.
func (m *bpe) mergeAll(out []int32, s []symbol) []int32 {
	queue := make(heap, 0, len(s))
	for i := range len(s) - 1 {
		if c, ok := m.merges[pair(s[i].id, s[i+1].id)]; ok {
			queue = append(queue, candidate{c.rank, int32(i), c.id})
		}
	}
	queue.init()
	for len(queue) > 0 {
		top := queue.pop()
		left := &s[top.at]
		if left.id < 0 || left.next < 0 {
			continue
		}
		right := &s[left.next]
		// The pair may have changed since. The reference compares the token
		// that comes out, not the pair, and so do we.
		if now, ok := m.merges[pair(left.id, right.id)]; !ok || now.id != top.id {
			continue
		}
		left.id, right.id = top.id, -1
		left.next = right.next
		if left.next >= 0 {
			s[left.next].prev = top.at
			if c, ok := m.merges[pair(left.id, s[left.next].id)]; ok {
				queue.push(candidate{c.rank, top.at, c.id})
			}
		}
		if left.prev >= 0 {
			if c, ok := m.merges[pair(s[left.prev].id, left.id)]; ok {
				queue.push(candidate{c.rank, left.prev, c.id})
			}
		}
	}
	for _, x := range s {
		if x.id >= 0 {
			out = append(out, x.id)
		}
	}
	return out
}

// heap is a binary heap of candidates, the first to be done on top. It is
// container/heap without the interface, which took a third of the time.
type heap []candidate

func (h heap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h heap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

func (h *heap) push(c candidate) {
	*h = append(*h, c)
	q := *h
	for i := len(q) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q[i].before(q[parent]) {
			return
		}
		q[i], q[parent] = q[parent], q[i]
		i = parent
	}
}

func (h *heap) pop() candidate {
	q := *h
	top := q[0]
	q[0] = q[len(q)-1]
	*h = q[:len(q)-1]
	h.down(0)
	return top
}
